//! Claims for which a fleet may have been asked before: the process that asked is gone, or its answer never came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::answer;
use crate::api::labels;
use crate::catalog::Offering;
use crate::cloud::ec2::Filter;
use crate::cloud::ec2::listing::{FoundInstance, provider_id};
use crate::cloud::{Instance, Launch};

/// A claim that has the token of a launch, or may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its uid.
    pub uid: Arc<str>,
    /// The instance that its status names.
    pub provider_id: Option<Arc<str>>,
}

/// What to look for before anything is sent again: instances of these tokens that are there, the filters of each call.
#[must_use]
pub fn filters(tokens: &BTreeSet<Arc<str>>) -> Vec<Vec<Filter>> {
    const THERE: [&str; 4] = ["pending", "running", "stopping", "stopped"];
    let all: Vec<&str> = tokens.iter().map(|token| &**token).collect();
    let of_tokens = Filter::for_calls(&format!("tag:{}", labels::LAUNCH), &all, THERE.len());
    of_tokens.into_iter().map(|of| vec![of, Filter::new("instance-state-name", THERE)]).collect()
}

/// Which instances are whose: a claim keeps the one that its status names; of the others the first by id goes to the first claim by
/// uid, and so on, which is also the order in which the answer of CreateFleet was dealt out. `holders`: all claims with the token.
#[must_use]
pub fn assign<'i>(holders: &[Holder], instances: &'i [FoundInstance]) -> BTreeMap<Arc<str>, &'i FoundInstance> {
    let called = |instance: &FoundInstance| provider_id(&instance.zone, &instance.id);
    let kept: BTreeMap<Arc<str>, &Holder> =
        holders.iter().filter_map(|holder| Some((holder.provider_id.clone()?, holder))).collect();
    let mut found = BTreeMap::new();
    let mut free: Vec<&FoundInstance> = Vec::new();
    for instance in instances.iter().filter(|instance| instance.state.is_there()) {
        match kept.get(&called(instance)) {
            Some(holder) => drop(found.insert(holder.uid.clone(), instance)),
            None => free.push(instance),
        }
    }
    free.sort_by(|a, b| a.id.cmp(&b.id));
    let waiting: BTreeSet<&Arc<str>> =
        holders.iter().filter(|holder| holder.provider_id.is_none()).map(|holder| &holder.uid).collect();
    found.extend(waiting.into_iter().cloned().zip(free));
    found
}

/// An instance that was found as the answer to a launch; `None` where it is of a type that the launch does not know any more, or was
/// bought in a way that it does not.
#[must_use]
pub fn instance(launch: &Launch, found: &FoundInstance) -> Option<Instance> {
    let template = launch.node.as_ref()?.as_ref().ok()?;
    let kind = launch.types.iter().find(|kind| *kind.name == *found.instance_type)?;
    let is_bought = |offering: &&Offering| {
        *offering.zone == *found.zone
            && offering.capacity_type == found.capacity_type()
            && offering.reservation.as_ref().map(|of| &*of.id) == found.reservation.as_deref()
    };
    let offering = kind.offerings.iter().find(is_bought)?;
    Some(answer::instance(template, &found.id, kind, offering, &found.image_id))
}
