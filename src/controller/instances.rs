//! The ends of instances: asked for until there is nothing left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::action::Action;
use super::said::Said;
use super::turn::{Turn, later};
use crate::cloud::{Answer, Request};

/// The cloud is asked again so often until it says that an instance is gone, as the reference does.
const AGAIN: Duration = Duration::from_secs(5);
const LOST: Duration = Duration::from_secs(60);

/// Instances whose end was asked for, by how the cloud calls them. Another process asks again.
#[derive(Debug, Default)]
pub(super) struct Instances(BTreeMap<Arc<str>, State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asked {
        /// An answer that takes much longer does not come.
        since: Timestamp,
        /// The cloud has said so before.
        is_ending: bool,
    },
    /// On its way out; looked at again.
    Ending(Timestamp),
    /// The cloud did not understand.
    Again(Timestamp),
    Gone,
}

impl Instances {
    pub fn take(&mut self, answer: &Answer, now: Timestamp, said: &mut Vec<Said>) {
        if let Answer::Listed(Ok(listed)) = answer {
            // EC2 may say of one that is there that it is not: what it lists is there
            for of in listed {
                if let Some(state) = self.0.get_mut(&of.provider_id).filter(|state| **state == State::Gone) {
                    *state = State::Again(now);
                }
            }
        }
        let Answer::Terminated { provider_id, result } = answer else { return };
        let state = match result {
            Ok(true) => State::Gone,
            Ok(false) => State::Ending(now + AGAIN),
            Err(reason) => {
                said.push(Said::TerminationFailed { provider_id: provider_id.clone(), reason: reason.clone() });
                State::Again(now + AGAIN)
            }
        };
        self.0.insert(provider_id.clone(), state);
    }

    /// Sees to it that an instance ends; whether it is gone.
    pub fn end(&mut self, claim: &str, provider_id: &str, turn: &mut Turn<'_>) -> bool {
        match self.0.get(provider_id) {
            Some(State::Gone) => return true,
            Some(State::Asked { since, .. }) if !turn.is_due(later(*since, LOST)) => return false,
            Some(State::Again(at) | State::Ending(at)) if !turn.is_due(*at) => return false,
            _ => {}
        }
        let id: Arc<str> = Arc::from(provider_id);
        let is_ending = self.is_ending(provider_id);
        self.0.insert(id.clone(), State::Asked { since: turn.now, is_ending });
        turn.act(Action::Cloud(Request::Terminate { claim: Arc::from(claim), provider_id: id }));
        false
    }

    /// Whether the cloud has taken it that an instance is to end.
    pub fn is_ending(&self, provider_id: &str) -> bool {
        matches!(self.0.get(provider_id), Some(State::Ending(_) | State::Gone | State::Asked { is_ending: true, .. }))
    }

    /// Whether the cloud has said that an instance is gone.
    pub fn is_gone(&self, provider_id: &str) -> bool {
        self.0.get(provider_id) == Some(&State::Gone)
    }

    /// Forgets those that nobody asks about any more.
    pub fn keep(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.0.retain(|id, state| matches!(state, State::Asked { .. }) || is_wanted(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Listed;

    #[test]
    fn an_instance_that_is_listed_is_not_gone_whatever_was_said_of_it() {
        let mut instances = Instances::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut said = Vec::new();
        let id: Arc<str> = "aws:///us-east-1a/i-1".into();
        instances.take(&Answer::Terminated { provider_id: id.clone(), result: Ok(true) }, now, &mut said);
        assert!(instances.is_gone(&id));
        instances.take(&Answer::Listed(Ok(Vec::new())), now, &mut said);
        assert!(instances.is_gone(&id));
        let listed = Listed {
            provider_id: id.clone(),
            claim: None,
            claim_name: None,
            launch: None,
            pool: None,
            launched_at: now,
            machine: None,
        };
        instances.take(&Answer::Listed(Ok(vec![listed])), now, &mut said);
        assert!(!instances.is_gone(&id), "it is asked for again");
    }
}
