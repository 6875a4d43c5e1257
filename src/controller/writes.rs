//! Writes that are under way, and those that failed: one at a time for each object, and pauses that grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::event::{Outcome, Subject};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A watch that is silent for so long is not waited for any more.
const WATCH: Duration = Duration::from_secs(10);
/// What failed is forgotten so long after its pause: nobody wants it any more.
const FORGET: Duration = Duration::from_secs(10 * 60);

/// What became of the last write of each object, unless all is well.
#[derive(Debug, Default)]
pub struct Writes(BTreeMap<Subject, Last>);

#[derive(Debug, Clone)]
struct Last {
    /// Of the object as it was read; `None` where it is created.
    version: Option<Arc<str>>,
    state: State,
    /// Failures in a row.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sent,
    /// The API server knew better; nothing is sent for the same version before.
    Outdated {
        until: Timestamp,
    },
    /// Nothing is sent before.
    Failed {
        until: Timestamp,
    },
}

impl Writes {
    /// Whether an object of this version may be written now.
    ///
    /// # Errors
    /// It may not: from when on it may, if nothing comes before; `None` while an answer is awaited.
    pub fn may(&self, subject: &Subject, version: Option<&str>, now: Timestamp) -> Result<(), Option<Timestamp>> {
        let Some(last) = self.0.get(subject) else { return Ok(()) };
        match last.state {
            State::Sent => Err(None),
            State::Outdated { .. } if last.version.as_deref() != version => Ok(()),
            State::Outdated { until } | State::Failed { until } if until > now => Err(Some(until)),
            _ => Ok(()),
        }
    }

    /// Whether a write of the object was sent and not answered.
    #[must_use]
    pub fn is_sent(&self, subject: &Subject) -> bool {
        self.0.get(subject).is_some_and(|last| last.state == State::Sent)
    }

    /// Whether an object is being created.
    #[must_use]
    pub fn is_creating(&self) -> bool {
        self.0.values().any(|last| last.state == State::Sent && last.version.is_none())
    }

    /// Notes that a write is sent.
    pub(super) fn sent(&mut self, subject: &Subject, version: Option<&str>) {
        let failures = self.0.get(subject).map_or(0, |last| last.failures);
        self.0.insert(subject.clone(), Last { version: version.map(Arc::from), state: State::Sent, failures });
    }

    /// Notes an answer; why the write failed, where it did.
    pub(super) fn answered(&mut self, subject: &Subject, outcome: &Outcome, now: Timestamp) -> Option<String> {
        let last = self.0.get_mut(subject)?;
        match outcome {
            Outcome::Done(_) => {
                self.0.remove(subject);
                None
            }
            Outcome::Outdated => {
                last.state = State::Outdated { until: now + WATCH };
                None
            }
            Outcome::Delayed(_) => {
                last.pause(now);
                None
            }
            Outcome::Refused(reason) | Outcome::Failed(reason) => {
                last.pause(now);
                Some(reason.clone())
            }
        }
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, last| match last.state {
            State::Sent => true,
            State::Outdated { until } | State::Failed { until } => until + FORGET > now,
        });
    }
}

impl Last {
    fn pause(&mut self, now: Timestamp) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.state = State::Failed { until: now + pause };
    }
}
