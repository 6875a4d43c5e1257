//! The command line: one subcommand a file, each with its `Args` and `run`.

mod catalog;
pub mod completions;
pub mod crds;
pub mod plan;
mod settings;
pub mod types;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Kubernetes node provisioner that plans.
#[derive(Debug, Parser)]
#[command(name = "packwright", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print shell completions.
    Completions(completions::Args),
    /// Print the CustomResourceDefinitions as YAML.
    Crds(crds::Args),
    /// Plan the nodes for pending pods, on manifests, without touching anything.
    Plan(plan::Args),
    /// Search the catalogue of instance types.
    Types(types::Args),
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
}

impl Cli {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// An internal failure: what is wrong with the input has its own exit code and is printed by the subcommand.
    pub fn run(self) -> Result<ExitCode, Box<dyn std::error::Error>> {
        match self.command {
            Command::Completions(args) => completions::run(&args),
            Command::Crds(args) => crds::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Types(args) => types::run(&args),
        }
    }
}
