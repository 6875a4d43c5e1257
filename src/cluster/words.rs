//! Errors of the client as a person reads them.

use std::error::Error;
use std::process::Output;

use kube::client::AuthError;
use kube::config::{ExecConfig, ExecInteractiveMode};

/// The last so many lines of what a command said are shown.
const LINES: usize = 5;

/// An error with what caused it, each said once.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = said(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = said(error);
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn said(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<AuthError>() {
        return of_credentials(error, "the command that gives the credentials", false);
    }
    error.to_string().replace("'\"", "'").replace("\"'", "'") // paths, which the client quotes twice
}

/// Why there are no credentials; `is_shown`: the command could write to the terminal itself.
fn of_credentials(error: &AuthError, command: &str, is_shown: bool) -> String {
    match error {
        AuthError::AuthExecStart(error) => format!("{command} could not be started: {error}"),
        AuthError::AuthExecRun { out, .. } => format!("{command} failed ({}){}", out.status, output(out, is_shown)),
        AuthError::AuthExecParse(_) => format!("{command} printed something else than an ExecCredential"),
        AuthError::ExecPluginFailed => format!("{command} printed an ExecCredential without a status"),
        other => other.to_string().replace("'\"", "'").replace("\"'", "'"),
    }
}

fn output(out: &Output, is_shown: bool) -> String {
    let text = String::from_utf8_lossy(&out.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] if is_shown => "; what it said stands above".to_owned(),
        [] => " and said nothing".to_owned(),
        lines => format!(": {}", lines[lines.len().saturating_sub(LINES)..].join("; ")),
    }
}

/// Why there is no client, where `exec` is the command that gives the credentials.
pub(super) fn of_client(error: &kube::Error, exec: Option<&ExecConfig>) -> String {
    match (error, exec) {
        (kube::Error::Auth(error), Some(exec)) => {
            let is_shown = exec.interactive_mode != Some(ExecInteractiveMode::Never);
            let hint = match (error, &exec.install_hint) {
                (AuthError::AuthExecStart(_), Some(hint)) => format!("; {}", hint.trim()),
                _ => String::new(),
            };
            let command = format!("the command that gives the credentials, {},", as_typed(exec));
            of_credentials(error, &command, is_shown) + &hint
        }
        (other, _) => with_causes(other),
    }
}

/// The command with its arguments; its environment may hold secrets.
pub(super) fn as_typed(exec: &ExecConfig) -> String {
    let words = exec.command.iter().chain(exec.args.iter().flatten());
    words.map(String::as_str).collect::<Vec<_>>().join(" ")
}
