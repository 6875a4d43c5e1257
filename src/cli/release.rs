//! `packwright release [--kubeconfig FILE] [--context NAME]`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::exit;
use super::table::{Output, table};
use crate::cluster::Target;
use crate::cluster::release::{Released, release};
use crate::placement::reservation::Reservation;

const EXAMPLES: &str = "\
Takes the taint packwright.dev/planned, the cordons that Packwright made and its annotations off every node, so that every pod may
bind there. A cordon that a person made stays, and so do tolerations of pods, which Kubernetes lets nobody take away. Stop the
controller first: it goes on to reserve nodes that are yet to register.

Examples:
  packwright release
  packwright release --context production -o json

Exit codes, the first that applies:
  1  internal failure, or a node could not be freed
  2  a refused option, or the nodes of the cluster cannot be read
  0  no node is reserved any more";

/// Free every node that is reserved for planned pods.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The kubeconfig [default: that of KUBECONFIG, or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// Frees them and prints what was done.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    let released = match release(&target) {
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
        Output::Table if shown.is_empty() => writeln!(out, "no node is reserved")?,
        Output::Table => writeln!(out, "{}", as_table(&shown))?,
    }
    let is_done = shown.iter().all(|node| node.freed);
    Ok(ExitCode::from(if is_done { exit::SUCCESS } else { exit::INTERNAL }))
}

impl Shown {
    fn of(Released { node, was, failure }: Released) -> Self {
        let (state, claim, since) = match was {
            Reservation::Cordoned { since } => ("cordoned", None, since),
            Reservation::Reserved { value, since, .. } => ("reserved", Some(value), since),
            // nothing but annotations was left
            Reservation::Leftover | Reservation::Unregistered | Reservation::Open => ("open", None, None),
        };
        Self { node, was: state, claim, since, freed: failure.is_none(), failure }
    }
}

fn as_table(shown: &[Shown]) -> String {
    let mut table = table(&["NODE", "WAS", "CLAIM", "SINCE", "RESULT"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for node in shown {
        let result = node.failure.as_ref().map_or_else(|| "freed".to_owned(), |why| format!("not freed: {why}"));
        let since = node.since.map(|since| format!("{since:.0}"));
        table.add_row([node.node.clone(), node.was.to_owned(), or_dash(node.claim.clone()), or_dash(since), result]);
    }
    super::table::align(table, &[])
}
