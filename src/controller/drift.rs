//! NodeClaims that are not what their NodePool asks for any more, as their condition `Drifted` says.
//!
//! Source: the reference's `nodeclaim/disruption/drift.go` (karpenter-core 4.11), and what EC2 itself knows (karpenter-aws 1.6).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::class_hash;
use super::cluster::{Claimed, Cluster};
use super::conditions::{Conditions, LAUNCHED};
use super::garbage::Garbage;
use super::hash::{self, hash};
use super::market::Market;
use super::said::Said;
use super::turn::{Turn, later};
use crate::api::labels;
use crate::catalog::InstanceType;
use crate::cloud::ec2;
use crate::observe::requirements_of;
use crate::observe::snapshot::NodePool;
use crate::requirements::Requirements;

pub(super) const DRIFTED: &str = "Drifted";
const NODE_POOL: &str = "NodePoolDrifted";
const REQUIREMENTS: &str = "RequirementsDrifted";
const INSTANCE_TYPE: &str = "InstanceTypeNotFound";
/// What was bought a moment ago may not be listed yet.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// What a pool asks for now.
struct Wanted<'m> {
    pool: &'m NodePool,
    hash: String,
    /// Without the labels of the template, which are part of the hash.
    requirements: Requirements,
}

impl<'m> Wanted<'m> {
    fn of(cluster: &Cluster<'_>, market: &'m Market, name: &str) -> Option<Self> {
        let pool = market.pool(name)?;
        let requirements = requirements_of(&cluster.pool(name)?.spec.template.spec.requirements).ok()?;
        Some(Self { pool, hash: hash(pool), requirements })
    }
}

/// Sets the condition of the claims that are looked at, and takes it away from those that are what they should be again.
pub(super) fn step(cluster: &Cluster<'_>, market: &Market, garbage: &Garbage, turn: &mut Turn<'_>) {
    let mut pools: BTreeMap<&str, Option<Wanted<'_>>> = BTreeMap::new();
    let mut classes: BTreeMap<&str, String> = BTreeMap::new();
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        let Some(name) = claimed.pool() else { continue };
        let Some(wanted) = pools.entry(name).or_insert_with(|| Wanted::of(cluster, market, name)) else { continue };
        turn.about(claimed);
        let reason = if claimed.is(LAUNCHED) {
            reason(claimed, wanted, turn).or_else(|| class_reason(cluster, claimed, wanted, (garbage, &mut classes)))
        } else {
            None
        };
        note(claimed, reason, turn);
    }
    turn.about_all();
}

fn reason(claimed: &Claimed<'_>, wanted: &Wanted<'_>, turn: &mut Turn<'_>) -> Option<&'static str> {
    if hash::of_claim(claimed).is_some_and(|hash| hash != wanted.hash) {
        return Some(NODE_POOL);
    }
    let known = claimed.claim.metadata.labels.as_ref();
    let label = |key: &str| known.and_then(|labels| labels.get(key)).map(String::as_str);
    if !wanted.requirements.satisfied_by(label) {
        return Some(REQUIREMENTS);
    }
    let created = claimed.claim.metadata.creation_timestamp.as_ref()?.0;
    // without any type it is the node class that cannot be used
    let is_known = wanted.pool.instance_types.is_empty() || is_offered(wanted.pool, label);
    (!is_known && turn.is_due(later(created, YOUNG))).then_some(INSTANCE_TYPE)
}

/// What a class asks for now, if it is one of EC2.
fn class_reason<'c>(
    cluster: &Cluster<'c>,
    claimed: &Claimed<'c>,
    wanted: &Wanted<'_>,
    (garbage, classes): (&Garbage, &mut BTreeMap<&'c str, String>),
) -> Option<&'static str> {
    let of = &claimed.claim.spec.node_class_ref;
    let class = class_hash::class_of(&of.kind, &of.name, cluster.objects)?;
    let hash = classes.entry(&of.name).or_insert_with(|| class.spec.static_hash());
    if class_hash::of_claim(claimed).is_some_and(|of_claim| of_claim != *hash) {
        return Some(ec2::drift::NODE_CLASS);
    }
    let label = claimed.claim.metadata.labels.as_ref().and_then(|labels| labels.get(labels::INSTANCE_TYPE));
    let kind = label.and_then(|name| kind_of(wanted.pool, name));
    let status = claimed.claim.status.as_ref()?;
    let machine = status.provider_id.as_deref().and_then(|id| garbage.machine(id));
    ec2::drift::dynamic(class, kind, status.image_id.as_deref(), machine)
}

/// They are sorted by name.
fn kind_of<'p>(pool: &'p NodePool, name: &str) -> Option<&'p InstanceType> {
    let found = pool.instance_types.binary_search_by(|kind| (*kind.name).cmp(name));
    found.ok().map(|index| &pool.instance_types[index])
}

/// Whether the type is still sold where and as the claim has it, if it can be had now or not. A node on a reservation is as
/// good without it.
fn is_offered<'l>(pool: &NodePool, label: impl Fn(&str) -> Option<&'l str>) -> bool {
    let kind = label(labels::INSTANCE_TYPE).and_then(|name| kind_of(pool, name));
    let capacity_type = label(labels::CAPACITY_TYPE);
    let is_reserved = capacity_type == Some(labels::CAPACITY_RESERVED);
    let is_it = |sold: &str| capacity_type == Some(sold) || (is_reserved && sold == labels::CAPACITY_ON_DEMAND);
    kind.is_some_and(|kind| {
        let mut offerings = kind.offerings.iter();
        offerings.any(|of| label(labels::ZONE) == Some(&*of.zone) && is_it(of.capacity_type.label()))
    })
}

fn note(claimed: &Claimed<'_>, reason: Option<&'static str>, turn: &mut Turn<'_>) {
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let said = known.iter().find(|of| of.type_ == DRIFTED);
    if said.is_none() && reason.is_none() || said.is_some_and(|of| of.status == "True" && Some(&*of.reason) == reason) {
        return;
    }
    let mut conditions = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    match reason {
        Some(reason) => drop(conditions.set(DRIFTED, "True", reason, reason)),
        None => conditions.remove(DRIFTED),
    }
    if turn.patch_status("NodeClaim", &claimed.claim.metadata, &json!({"conditions": conditions.into_list()})) {
        turn.say_once_taken(Said::Drifted { claim: Arc::from(claimed.name()), reason });
    }
}
