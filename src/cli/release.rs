//! `packwright release [NODE]... [--kubeconfig [FILE]] [--context NAME]`

use std::io::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::cluster::{ClusterArgs, Waiting};
use super::exit;
use super::table::{Output, table};
use crate::cluster::is_inside;
use crate::cluster::release::{Outcome, Released, Wanted, release};
use crate::placement::reservation::Reservation;

const EXAMPLES: &str = "\
Takes the taint packwright.dev/planned, the cordons that Packwright made and its annotations off nodes, so that every pod may bind \
there. A cordon that a person made stays, and so do tolerations of pods, which Kubernetes lets nobody take away. Stop the \
controller first: it goes on to reserve nodes that are yet to register.

Examples:
  packwright release --dry-run
  packwright release --context production -o json
  packwright release ip-10-0-3-7.ec2.internal --kubeconfig

Exit codes, the first that applies:
  1  internal failure, or a node could not be freed
  2  a refused option, no cluster is named (in a pod it is the pod's), its nodes cannot be read, or it has no node of a name: nothing was freed
  0  none of the nodes is reserved any more, or --dry-run said which are";

/// Free the nodes that are reserved for planned pods.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these nodes; names stand before --kubeconfig without a value [default: all].
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Say which nodes would be freed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

/// One node as it is printed.
#[derive(Serialize)]
struct Shown {
    node: String,
    was: &'static str,
    /// The value of the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    freed: bool,
    /// In a dry run.
    would_be_freed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Frees them and prints what was done.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if !args.cluster.is_given() && !args.dry_run && !is_inside() {
        eprintln!(
            "error: release changes nodes, so it does not guess the cluster: --context NAME, or --kubeconfig for the current context"
        );
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    let wanted = Wanted { nodes: args.nodes.iter().cloned().collect(), is_dry_run: args.dry_run };
    let waiting = Waiting::default();
    let released = release(&args.cluster.target(), &wanted, &|progress| waiting.show(&progress));
    waiting.end();
    let released = match released {
        Ok(released) => released,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    let shown: Vec<Shown> = released.into_iter().map(Shown::of).collect();
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?,
        Output::Table if shown.is_empty() && wanted.nodes.is_empty() => writeln!(out, "no node is reserved")?,
        Output::Table if shown.is_empty() => writeln!(out, "none of these nodes is reserved")?,
        Output::Table => writeln!(out, "{}", as_table(&shown))?,
    }
    let is_done = shown.iter().all(|node| node.failure.is_none());
    Ok(ExitCode::from(if is_done { exit::SUCCESS } else { exit::INTERNAL }))
}

impl Shown {
    fn of(Released { node, was, outcome }: Released) -> Self {
        let (state, claim, since) = match was {
            Reservation::Cordoned { since } => ("cordoned", None, since),
            Reservation::Reserved { value, since, .. } => ("reserved", Some(value), since),
            // nothing but annotations was left
            Reservation::Leftover | Reservation::Unregistered | Reservation::Open => ("open", None, None),
        };
        let (freed, would_be_freed) = (outcome == Outcome::Freed, outcome == Outcome::WouldBeFreed);
        let failure = if let Outcome::Failed(why) = outcome { Some(why) } else { None };
        Self { node, was: state, claim, since, freed, would_be_freed, failure }
    }

    fn result(&self) -> String {
        match &self.failure {
            Some(why) => format!("not freed: {why}"),
            None if self.would_be_freed => "would be freed".to_owned(),
            None => "freed".to_owned(),
        }
    }
}

fn as_table(shown: &[Shown]) -> String {
    let mut table = table(&["NODE", "WAS", "CLAIM", "SINCE", "RESULT"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for node in shown {
        let since = node.since.map(|since| format!("{since:.0}"));
        let (claim, since) = (or_dash(node.claim.clone()), or_dash(since));
        table.add_row([node.node.clone(), node.was.to_owned(), claim, since, node.result()]);
    }
    super::table::align(table, &[])
}
