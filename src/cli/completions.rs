//! `packwright completions SHELL`

use std::process::ExitCode;

use clap::CommandFactory;

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: clap_complete::Shell,
}

#[must_use]
pub fn run(args: &Args) -> ExitCode {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "packwright", &mut std::io::stdout());
    ExitCode::SUCCESS
}
