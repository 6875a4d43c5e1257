//! The command line: one subcommand a file, each with its `Args` and `run`.

pub mod bench;
mod catalog;
#[cfg(feature = "live")]
mod cluster;
mod consolidation;
pub mod completions;
#[cfg(feature = "live")]
pub mod controller;
pub mod crds;
pub mod doctor;
pub mod explain;
pub mod export;
mod input;
pub mod plan;
#[cfg(feature = "live")]
pub mod release;
pub mod replay;
pub mod report;
mod searching;
mod settings;
pub mod simulate;
pub mod snapshot;
pub mod solve;
mod table;
pub mod types;
pub mod verify;
pub mod what_if;
mod words;
pub mod worker;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// A Kubernetes node provisioner that plans.
#[derive(Debug, Parser)]
#[command(name = "packwright", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what plans cost within time limits, on instances that are always the same.
    Bench(bench::Args),
    /// Print shell completions.
    Completions(completions::Args),
    /// Provision nodes for the pods of a cluster.
    #[cfg(feature = "live")]
    Controller(Box<controller::Args>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds(crds::Args),
    /// Say what is to be dealt with before Packwright is installed in a cluster.
    Doctor(Box<doctor::Args>),
    /// Explain one pod or claim of a plan, and what would make an unschedulable pod schedulable.
    Explain(explain::Args),
    /// Plan, and write the decision into a directory: the Snapshot, the plan, what proves how good it is, and its models.
    Export(export::Args),
    /// Plan the nodes for pending pods, on manifests or a live cluster, without touching anything.
    Plan(plan::Args),
    /// Free the nodes of a live cluster that are reserved for planned pods.
    #[cfg(feature = "live")]
    Release(release::Args),
    /// Decide once more what a recorded decision was about, and compare the plans.
    Replay(replay::Args),
    /// Draw a plan as one page for a browser.
    Report(Box<report::Args>),
    /// Run the controller on a simulated cluster, with simulated time and faults.
    Simulate(Box<simulate::Args>),
    /// Save what is read of a live cluster or of manifests, to plan on it later or elsewhere, with or without its names.
    Snapshot(snapshot::Args),
    /// Solve the models of a stored decision again, from their files, and compare what they come to with what is stored.
    Solve(solve::Args),
    /// Search the catalogue of instance types.
    Types(types::Args),
    /// Re-check a stored decision, without the solver: the plan against every rule, and its bounds by arithmetic.
    Verify(verify::Args),
    /// Plan what a cluster would cost with other prices, instance types, limits or replicas.
    WhatIf(what_if::Args),
    /// The solver process of `--isolate`: reads a question, writes answers.
    #[command(hide = true)]
    Worker(worker::Args),
}

/// Exit codes, the first that applies; the same for every subcommand and documented in its help.
pub mod exit {
    pub const SUCCESS: u8 = 0;
    /// An internal failure.
    pub const INTERNAL: u8 = 1;
    /// Invalid input or a refused option, also where a malformed object was skipped and the rest was planned.
    pub const INVALID_INPUT: u8 = 2;
    /// Some pods cannot be placed.
    pub const UNPLACED: u8 = 3;
    /// A benchmark became worse, or breaks a promise.
    pub const WORSE: u8 = 4;
    /// A stored decision does not hold.
    pub const UNPROVEN: u8 = 5;
    /// Something is to be dealt with before an installation.
    pub const UNWELL: u8 = 6;
}

impl Cli {
    /// Reads the command line and the environment, where an empty variable counts as unset; ends the program after help
    /// and on mistakes.
    #[must_use]
    pub fn from_command_line() -> Self {
        let command = without_empty_variables(Self::command());
        let variables = variables(&command);
        let parsed = command.try_get_matches().and_then(|matches| Self::from_arg_matches(&matches));
        parsed.unwrap_or_else(|error| with_its_variable(error, &variables).exit())
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// An internal failure: what is wrong with the input has its own exit code and is printed by the subcommand.
    pub fn run(self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        match self.command {
            Command::Bench(args) => bench::run(&args),
            Command::Completions(args) => completions::run(&args),
            #[cfg(feature = "live")]
            Command::Controller(args) => controller::run(&args),
            Command::Crds(args) => crds::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Export(args) => export::run(&args),
            Command::Plan(args) => plan::run(&args),
            #[cfg(feature = "live")]
            Command::Release(args) => release::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Snapshot(args) => snapshot::run(&args),
            Command::Solve(args) => solve::run(&args),
            Command::Types(args) => types::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::WhatIf(args) => what_if::run(&args),
            Command::Worker(args) => worker::run(&args),
        }
    }
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let without = command.mut_args(|arg| {
        let value = arg.get_env().and_then(env::var_os);
        if value.is_some_and(|value| value.is_empty()) { arg.env(None::<&'static str>) } else { arg }
    });
    without.mut_subcommands(without_empty_variables)
}

/// The variable of each flag that has one.
fn variables(command: &clap::Command) -> BTreeMap<String, OsString> {
    let of_flags = command.get_arguments().filter_map(|arg| Some((format!("--{}", arg.get_long()?), arg.get_env()?)));
    let mut found: BTreeMap<String, OsString> = of_flags.map(|(flag, variable)| (flag, variable.to_owned())).collect();
    found.extend(command.get_subcommands().flat_map(variables));
    found
}

/// Says of a value that nobody typed where it comes from.
fn with_its_variable(mut error: clap::Error, variables: &BTreeMap<String, OsString>) -> clap::Error {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = arg.split(' ').next().unwrap_or_default().to_owned();
    let typed = env::args().any(|arg| arg.split('=').next() == Some(&flag));
    if let Some(variable) = variables.get(&flag).filter(|_| !typed) {
        let tip = StyledStr::from(format!("the value is that of the variable {}", variable.display()));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal breaks lines where it ends; what is broken by hand too is broken twice.
    #[test]
    fn sentences_of_help_are_not_broken_by_hand() {
        for command in Cli::command().get_subcommands() {
            let Some(help) = command.get_after_help() else { continue };
            let help = help.to_string();
            let lines: Vec<&str> = help.lines().collect();
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
            for pair in lines.windows(2) {
                assert!(!(is_text(pair[0]) && is_text(pair[1])), "{}: {pair:?}", command.get_name());
            }
        }
    }
}
