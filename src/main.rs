//! Parses arguments, runs the command, and maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser;
use packwright::cli::{Cli, exit};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit::INTERNAL)
        }
    }
}
