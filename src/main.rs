//! Parses arguments, runs the command, and maps errors to exit codes.

use std::io;
use std::process::ExitCode;

use packwright::cli::{Cli, exit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::from_command_line().run() {
        Ok(code) => code,
        // who reads our output has seen enough
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit::INTERNAL)
        }
    }
}
