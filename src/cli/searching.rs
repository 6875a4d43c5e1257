//! What a search that may take long has found so far, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::words::counted;
use crate::host::{Answer, Limits};

/// A search that may take longer than this says what it does.
const QUIET: Duration = Duration::from_secs(3);

/// How often it moves, so that it is seen that the program lives.
const TICK: Duration = Duration::from_millis(200);

/// Shown until it is dropped.
pub struct Searching {
    bar: Option<ProgressBar>,
    limit: Duration,
}

impl Searching {
    pub fn start(limits: Limits) -> Self {
        let bar = (limits.time > QUIET).then(|| {
            let template = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner();
            bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message(words(None, limits.time));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, limit: limits.time }
    }

    pub fn show(&self, answer: &Answer) {
        if let Some(bar) = &self.bar {
            bar.set_message(words(Some(answer), self.limit));
        }
    }
}

impl Drop for Searching {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// One step after another of something that takes long, until it is dropped.
pub struct Step {
    bar: ProgressBar,
}

impl Step {
    pub fn start() -> Self {
        let template = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        let bar = ProgressBar::new_spinner();
        bar.set_style(template.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    pub fn say(&self, step: &str) {
        self.bar.set_message(step.to_owned());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn words(answer: Option<&Answer>, limit: Duration) -> String {
    let found = match answer {
        None => "no plan yet".to_owned(),
        Some(Answer { cost, unplaced: 0, .. }) => format!("${:.4}/h so far", cost.as_usd()),
        Some(Answer { cost, unplaced, .. }) => {
            format!("${:.4}/h and {} not placed so far", cost.as_usd(), counted(*unplaced, "pod"))
        }
    };
    format!("searching for at most {} s: {found}", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stage;
    use crate::units::MicroUsd;

    #[test]
    fn the_best_so_far_is_named() {
        let limit = Duration::from_secs(600);
        assert_eq!(words(None, limit), "searching for at most 600 s: no plan yet");
        let answer = |unplaced| Answer {
            at: Duration::ZERO,
            stage: Stage::Columns,
            cost: MicroUsd(1_500_000),
            bound: MicroUsd::ZERO,
            unplaced,
        };
        assert_eq!(words(Some(&answer(0)), limit), "searching for at most 600 s: $1.5000/h so far");
        assert_eq!(
            words(Some(&answer(1)), limit),
            "searching for at most 600 s: $1.5000/h and 1 pod not placed so far"
        );
    }
}
