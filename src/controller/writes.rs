//! Writes that are under way, and those that failed: one at a time for each object, and pauses that grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::event::{Outcome, Subject};
use super::said::Said;
use crate::observe::RawObject;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An eviction that a budget blocks is asked for again after so long, as the reference's queue of evictions does.
const LONGEST_OF_EVICTIONS: Duration = Duration::from_secs(10);
/// A creation without an answer is sent again after so long: pods wait for it.
const LONGEST_OF_CREATIONS: Duration = Duration::from_secs(10);
/// A watch that is silent for so long is not waited for any more.
pub(super) const WATCH: Duration = Duration::from_secs(10);
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
    /// What is to be said once it is taken.
    said: Vec<Said>,
    /// The object that is created.
    creates: Option<Box<Value>>,
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

    /// Until when it is open what became of a write of this version of an object: no answer came, or none that can be relied on,
    /// and no watch has shown a newer version yet.
    #[must_use]
    pub fn open_until(&self, subject: &Subject, version: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        let last = self.0.get(subject)?;
        let until = match last.state {
            State::Sent => now + WATCH,
            State::Outdated { until } => until,
            State::Failed { until } => until + WATCH,
        };
        (until > now && last.version.as_deref() == version).then_some(until)
    }

    /// Whether an object is being created.
    #[must_use]
    pub fn is_creating(&self) -> bool {
        self.0.values().any(|last| last.state == State::Sent && last.version.is_none())
    }

    /// Notes that a write is sent.
    pub(super) fn sent(&mut self, subject: &Subject, version: Option<&str>) {
        let failures = self.0.get(subject).map_or(0, |last| last.failures);
        self.0.insert(
            subject.clone(),
            Last { version: version.map(Arc::from), state: State::Sent, failures, said: Vec::new(), creates: None },
        );
    }

    /// Keeps the object of a creation that is sent: it may have to be sent again.
    pub(super) fn creates(&mut self, subject: &Subject, object: &Value) {
        if let Some(last) = self.0.get_mut(subject) {
            last.creates = Some(Box::new(object.clone()));
        }
    }

    /// The object of a creation that is sent again, as it was.
    pub(super) fn again(&mut self, subject: &Subject) -> Option<Value> {
        let last = self.0.get_mut(subject)?;
        let object = last.creates.as_deref()?.clone();
        last.state = State::Sent;
        Some(object)
    }

    /// What a write that is under way means, once it is taken.
    pub(super) fn say_once_taken(&mut self, subject: &Subject, said: Said) {
        if let Some(last) = self.0.get_mut(subject) {
            last.said.push(said);
        }
    }

    /// What is to be said now that a write is answered: nothing where it was not taken, and nothing yet where nobody knows that of a
    /// creation. One that is there already after such an answer is ours.
    pub(super) fn means(&mut self, subject: &Subject, outcome: &Outcome) -> Vec<Said> {
        let Some(last) = self.0.get_mut(subject) else { return Vec::new() };
        let (is_creation, is_again) = (last.creates.is_some(), last.failures > 0);
        match outcome {
            Outcome::Failed(_) if is_creation => Vec::new(),
            Outcome::Outdated if is_creation && is_again => std::mem::take(&mut last.said),
            Outcome::Done(_) => std::mem::take(&mut last.said),
            _ => {
                last.said.clear();
                Vec::new()
            }
        }
    }

    /// Notes an answer; why the write failed, where it did.
    pub(super) fn answered(&mut self, subject: &Subject, outcome: &Outcome, now: Timestamp) -> Option<String> {
        let last = self.0.get_mut(subject)?;
        match outcome {
            // what it was to change is not there any more, as after a webhook: no reason to hurry
            Outcome::Done(Some(object)) if last.is_version_of(object) => {
                last.pause(LONGEST_PAUSE, now);
                None
            }
            Outcome::Done(Some(_)) => {
                self.0.remove(subject);
                None
            }
            // what became of it the watch will say
            Outcome::Done(None) => {
                last.failures = 0;
                last.state = State::Outdated { until: now + WATCH };
                None
            }
            Outcome::Outdated => {
                last.state = State::Outdated { until: now + WATCH };
                None
            }
            Outcome::Delayed(_) => {
                last.pause(LONGEST_OF_EVICTIONS, now);
                None
            }
            Outcome::Refused(reason) | Outcome::Failed(reason) => {
                let is_open = last.creates.is_some() && matches!(outcome, Outcome::Failed(_));
                last.pause(if is_open { LONGEST_OF_CREATIONS } else { LONGEST_PAUSE }, now);
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
    /// Whether the object is as it was when the write was sent.
    fn is_version_of(&self, object: &RawObject) -> bool {
        self.version.is_some() && object.value["metadata"]["resourceVersion"].as_str() == self.version.as_deref()
    }

    fn pause(&mut self, longest: Duration, now: Timestamp) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        self.state = State::Failed { until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observe::input::Origin;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn one_write_at_a_time_and_pauses_that_grow() {
        let (subject, mut writes) = (Subject::of_cluster("Node", "n"), Writes::default());
        let failed = || Outcome::Failed("no answer".to_owned());
        let mut at = now();
        for (times, pause) in [100, 200, 400].into_iter().enumerate() {
            assert_eq!(writes.may(&subject, Some("1"), at), Ok(()), "{times}");
            writes.sent(&subject, Some("1"));
            assert_eq!(writes.may(&subject, Some("1"), at), Err(None), "until it is answered");
            assert_eq!(writes.answered(&subject, &failed(), at), Some("no answer".to_owned()));
            let again = at + Duration::from_millis(pause);
            assert_eq!(writes.may(&subject, Some("1"), at), Err(Some(again)), "{times}");
            at = again;
        }
        let object = |version: &str| RawObject {
            origin: Origin::default(),
            value: json!({"metadata": {"resourceVersion": version}}),
        };
        writes.sent(&subject, Some("1"));
        assert_eq!(writes.answered(&subject, &Outcome::Done(Some(object("1"))), at), None);
        assert!(writes.may(&subject, Some("1"), at).is_err(), "it changed nothing: not again at once");
        let at = at + LONGEST_PAUSE;
        writes.sent(&subject, Some("1"));
        assert_eq!(writes.answered(&subject, &Outcome::Done(Some(object("2"))), at), None);
        assert_eq!(writes.may(&subject, Some("1"), at), Ok(()), "all is forgotten");
        writes.sent(&subject, Some("2"));
        assert_eq!(writes.answered(&subject, &Outcome::Done(None), at), None);
        assert!(writes.may(&subject, Some("2"), at).is_err(), "the watch will say");
        assert_eq!(writes.may(&subject, Some("3"), at), Ok(()));
    }

    #[test]
    fn what_a_write_means_is_said_once_it_is_taken_and_only_then() {
        let (subject, mut writes) = (Subject::of_cluster("Node", "n"), Writes::default());
        let both = || vec![Said::FoundPods { pods: 1 }, Said::FoundPods { pods: 2 }];
        for (outcome, expected) in [
            (Outcome::Failed("no answer".to_owned()), vec![]),
            (Outcome::Outdated, vec![]),
            (Outcome::Delayed("not now".to_owned()), vec![]),
            (Outcome::Done(None), both()),
        ] {
            writes.sent(&subject, Some("1"));
            for said in both() {
                writes.say_once_taken(&subject, said);
            }
            assert_eq!(writes.means(&subject, &outcome), expected, "{outcome:?}");
            assert_eq!(writes.means(&subject, &Outcome::Done(None)), [], "and not twice");
            writes.answered(&subject, &outcome, now());
        }
    }

    #[test]
    fn a_creation_without_an_answer_is_sent_again_as_it_was_and_said_once_it_is_known_to_be_made() {
        let object = json!({"metadata": {"name": "n"}});
        for known in [Outcome::Done(None), Outcome::Outdated] {
            let (subject, mut writes) = (Subject::of_cluster("NodeClaim", "n"), Writes::default());
            writes.sent(&subject, None);
            writes.creates(&subject, &object);
            writes.say_once_taken(&subject, Said::FoundPods { pods: 1 });
            let failed = Outcome::Failed("no answer".to_owned());
            for _ in 0..20 {
                assert_eq!(writes.means(&subject, &failed), []);
                writes.answered(&subject, &failed, now());
                let until = writes.may(&subject, None, now()).unwrap_err().unwrap();
                assert!(until <= now() + LONGEST_OF_CREATIONS, "pods wait for it: {until}");
                assert_eq!(writes.again(&subject), Some(object.clone()));
                assert!(writes.is_sent(&subject));
            }
            assert_eq!(writes.means(&subject, &known), [Said::FoundPods { pods: 1 }], "{known:?}");
        }
    }

    #[test]
    fn what_a_budget_blocks_is_asked_for_again_within_ten_seconds() {
        let (subject, mut writes) = (Subject::of_cluster("Pod", "default/web"), Writes::default());
        for _ in 0..20 {
            writes.sent(&subject, Some("1"));
            writes.answered(&subject, &Outcome::Delayed("not now".to_owned()), now());
        }
        assert_eq!(writes.may(&subject, Some("1"), now()), Err(Some(now() + Duration::from_secs(10))));
    }

    #[test]
    fn a_write_without_an_answer_may_have_been_taken() {
        let (subject, mut writes) = (Subject::of_cluster("Node", "n"), Writes::default());
        assert_eq!(writes.open_until(&subject, Some("1"), now()), None);
        writes.sent(&subject, Some("1"));
        assert!(writes.open_until(&subject, Some("1"), now()).is_some());
        writes.answered(&subject, &Outcome::Failed("no answer".to_owned()), now());
        let until = writes.open_until(&subject, Some("1"), now()).unwrap();
        assert_eq!(writes.open_until(&subject, Some("2"), now()), None, "a watch has shown what became of it");
        assert_eq!(writes.open_until(&subject, Some("1"), until), None, "no watch is waited for that long");
    }

    #[test]
    fn what_is_outdated_waits_for_a_newer_version_but_not_for_ever() {
        let (subject, mut writes) = (Subject::of_cluster("Node", "n"), Writes::default());
        writes.sent(&subject, Some("1"));
        assert_eq!(writes.answered(&subject, &Outcome::Outdated, now()), None, "no failure");
        assert_eq!(writes.may(&subject, Some("1"), now()), Err(Some(now() + WATCH)));
        assert_eq!(writes.may(&subject, Some("2"), now()), Ok(()));
        assert_eq!(writes.may(&subject, Some("1"), now() + WATCH), Ok(()));
        writes.forget(now() + WATCH + FORGET);
        assert_eq!(writes.may(&subject, Some("1"), now()), Ok(()));
    }
}
