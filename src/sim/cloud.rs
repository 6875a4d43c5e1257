//! The cloud: instances that are launched, run, cost money and end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::chance::Draw;
use super::queue::after;
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::cloud::{Answer, Instance, Launch, LaunchError, Listed, Machine, OfferingName};
use crate::units::MicroUsd;

/// Of an instance that no list shows.
const HIDDEN: &str = "hidden";
/// How long an instance takes to shut down.
const SHUTS_DOWN: Duration = Duration::from_secs(20);
/// Families of which one cannot be had for a while.
const FAMILIES: [&str; 11] = ["c", "m", "r", "c5", "m5", "r5", "c6", "m6", "t3", "c7", "m7"];

/// Instances, and what cannot be had now.
#[derive(Debug, Default)]
pub(super) struct Cloud {
    /// By provider id: those that run, and those that have ended.
    running: BTreeMap<Arc<str>, Running>,
    ended: HashMap<Arc<str>, Running>,
    /// The running instance of a claim, by its uid.
    of_claims: HashMap<Arc<str>, Arc<str>>,
    /// That were ever launched.
    launched: usize,
    scarce: Vec<Scarcity>,
    /// What runs, in micro-dollars an hour.
    rate: i64,
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
    /// A process had asked for it that does not act any more, and its claim was being deleted by then.
    pub is_late: bool,
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

    fn price(&self) -> i64 {
        self.what.offering.price.0
    }

    fn is_gone(&self, now: Timestamp) -> bool {
        self.ended.is_some_and(|ended| after(ended, SHUTS_DOWN) <= now)
    }

    fn is_spot(&self) -> bool {
        self.what.offering.capacity_type == CapacityType::Spot
    }
}

