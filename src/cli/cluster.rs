//! Which live cluster, and what is waited for while it answers.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cluster::{Progress, Target};

/// A live cluster.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct ClusterArgs {
    /// A live cluster: the one of this kubeconfig, or without a value that of KUBECONFIG or ~/.kube/config.
    #[expect(clippy::option_option, reason = "a flag whose value may be left out")]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    kubeconfig: Option<Option<PathBuf>>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// Whether one was asked for.
    pub fn is_given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    pub fn target(&self) -> Target {
        Target { kubeconfig: self.kubeconfig.clone().flatten(), context: self.context.clone() }
    }
}

/// Says on a terminal what is waited for.
#[derive(Default)]
pub struct Waiting {
    bar: RefCell<Option<ProgressBar>>,
}

/// How often it moves, so that it is seen that the program lives.
const TICK: Duration = Duration::from_millis(200);

impl Waiting {
    pub fn show(&self, progress: &Progress) {
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| {
            let template = ProgressStyle::with_template("{spinner} {msg}");
            ProgressBar::new_spinner().with_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        bar.set_message(words(progress));
        match progress {
            // it may write to the terminal too
            Progress::Credentials { .. } => bar.tick(),
            Progress::Answer { .. } | Progress::Objects(_) => bar.enable_steady_tick(TICK),
        }
    }

    pub fn end(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::Credentials { command } => format!("waiting for credentials: {command}"),
        Progress::Answer { context, server } => format!("waiting for the cluster of context {context} at {server}"),
        Progress::Objects(count) => format!("{count} objects read from the cluster"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named() {
        let command = "aws eks get-token".to_owned();
        assert_eq!(words(&Progress::Credentials { command }), "waiting for credentials: aws eks get-token");
        let of = Progress::Answer { context: "c".to_owned(), server: "https://x:6443".to_owned() };
        assert_eq!(words(&of), "waiting for the cluster of context c at https://x:6443");
    }
}
