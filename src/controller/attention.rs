//! Which claims a step looks at: those that something has happened to, those whose time has come, and those that are on their way.
//!
//! Of a cluster with hundreds of nodes most are at rest most of the time. What is at rest is looked at again when its claim, its node
//! or a pod there changes, when the time comes that was said when it was looked at last, and in any case once a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::turn::later;

/// All claims are looked at so often, whatever happens.
const ALL: Duration = Duration::from_secs(60);

/// What has changed since the last step.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Something that may concern every claim.
    pub all: bool,
    /// Some claim, node or pool: what is summed up over them is to be summed up anew.
    pub is_structural: bool,
    /// Claims, by name, of which the node or a pod there has changed, or they themselves.
    pub claims: BTreeSet<Arc<str>>,
}

/// What parts of a step say of the claims that they look at.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// The claim that is being looked at; `None`: what is said concerns all.
    pub about: Option<Arc<str>>,
    /// When a claim is to be looked at again.
    wakes: BTreeMap<Arc<str>, Timestamp>,
    /// When all are.
    all: Option<Timestamp>,
    /// Claims that are to be looked at in the next step.
    stays: BTreeSet<Arc<str>>,
}

impl Later {
    pub fn wake(&mut self, at: Timestamp) {
        match &self.about {
            Some(claim) => {
                let known = self.wakes.entry(claim.clone()).or_insert(at);
                *known = at.min(*known);
            }
            None => self.all = Some(self.all.map_or(at, |known| known.min(at))),
        }
    }

    pub fn stay(&mut self) {
        self.stays.extend(self.about.clone());
    }
}

#[derive(Debug)]
pub(super) struct Attention {
    /// When all claims are looked at.
    all: Timestamp,
    /// Those that are on their way.
    active: BTreeSet<Arc<str>>,
    wakes: BTreeMap<Arc<str>, Timestamp>,
}

impl Default for Attention {
    fn default() -> Self {
        Self { all: Timestamp::MIN, active: BTreeSet::new(), wakes: BTreeMap::new() }
    }
}

impl Attention {
    /// The claims that a step looks at; `None`: all of them.
    pub fn due(&self, changes: &Changes, now: Timestamp) -> Option<BTreeSet<Arc<str>>> {
        if changes.all || self.all <= now {
            return None;
        }
        let woken = self.wakes.iter().filter(|(_, at)| **at <= now).map(|(claim, _)| claim.clone());
        Some(changes.claims.iter().chain(&self.active).cloned().chain(woken).collect())
    }

    /// Takes in what the parts said of the claims that they looked at; `active`: those of them that are on their way.
    pub fn note(
        &mut self,
        looked_at: Option<&BTreeSet<Arc<str>>>,
        active: BTreeSet<Arc<str>>,
        said: Later,
        now: Timestamp,
    ) {
        match looked_at {
            None => {
                self.wakes = BTreeMap::new();
                self.all = later(now, ALL);
            }
            Some(claims) => self.wakes.retain(|claim, _| !claims.contains(claim)),
        }
        self.wakes.extend(said.wakes);
        self.active = active;
        self.active.extend(said.stays);
        if let Some(all) = said.all {
            self.all = self.all.min(all);
        }
    }

    /// The first time that is awaited.
    pub fn next(&self) -> Timestamp {
        self.wakes.values().copied().chain([self.all]).min().unwrap_or(self.all)
    }
}
