//! The cloud: instances that are launched, run, cost money and end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::queue::after;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::cloud::{Answer, Instance, Launch, LaunchError, Listed, OfferingName};
use crate::random::SplitMix64;

/// Of an instance that no list shows.
const HIDDEN: &str = "hidden";
/// How long an instance takes to shut down.
const SHUTS_DOWN: Duration = Duration::from_secs(20);

/// Instances, and what cannot be had now.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    /// By provider id, those that have ended included.
    instances: BTreeMap<Arc<str>, Running>,
    scarce: Vec<Scarcity>,
    /// Micro-dollars times nanoseconds over an hour, up to `counted`.
    spent: i128,
    counted: Option<Timestamp>,
}

/// An instance.
#[derive(Debug)]
pub(super) struct Running {
    /// The uid of its claim.
    pub claim: Arc<str>,
    /// The claim as it was at the launch: labels and taints are in the user data.
    pub user_data: Arc<Value>,
    pub what: Instance,
    pub since: Timestamp,
    /// When it began to end.
    pub ended: Option<Timestamp>,
    /// The name that its node has, or will have.
    pub node: Arc<str>,
    /// What part of its predicted memory cannot be used, in thousandths.
    pub missing: i64,
}

/// Offerings that cannot be had for a while.
#[derive(Debug)]
struct Scarcity {
    until: Timestamp,
    /// The beginning of a type's name: a family.
    family: String,
    /// `None`: in every zone.
    zone: Option<Arc<str>>,
}

impl Running {
    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }

    pub fn price(&self) -> i64 {
        self.what.offering.price.0
    }
}

impl Cloud {
    /// An instance for a claim: the one that it has, or the first option that can be had.
    pub fn launch(&mut self, request: &Launch, claim: Arc<Value>, now: Timestamp) -> (Answer, Option<Arc<str>>) {
        let of = |result| Answer::Launched { claim: request.uid.clone(), result };
        let known = self.instances.values().find(|known| known.claim == request.uid && known.runs());
        if let Some(known) = known {
            return (of(Ok(Box::new(known.what.clone()))), None);
        }
        self.scarce.retain(|scarcity| scarcity.until > now);
        let bought = request.offerings().find(|(kind, offering)| !self.is_scarce(kind, offering));
        let Some((kind, offering)) = bought else {
            let all = request.offerings().map(|(kind, offering)| OfferingName::of(kind, offering)).collect();
            return (of(Err(LaunchError::InsufficientCapacity(all))), None);
        };
        self.count_to(now);
        let number = self.instances.len() + 1;
        let provider_id: Arc<str> = format!("aws:///{}/i-{number:017x}", offering.zone).into();
        let what = Instance {
            provider_id: provider_id.clone(),
            image_id: Some("ami-0simulated".into()),
            kind: InstanceType::clone(kind),
            offering: Offering::clone(offering),
        };
        let running = Running {
            claim: request.uid.clone(),
            user_data: claim,
            what: what.clone(),
            since: now,
            ended: None,
            node: format!("ip-10-{}-{}-{}", number >> 16 & 255, number >> 8 & 255, number & 255).into(),
            missing: 0,
        };
        self.instances.insert(provider_id.clone(), running);
        (of(Ok(Box::new(what))), Some(provider_id))
    }

    /// Whether there is no such instance any more.
    pub fn terminate(&mut self, provider_id: &Arc<str>, now: Timestamp) -> Answer {
        self.end(provider_id, now);
        let gone = self.instances.get(provider_id).is_none_or(|known| known.is_gone(now));
        Answer::Terminated { provider_id: provider_id.clone(), result: Ok(gone) }
    }

    /// An instance ends, whoever wants it.
    pub fn end(&mut self, provider_id: &str, now: Timestamp) {
        self.count_to(now);
        if let Some(known) = self.instances.get_mut(provider_id).filter(|known| known.runs()) {
            known.ended = Some(now);
        }
    }

    /// What runs.
    pub fn list(&self) -> Answer {
        let shown = self.running().filter(|(_, known)| &*known.claim != HIDDEN);
        let running = shown.map(|(id, known)| Listed {
            provider_id: id.clone(),
            claim: known.claim.clone(),
            launched_at: known.since,
        });
        Answer::Listed(Ok(running.collect()))
    }

    pub fn get(&self, provider_id: &str) -> Option<&Running> {
        self.instances.get(provider_id)
    }

    pub fn get_mut(&mut self, provider_id: &str) -> Option<&mut Running> {
        self.instances.get_mut(provider_id)
    }

    pub fn running(&self) -> impl Iterator<Item = (&Arc<str>, &Running)> {
        self.instances.iter().filter(|(_, known)| known.runs())
    }

    /// Micro-dollars an hour.
    pub fn rate(&self) -> i64 {
        self.running().map(|(_, known)| known.price()).sum()
    }

    /// Micro-dollars so far.
    pub fn spent(&mut self, now: Timestamp) -> i64 {
        self.count_to(now);
        i64::try_from(self.spent / (3_600 * 1_000_000_000)).unwrap_or(i64::MAX)
    }

    fn count_to(&mut self, now: Timestamp) {
        let since = self.counted.replace(now).map_or(0, |then| now.duration_since(then).as_nanos());
        self.spent += i128::from(self.rate()) * since;
    }

    /// Some family cannot be had for a while, in a zone or everywhere.
    pub fn become_scarce(&mut self, random: &mut SplitMix64, now: Timestamp) {
        let families = ["c", "m", "r", "c5", "m5", "r5", "c6", "m6", "t3", "c7", "m7"];
        let zones: Vec<Arc<str>> = self.instances.values().map(|known| known.what.offering.zone.clone()).collect();
        let zone = if zones.is_empty() || random.between(0, 3) == 0 {
            None
        } else {
            let index = random.between(0, zones.len() as u64 - 1);
            usize::try_from(index).ok().and_then(|index| zones.get(index).cloned())
        };
        let until = after(now, Duration::from_secs(random.between(30, 900)));
        self.scarce.push(Scarcity { until, family: random.pick(&families).to_owned(), zone });
    }

    fn is_scarce(&self, kind: &InstanceType, offering: &Offering) -> bool {
        self.scarce.iter().any(|scarcity| {
            kind.name.starts_with(&scarcity.family) && scarcity.zone.as_ref().is_none_or(|zone| *zone == offering.zone)
        })
    }

    /// An instance of somebody who tells nobody.
    pub fn leak(&mut self, now: Timestamp) {
        let known = self.instances.values().next().map(|known| (known.what.clone(), known.user_data.clone()));
        let Some((what, user_data)) = known else { return };
        self.count_to(now);
        let leaked = Running {
            claim: HIDDEN.into(),
            user_data,
            what,
            since: now,
            ended: None,
            node: "hidden".into(),
            missing: 0,
        };
        self.instances.insert("aws:///hidden".into(), leaked);
    }

    /// Everything can be had again.
    pub fn end_scarcity(&mut self) {
        self.scarce.clear();
    }

    /// Instances that may be interrupted.
    pub fn spot(&self) -> Vec<Arc<str>> {
        let spot = self.running().filter(|(_, known)| known.what.offering.capacity_type == CapacityType::Spot);
        spot.map(|(id, _)| id.clone()).collect()
    }
}

impl Running {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.ended.is_some_and(|ended| after(ended, SHUTS_DOWN) <= now)
    }
}
