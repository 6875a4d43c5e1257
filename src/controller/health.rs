//! Whether the nodes of a pool come to register: the last launches of each pool, as its condition `NodeRegistrationHealthy` sums
//! them up.
//!
//! Source: the reference's `nodepool/registrationhealth` and `nodeclaim/lifecycle/liveness.go` (karpenter-core 1.1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, REGISTERED, since};
use super::give_up::{LAUNCH_TIMEOUT, REGISTRATION_TIMEOUT};
use super::turn::later;
use crate::api::node_pool::NodePool;
use crate::observe::objects::ObjectKey;

pub(super) const NODE_REGISTRATION_HEALTHY: &str = "NodeRegistrationHealthy";
/// Launches that count.
const LENGTH: usize = 4;
/// So many failures among them are too many.
const TOO_MANY: usize = LENGTH / 2;

/// By the uid of the pool.
#[derive(Debug, Default)]
pub(super) struct Health(BTreeMap<Arc<str>, Launches>);

#[derive(Debug)]
struct Launches {
    /// Of the pool and its node class: with another one everything begins anew.
    generations: (Option<i64>, Option<i64>),
    /// What was before does not count.
    from: Timestamp,
    /// Whether they went well, oldest first.
    last: VecDeque<bool>,
    /// Claims that count already, by uid.
    counted: BTreeSet<Arc<str>>,
    verdict: Verdict,
}

/// What is to be said of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Unknown,
    Healthy,
    Unhealthy {
        reason: String,
        message: String,
    },
}

impl Health {
    /// Looks at the claims to which something has happened. What a process has not seen it takes from what the condition says.
    pub fn observe(&mut self, cluster: &Cluster<'_>, now: Timestamp) {
        let pools = || cluster.objects.node_pools.values().map(|pool| &*pool.object);
        let there: BTreeSet<&str> = pools().filter_map(|pool| pool.metadata.uid.as_deref()).collect();
        self.0.retain(|uid, _| there.contains(&**uid));
        let mut of_pool: BTreeMap<&str, Vec<&Claimed<'_>>> = BTreeMap::new();
        for claimed in &cluster.claims {
            if let Some(pool) = claimed.pool() {
                of_pool.entry(pool).or_default().push(claimed);
            }
        }
        for pool in pools() {
            let (Some(uid), Some(name)) = (pool.metadata.uid.as_deref(), pool.metadata.name.as_deref()) else {
                continue;
            };
            let class = class_generation(cluster, pool);
            let launches = self.0.entry(Arc::from(uid)).or_insert_with(|| Launches::as_written(pool, class, now));
            launches.begin_anew_with((pool.metadata.generation, class.or(launches.generations.1)), now);
            let claims = of_pool.get(name).map_or(&[][..], Vec::as_slice);
            if cluster.is_whole {
                let uids: BTreeSet<&str> = claims.iter().map(|claimed| claimed.uid()).collect();
                launches.counted.retain(|uid| uids.contains(&**uid));
            }
            for claimed in claims {
                launches.count(claimed);
            }
        }
    }

    pub fn of(&self, pool: &NodePool) -> Verdict {
        let known = pool.metadata.uid.as_deref().and_then(|uid| self.0.get(uid));
        known.map(|launches| launches.verdict.clone()).unwrap_or_default()
    }
}

/// Of the node class of a pool, if it is there.
pub(super) fn class_generation(cluster: &Cluster<'_>, pool: &NodePool) -> Option<i64> {
    let class = &pool.spec.template.spec.node_class_ref;
    let key = ObjectKey { namespace: "".into(), name: class.name.as_str().into() };
    cluster.objects.metadata(&class.kind, &key)?.generation
}

impl Launches {
    fn as_written(pool: &NodePool, class: Option<i64>, now: Timestamp) -> Self {
        let status = pool.status.as_ref();
        let written = status
            .and_then(|status| status.conditions.iter().find(|of| of.type_ == NODE_REGISTRATION_HEALTHY))
            .filter(|of| of.observed_generation == pool.metadata.generation)
            .filter(|_| class.is_none() || status.and_then(|status| status.node_class_observed_generation) == class);
        let (last, verdict) = match written {
            Some(of) if of.status == "True" => (vec![true], Verdict::Healthy),
            Some(of) if of.status == "False" => {
                let (reason, message) = (of.reason.clone(), of.message.clone());
                (vec![false; TOO_MANY], Verdict::Unhealthy { reason, message })
            }
            _ => (Vec::new(), Verdict::Unknown),
        };
        let generations = (pool.metadata.generation, class);
        Self { generations, from: now, last: last.into(), counted: BTreeSet::new(), verdict }
    }

    fn begin_anew_with(&mut self, generations: (Option<i64>, Option<i64>), now: Timestamp) {
        if self.generations != generations {
            let counted = std::mem::take(&mut self.counted);
            *self = Self { generations, from: now, last: VecDeque::new(), counted, verdict: Verdict::Unknown };
        }
    }

    /// A claim counts once: when its node registers, or when it is given up because that took too long.
    fn count(&mut self, claimed: &Claimed<'_>) {
        let conditions = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let changed = |condition: &str| since(conditions, condition);
        // times in conditions are whole seconds
        let is_new = |at: Timestamp| at.as_second() >= self.from.as_second();
        if self.counted.contains(claimed.uid()) {
            return;
        }
        if claimed.is(REGISTERED) {
            if changed(REGISTERED).is_some_and(is_new) {
                self.add(claimed, Verdict::Healthy);
            }
            return;
        }
        let meta = &claimed.claim.metadata;
        let Some(deleted) = meta.deletion_timestamp.as_ref().map(|time| time.0).filter(|at| is_new(*at)) else {
            return;
        };
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        let is_late = |from: Option<Timestamp>, limit| from.is_some_and(|from| deleted >= later(from, limit));
        if claimed.is(LAUNCHED) && is_late(changed(REGISTERED), REGISTRATION_TIMEOUT) {
            let message = "Failed to register node".to_owned();
            self.add(claimed, Verdict::Unhealthy { reason: "RegistrationFailed".to_owned(), message });
        } else if !claimed.is(LAUNCHED) && is_late(created, LAUNCH_TIMEOUT) {
            let launched = conditions.iter().find(|of| of.type_ == LAUNCHED);
            let (reason, message) = launched.map_or(("LaunchFailed", ""), |of| (&*of.reason, &*of.message));
            self.add(claimed, Verdict::Unhealthy { reason: reason.to_owned(), message: message.to_owned() });
        }
    }

    /// The verdict changes only to what the last launch itself says.
    fn add(&mut self, claimed: &Claimed<'_>, verdict: Verdict) {
        self.counted.insert(Arc::from(claimed.uid()));
        self.last.push_back(verdict == Verdict::Healthy);
        if self.last.len() > LENGTH {
            self.last.pop_front();
        }
        let is_healthy = self.last.iter().filter(|went_well| !**went_well).count() < TOO_MANY;
        if is_healthy == (verdict == Verdict::Healthy) {
            self.verdict = verdict;
        }
    }
}
