//! A last look at the pods of a node before something is done that cannot be undone: watches may be behind.
//!
//! The reference validates against the API server too (`disruption/validation.go`, karpenter-core 4.6), after a fixed delay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::action::Action;
use super::turn::{Turn, later};

/// What was seen is acted on within this time, or looked at again.
const FRESH: Duration = Duration::from_secs(5);
/// An answer that takes longer does not come; after a failure it is asked again so much later.
const LOST: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// Nodes whose pods are or were listed, by name.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<Arc<str>, State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Asked(Timestamp),
    Seen(Timestamp),
    Failed(Timestamp),
}

impl Looks {
    /// Whether the pods of a node have just been listed; if not, that is asked for.
    pub fn are_fresh(&mut self, node: &str, turn: &mut Turn<'_>) -> bool {
        match self.0.get(node) {
            Some(State::Seen(at)) if later(*at, FRESH) > turn.now => return true,
            Some(State::Asked(at)) if !turn.is_due(later(*at, LOST)) => return false,
            Some(State::Failed(at)) if !turn.is_due(later(*at, PAUSE)) => return false,
            _ => {}
        }
        let node: Arc<str> = Arc::from(node);
        self.0.insert(node.clone(), State::Asked(turn.now));
        turn.act(Action::Look { node });
        false
    }

    /// Notes that they were listed, or not.
    pub fn note(&mut self, node: Arc<str>, is_seen: bool, now: Timestamp) {
        self.0.insert(node, if is_seen { State::Seen(now) } else { State::Failed(now) });
    }

    /// Forgets nodes that are not there any more.
    pub fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|node, _| is_there(node));
    }
}