impl Cloud {
    /// An instance for a claim: the one that it has, or the first option that can be had.
    pub fn launch(&mut self, request: &Launch, claim: Arc<Value>, now: Timestamp) -> (Answer, Option<Arc<str>>) {
        let of = |result| Answer::Launched { claim: request.uid.clone(), result };
        if let Some(known) = self.of_claim(&request.uid) {
            return (of(Ok(Box::new(known.what.clone()))), None);
        }
        self.scarce.retain(|scarcity| scarcity.until > now);
        let bought = request.offerings().find(|(kind, offering)| !self.is_scarce(kind, offering));
        let Some((kind, offering)) = bought else {
            let all = request.offerings().map(|(kind, offering)| OfferingName::of(kind, offering)).collect();
            return (of(Err(LaunchError::InsufficientCapacity(all))), None);
        };
        self.launched += 1;
        let number = self.launched;
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
            is_late: false,
        };
        self.begin(provider_id.clone(), running, now);
        (of(Ok(Box::new(what))), Some(provider_id))
    }

    fn begin(&mut self, provider_id: Arc<str>, running: Running, now: Timestamp) {
        self.count_to(now);
        self.rate += running.price();
        self.of_claims.insert(running.claim.clone(), provider_id.clone());
        self.running.insert(provider_id, running);
    }

    /// Whether there is no such instance any more.
    pub fn terminate(&mut self, provider_id: &Arc<str>, now: Timestamp) -> Answer {
        self.end(provider_id, now);
        let gone = self.get(provider_id).is_none_or(|known| known.is_gone(now));
        Answer::Terminated { provider_id: provider_id.clone(), result: Ok(gone) }
    }

    /// An instance ends, whoever wants it. Whether it ran.
    pub fn end(&mut self, provider_id: &str, now: Timestamp) -> bool {
        self.count_to(now);
        let Some((id, mut known)) = self.running.remove_entry(provider_id) else { return false };
        self.rate -= known.price();
        self.of_claims.remove(&known.claim);
        known.ended = Some(now);
        self.ended.insert(id, known);
        true
    }

    /// What runs.
    pub fn list(&self) -> Answer {
        let shown = self.running().filter(|(_, known)| &*known.claim != HIDDEN);
        let running = shown.map(|(id, known)| Listed {
            provider_id: id.clone(),
            claim: Some(known.claim.clone()),
            launch: None,
            claim_name: None,
            launched_at: known.since,
            pool: known.user_data["metadata"]["labels"][labels::NODEPOOL].as_str().map(Arc::from),
            machine: Some(Machine {
                instance_type: known.what.kind.name.clone(),
                zone: known.what.offering.zone.clone(),
                capacity_type: known.what.offering.capacity_type,
                image_id: Arc::from(""),
                subnet_id: None,
                security_groups: Vec::new(),
                reservation: None,
                placement_group: None,
                partition: None,
            }),
        });
        Answer::Listed(Ok(running.collect()))
    }

    /// An instance that runs, or has.
    pub fn get(&self, provider_id: &str) -> Option<&Running> {
        self.running.get(provider_id).or_else(|| self.ended.get(provider_id))
    }

    pub fn get_mut(&mut self, provider_id: &str) -> Option<&mut Running> {
        self.running.get_mut(provider_id)
    }

    /// The instance that runs for a claim.
    pub fn of_claim(&self, uid: &str) -> Option<&Running> {
        self.running.get(self.of_claims.get(uid)?)
    }

    pub fn running(&self) -> impl Iterator<Item = (&Arc<str>, &Running)> {
        self.running.iter()
    }

    /// Micro-dollars an hour.
    pub fn rate(&self) -> i64 {
        self.rate
    }

    /// Micro-dollars so far.
    pub fn spent(&mut self, now: Timestamp) -> i64 {
        self.count_to(now);
        i64::try_from(self.spent / (3_600 * 1_000_000_000)).unwrap_or(i64::MAX)
    }

    fn count_to(&mut self, now: Timestamp) {
        let since = self.counted.replace(now).map_or(0, |then| now.duration_since(then).as_nanos());
        self.spent += i128::from(self.rate) * since;
    }

    /// From now on spot instances cost what these prices say, by type and zone.
    pub fn reprice(&mut self, price: impl Fn(&str, &str) -> Option<MicroUsd>, now: Timestamp) {
        self.count_to(now);
        for known in self.running.values_mut().filter(|known| known.is_spot()) {
            if let Some(price) = price(&known.what.kind.name, &known.what.offering.zone) {
                known.what.offering.price = price;
            }
        }
        self.rate = self.running.values().map(Running::price).sum();
    }

    /// Some family cannot be had for a while, in one of these zones or everywhere.
    pub fn become_scarce(&mut self, zones: &[Arc<str>], draw: &mut Draw, now: Timestamp) {
        let is_everywhere = draw.between(0, 3) == 0;
        let zone = draw.one_of(zones).filter(|_| !is_everywhere);
        let family = draw.one_of(&FAMILIES).unwrap_or_default().to_owned();
        let until = after(now, Duration::from_secs(draw.between(30, 900)));
        self.scarce.push(Scarcity { until, family, zone });
    }

    fn is_scarce(&self, kind: &InstanceType, offering: &Offering) -> bool {
        self.scarce.iter().any(|scarcity| {
            kind.name.starts_with(&scarcity.family) && scarcity.zone.as_ref().is_none_or(|zone| *zone == offering.zone)
        })
    }

    /// An instance of somebody who tells nobody.
    pub fn leak(&mut self, now: Timestamp) {
        let known = self.running.values().next().map(|known| (known.what.clone(), known.user_data.clone()));
        let Some((what, user_data)) = known else { return };
        let leaked = Running {
            claim: HIDDEN.into(),
            user_data,
            what,
            since: now,
            ended: None,
            node: HIDDEN.into(),
            missing: 0,
            is_late: false,
        };
        self.begin("aws:///hidden".into(), leaked, now);
    }

    /// Everything can be had again.
    pub fn end_scarcity(&mut self) {
        self.scarce.clear();
    }

    /// Instances that may be interrupted.
    pub fn spot(&self) -> Vec<Arc<str>> {
        self.running().filter(|(_, known)| known.is_spot()).map(|(id, _)| id.clone()).collect()
    }
}
