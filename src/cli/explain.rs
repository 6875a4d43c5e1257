//! `packwright explain SUBJECT -f PATH...`

mod constraints;
mod node;
mod text;

use std::cell::RefCell;
use std::env;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::ProgressBar;

use super::exit;
use super::plan::{self, QuestionArgs, When};
use super::searching::Searching;
use crate::explain::{Explanation, Question, explain, find};
use crate::host;

const EXAMPLES: &str = "\
Examples:
  packwright explain deployment/inflate -f examples/getting-started
  packwright explain pod/shop/web-0 -f cluster.yaml -o json | jq .unplaced.remedies
  packwright explain sts/web --context production
  packwright explain node/ip-10-0-3-17.ec2.internal --context production
  packwright explain constraints --context production --within 5m
  packwright plan -f cluster.yaml -o wide && packwright explain claim/general-x7k2p -f cluster.yaml

The name of a claim follows from its pool and its pods: a search that ends at the time limit may give others next time, \
one with --work-limits usual does not.

Exit codes, the first that applies:
  1  internal failure
  2  invalid input or a refused option, a name that is unknown or not planned, also where a malformed object was skipped
  3  the pod cannot be placed
  0  it is explained";

/// Explain a pod, a claim, a node or all constraints: why it is where it is, what else would do, what limits and rules cost, and what would
/// make an unschedulable pod schedulable.
///
/// Plans, then plans again without the limits and rules that touch it: this takes up to three times the time limit. Of constraints it
/// says what each costs: limits and disruption budgets of NodePools, PodDisruptionBudgets, do-not-disrupt, topology spread and
/// anti-affinity of the cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// pod/NAME, pod/NAMESPACE/NAME, claim/NAME, node/NAME (why it is still there), or an owner such as deployment/NAME (kubectl's short names and plurals work too):
    /// one pod of it that is left, else one that is placed. constraints: what every constraint of the cluster costs.
    #[arg(value_name = "SUBJECT")]
    subject: String,
    #[command(flatten)]
    question: QuestionArgs,
    /// Of node/NAME and constraints: when a saving is worth it, as of plan --scope consolidate.
    #[arg(long, value_enum, default_value_t = When::Frugal)]
    consolidation: When,
    /// Of constraints: all searches together, each of which takes the time limit at most.
    #[arg(long, value_parser = plan::duration, value_name = "DURATION", default_value = "1m")]
    within: Duration,
    #[arg(short, long, value_enum, default_value_t = Output::Text, help_heading = "Output")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
    Yaml,
}

/// What takes longer than this says what it does, on a terminal.
const QUIET: Duration = Duration::from_secs(1);

/// Plans, explains and prints.
///
/// # Errors
/// Standard output is closed, or the explanation cannot be written in the chosen format.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load_and_say() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    if let Some(name) = node::named(&args.subject) {
        return node::run(args, name, &loaded);
    }
    if args.subject == "constraints" {
        return constraints::run(args, &loaded);
    }
    let started = Instant::now();
    let limits = args.question.limits();
    let searching = Searching::start(limits);
    let decision = host::decide_watched(&loaded.snapshot, Arc::default(), limits, &mut |answer| searching.show(answer));
    drop(searching);
    let report = plan::report(&loaded, &decision, started.elapsed());
    let subject = match find(&loaded.snapshot, &loaded.left_out, &decision.plan, &args.subject) {
        Ok(subject) => subject,
        Err(sentence) => {
            plan::say(&[], &report.notes);
            eprintln!("error: {sentence}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    let bar: RefCell<Option<ProgressBar>> = RefCell::new(None);
    let progress = |doing: &str| {
        if started.elapsed() > QUIET && std::io::stderr().is_terminal() {
            let mut bar = bar.borrow_mut();
            let bar = bar.get_or_insert_with(ProgressBar::new_spinner);
            bar.set_message(doing.to_owned());
            bar.tick();
        }
    };
    let question = Question { snapshot: &loaded.snapshot, decision: &decision, limits, progress: &progress };
    let mut explanation = explain(&question, subject);
    (explanation.notes, explanation.errors) = (report.notes, report.errors);
    if let Some(bar) = bar.borrow().as_ref() {
        bar.finish_and_clear();
    }
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Text => write!(out, "{}", text::of(&explanation, next(&args.subject, &explanation).as_deref()))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(&explanation)?)?,
    }
    out.flush()?;
    if args.output == Output::Text {
        plan::say(&explanation.assumptions, &explanation.notes);
    }
    Ok(ExitCode::from(if !loaded.errors.is_empty() {
        exit::INVALID_INPUT
    } else if explanation.unplaced.is_some() {
        exit::UNPLACED
    } else {
        exit::SUCCESS
    }))
}

/// The command that explains the claim of a placed pod: this one, with another subject.
fn next(subject: &str, explanation: &Explanation) -> Option<String> {
    let claim = format!("claim/{}", explanation.placed.as_ref()?.node.name);
    let mut typed: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let of_subject = typed.iter().position(|word| word == subject)?;
    typed[of_subject] = claim;
    let words: Vec<String> = typed.iter().map(|word| for_shell(word)).collect();
    Some(format!("packwright {}", words.join(" ")))
}

/// A word as a shell reads it.
fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
