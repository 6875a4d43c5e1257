//! What a controller says: a host makes log lines, events and metrics of it.

mod why;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::disruptable::Disruptable;
use super::event::Subject;
use super::on_offer::OnOffer;
use super::saving::Saving;
use super::spend::Spend;
use super::valves::Valve;
use crate::api::labels;
use crate::cloud::InterruptionKind;
use crate::consolidation::Outlook;
use crate::disruption::Method;
use crate::observe::{InputError, Protection};
use crate::placement::{Landed, Loss};
use crate::plan::Certificate;
use crate::units::MicroUsd;
pub use why::{GivenUp, Kept};

/// How a node was bought, as its labels say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bought {
    /// Of the NodePool; empty for a claim that a person made.
    pub pool: String,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: String,
    /// Where it is.
    pub zone: String,
}

impl Bought {
    /// What the labels of a Node or a NodeClaim say.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let label =
            |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key).cloned()).unwrap_or_default();
        Self { pool: label(labels::NODEPOOL), capacity_type: label(labels::CAPACITY_TYPE), zone: label(labels::ZONE) }
    }
}

/// Something that happened. The words of the text are the reference's where it has some.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// An object cannot be read, and what is wrong with it.
    Unreadable(InputError),
    /// A write was not taken, and why.
    WriteFailed {
        /// What was to be written.
        subject: Subject,
        /// What the API server said.
        reason: String,
    },
    /// A batch is closed.
    FoundPods {
        /// How many pods.
        pods: usize,
    },
    /// A decision is there.
    Computed {
        /// Its number.
        question: u64,
        /// NodeClaims to create.
        claims: usize,
        /// Pods that are placed.
        placed: usize,
        /// Pods that are not.
        unplaced: usize,
        /// What is known of it.
        certificate: Box<Certificate>,
        /// Until its last answer.
        took: Duration,
    },
    /// A NodeClaim is to be created.
    Creating {
        /// Its name.
        claim: Arc<str>,
        /// Its pool.
        pool: Arc<str>,
        /// The planned pods.
        pods: usize,
        /// What is bought if it can be had.
        instance_type: Arc<str>,
    },
    /// A NodeClaim would be created if this were no shadow.
    Proposed {
        /// Of this pool.
        pool: Arc<str>,
        /// The planned pods.
        pods: usize,
        /// What would be bought if it could be had.
        instance_type: Arc<str>,
        /// Of an hour.
        price: MicroUsd,
    },
    /// A pod cannot be placed, and why.
    FailedScheduling {
        /// Which.
        pod: Subject,
        /// The reason, one sentence.
        reason: Arc<str>,
    },
    /// A pod is planned on a node that is there or on its way.
    Nominated {
        /// Which.
        pod: Subject,
        /// Where: a Node, or a NodeClaim that is being made.
        target: Subject,
    },
    /// An instance runs.
    Launched {
        /// For which claim.
        claim: Arc<str>,
        /// How the cloud calls it.
        provider_id: Arc<str>,
        /// What it is.
        instance_type: Arc<str>,
        /// Where it is.
        zone: Arc<str>,
    },
    /// There was no instance; it is tried again.
    LaunchFailed {
        /// For which claim.
        claim: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A claim comes to nothing: it is deleted, and its pods are planned anew.
    GaveUp {
        /// Which.
        claim: Arc<str>,
        /// In one word.
        why: GivenUp,
        /// In one sentence.
        reason: String,
    },
    /// A node came without the taint that keeps pods away until it is registered.
    UnregisteredTaintMissing {
        /// Of which claim.
        claim: Arc<str>,
    },
    /// A node is known to the cluster.
    Registered {
        /// Of which claim.
        claim: Arc<str>,
        /// Its name.
        node: Arc<str>,
    },
    /// A node is ready for pods.
    Initialized {
        /// Of which claim.
        claim: Arc<str>,
        /// Its name.
        node: Arc<str>,
    },
    /// A node has less than was bought.
    Inconsistent {
        /// Its claim.
        claim: Arc<str>,
        /// Of what.
        reason: String,
    },
    /// An instance could not be ended; it is tried again.
    TerminationFailed {
        /// Which.
        provider_id: Arc<str>,
        /// What the cloud said.
        reason: String,
    },
    /// The cloud does not say what runs; it is asked again.
    ListFailed {
        /// What it said.
        reason: String,
    },
    /// A claim says that it has an instance, and there is none.
    InstanceGone {
        /// Which claim.
        claim: Arc<str>,
        /// What is not there.
        provider_id: Arc<str>,
    },
    /// The cloud takes an instance away.
    Interrupted {
        /// Of which claim.
        claim: Arc<str>,
        /// Its node, where there is one.
        node: Option<Arc<str>>,
        /// Which.
        provider_id: Arc<str>,
        /// What happens to it.
        kind: InterruptionKind,
    },
    /// The cloud may take a spot instance away soon; nothing is done.
    RebalanceRecommended {
        /// Of which claim.
        claim: Arc<str>,
        /// Its node, where there is one.
        node: Option<Arc<str>>,
    },
    /// ARC has shifted away from a zone, or does not any more.
    ZonalShift {
        /// A pool that nodes would come from there.
        pool: Arc<str>,
        /// Its name.
        zone: Arc<str>,
        /// Its id, the same in all accounts.
        id: Arc<str>,
        /// Nothing is launched there.
        is_active: bool,
    },
    /// A claim is as old as it may become, and goes.
    Expired {
        /// Which.
        claim: Arc<str>,
    },
    /// A node has not been ready for too long, and goes.
    Unhealthy {
        /// Its claim.
        claim: Arc<str>,
        /// Its name.
        node: Arc<str>,
        /// What it says of itself.
        condition: &'static str,
    },
    /// A node has not been ready for too long, and stays: so are many others.
    RepairBlocked {
        /// Its name.
        node: Arc<str>,
        /// In one sentence.
        why: String,
    },
    /// A node is not what its pool asks for any more, or is again.
    Drifted {
        /// Its claim.
        claim: Arc<str>,
        /// Of the condition; `None`: it is again.
        reason: Option<&'static str>,
    },
    /// Something keeps a node, or the nodes of a pool.
    Kept {
        /// The Node, NodeClaim or NodePool.
        about: Subject,
        /// As the reference's events call it.
        kind: Kept,
        /// In one sentence.
        why: String,
    },
    /// How many nodes may be taken away has changed.
    Disruptable(Disruptable),
    /// What can be bought has changed, or for how much.
    Offered(Arc<OnOffer>),
    /// A node has nothing to do, and goes.
    Disrupting {
        /// Its claim.
        claim: Arc<str>,
        /// Of the condition `DisruptionReason`.
        reason: &'static str,
    },
    /// Nodes that are used go.
    Consolidating(Saving),
    /// They would if this were no shadow.
    WouldConsolidate(Saving),
    /// What the cluster comes to after the commands that were found, and at least whatever is done.
    Outlook(Outlook),
    /// Nodes were looked at whether they are to go because something else is cheaper.
    Examined {
        /// How many.
        nodes: usize,
        /// So long ago one of those that might go was looked at last, or became known.
        oldest: Duration,
    },
    /// A NodeClaim is to be created for others that go.
    Replacing {
        /// Its name.
        claim: Arc<str>,
        /// Its pool.
        pool: Arc<str>,
        /// The pods that come to it.
        pods: usize,
        /// What is bought if it can be had.
        instance_type: Arc<str>,
        /// Why the others go.
        method: Method,
    },
    /// Claims go once this one and those that come with it are initialized.
    AwaitingReplacement {
        /// Which comes.
        claim: Arc<str>,
    },
    /// Claims stay: what was to come for them has failed.
    NotReplaced {
        /// One of those that came.
        claim: Arc<str>,
        /// Why they were to go.
        method: Method,
        /// In one sentence.
        why: String,
    },
    /// A pod is asked to leave a node that goes.
    Evicting {
        /// Which.
        pod: Subject,
    },
    /// A pod is deleted, whatever protects it: the time of its node is over.
    Deleting {
        /// Which.
        pod: Subject,
        /// What it gets to end by itself.
        grace: Duration,
        /// Of the node.
        deadline: Timestamp,
    },
    /// A pod is not to be disrupted for a while, was not to be, or says so in a way that nobody understands.
    Protected {
        /// Which.
        pod: Subject,
        /// For how long.
        how: Protection,
    },
    /// No instance type that a pool allows can be had.
    NoCompatibleTypes {
        /// Which pool.
        pool: Arc<str>,
    },
    /// A pod may not leave yet, and what the API server says.
    EvictionDelayed {
        /// Which.
        pod: Subject,
        /// The node that it is to leave.
        node: Option<Arc<str>>,
        /// As a disruption budget that allows none.
        reason: String,
    },
    /// The pods of a node that goes have until then; then they are deleted, whatever protects them.
    GracePeriodExpiring {
        /// The claim of the node.
        claim: Arc<str>,
        /// Until when.
        deadline: Timestamp,
    },
    /// A node that goes still has volumes.
    AwaitingVolumes {
        /// Its name.
        node: Arc<str>,
    },
    /// A node and its instance are gone.
    NodeGone {
        /// Its name.
        node: Arc<str>,
        /// What it was.
        bought: Bought,
        /// Since it was deleted.
        lasted: Duration,
    },
    /// Nothing is left of a claim.
    ClaimGone {
        /// Its name.
        claim: Arc<str>,
        /// What it was.
        bought: Bought,
        /// Since it was deleted.
        lasted: Duration,
    },
    /// A valve binds: launches of a pool wait, its decisions are made by Karpenter's packing alone, or its nodes stay.
    HeldBack {
        /// Which valve.
        valve: Valve,
        /// Of which pool.
        pool: Arc<str>,
        /// Launches that wait.
        claims: usize,
    },
    /// What nodes cost has changed.
    Spending(Spend),
    /// It is not guaranteed that pods bind where they are planned.
    NotGuaranteed(Loss),
    /// Where the planned pods of a claim are.
    Landed(Landed),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}"),
            Self::WriteFailed { subject, reason } => write!(f, "failed to write {subject}: {reason}"),
            Self::FoundPods { pods } => write!(f, "found provisionable pod(s): {pods}"),
            Self::Computed { claims, placed, unplaced, certificate, .. } => write!(
                f,
                "computed {claims} new nodeclaim(s) for {placed} pod(s), {unplaced} cannot be placed: {} $/h, at least {}",
                certificate.objective, certificate.bound
            ),
            Self::Creating { claim, pool, pods, instance_type } => {
                write!(f, "created nodeclaim {claim} of nodepool {pool} for {pods} pod(s): {instance_type}")
            }
            Self::Proposed { pool, pods, instance_type, price } => {
                write!(f, "would create a nodeclaim of nodepool {pool} for {pods} pod(s): {instance_type}, {price} $/h")
            }
            Self::FailedScheduling { pod, reason } => write!(f, "{pod}: {reason}"),
            Self::Nominated { pod, target } => write!(f, "{pod} should schedule on {}", target.key.name),
            Self::Launched { claim, provider_id, instance_type, zone } => {
                write!(f, "launched nodeclaim {claim}: {instance_type} in {zone}, {provider_id}")
            }
            Self::LaunchFailed { claim, reason } => write!(f, "failed launching nodeclaim {claim}: {reason}"),
            Self::GaveUp { claim, why, reason } => write!(f, "gave up nodeclaim {claim} ({}): {reason}", why.label()),
            Self::UnregisteredTaintMissing { claim } => {
                write!(f, "the node of nodeclaim {claim} came without the taint {}", labels::TAINT_UNREGISTERED)
            }
            Self::Registered { claim, node } => write!(f, "registered nodeclaim {claim}: node {node}"),
            Self::Initialized { claim, node } => write!(f, "initialized nodeclaim {claim}: node {node}"),
            Self::Inconsistent { claim, reason } => write!(f, "nodeclaim {claim}: {reason}"),
            Self::TerminationFailed { provider_id, reason } => write!(f, "failed to terminate {provider_id}: {reason}"),
            Self::ListFailed { reason } => write!(f, "failed to list instances: {reason}"),
            Self::InstanceGone { claim, provider_id } => {
                write!(f, "garbage collected nodeclaim {claim}: {provider_id} is gone")
            }
            Self::RebalanceRecommended { claim, .. } => {
                write!(f, "spot rebalance recommendation for nodeclaim {claim}")
            }
            Self::Interrupted { claim, provider_id, kind, .. } => {
                write!(f, "interrupted nodeclaim {claim}: {} of {provider_id}", kind.label())
            }
            Self::ZonalShift { pool, zone, id, is_active: true } => {
                write!(f, "nodepool {pool}: a zonal shift away from {zone} ({id}) is active, nothing is launched there")
            }
            Self::ZonalShift { pool, zone, id, is_active: false } => {
                write!(f, "nodepool {pool}: the zonal shift away from {zone} ({id}) is over")
            }
            Self::Expired { claim } => write!(f, "deleted expired nodeclaim {claim}"),
            Self::Unhealthy { claim, node, condition } => {
                write!(f, "deleted nodeclaim {claim}: node {node} is unhealthy: {condition}")
            }
            Self::RepairBlocked { node, why } => write!(f, "node {node} is not repaired: {why}"),
            Self::Drifted { claim, reason: Some(reason) } => write!(f, "marked nodeclaim {claim} as drifted: {reason}"),
            Self::Drifted { claim, reason: None } => write!(f, "nodeclaim {claim} is not drifted any more"),
            Self::Kept { about, why, .. } => write!(f, "cannot disrupt {about}: {why}"),
            Self::Disruptable(disruptable) => write!(f, "{disruptable}"),
            Self::Offered(of) => write!(f, "{} instance types are on offer", of.0.len()),
            Self::Disrupting { claim, reason } => write!(f, "disrupting node of nodeclaim {claim}: {reason}"),
            Self::Consolidating(saving) => write!(f, "disrupting node(s) {saving}"),
            Self::Examined { nodes, oldest } => {
                write!(f, "examined {nodes} node(s) for consolidation, the others within {} s", oldest.as_secs())
            }
            Self::Outlook(Outlook { cost, least }) => {
                write!(f, "nodes may come to {cost}/h, and to no less than {least}/h whatever is done")
            }
            Self::WouldConsolidate(saving) => write!(f, "would disrupt node(s) {saving}"),
            Self::Replacing { claim, pool, pods, instance_type, .. } => {
                write!(f, "created nodeclaim {claim} of nodepool {pool} for {pods} pod(s) that move: {instance_type}")
            }
            Self::AwaitingReplacement { claim } => write!(f, "nodeclaim {claim} is waited for to disrupt others"),
            Self::NotReplaced { claim, why, .. } => write!(f, "nodeclaim {claim} replaces nothing: {why}"),
            Self::Evicting { pod } => write!(f, "evicting {pod}"),
            Self::Deleting { pod, grace, deadline } => write!(
                f,
                "deleting {pod} with {} s to end, whatever protects it: its node goes by {deadline}",
                grace.as_secs()
            ),
            Self::Protected { pod, how } => match how {
                Protection::Until(until) => write!(f, "{pod} is not disrupted until {until}"),
                Protection::Elapsed(until) => write!(f, "{pod} may be disrupted since {until}"),
                Protection::Invalid(value) => {
                    let key = labels::DO_NOT_DISRUPT;
                    write!(f, "{pod}: annotation {key} is ignored: expected true or a duration, found '{value}'")
                }
                Protection::None | Protection::Open => write!(f, "{pod}"),
            },
            Self::NoCompatibleTypes { pool } => {
                write!(f, "nodepool {pool}: no instance type that its requirements allow can be had")
            }
            Self::EvictionDelayed { pod, reason, .. } => write!(f, "{pod} cannot be evicted yet: {reason}"),
            Self::GracePeriodExpiring { deadline, .. } => write!(f, "all pods will be deleted by {deadline}"),
            Self::AwaitingVolumes { node } => write!(f, "node {node} awaits the detachment of its volumes"),
            Self::NodeGone { node, .. } => write!(f, "deleted node {node}"),
            Self::ClaimGone { claim, .. } => write!(f, "deleted nodeclaim {claim}"),
            Self::HeldBack { valve: valve @ Valve::EvictionsPerHour, pool, .. } => {
                write!(f, "nodepool {pool}: {valve} is reached, so nodes that pods use stay for now")
            }
            Self::HeldBack { valve, pool, claims: 0 } => {
                write!(f, "nodepool {pool}: {valve} is reached, so its pods are packed as Karpenter does")
            }
            Self::HeldBack { valve, pool, claims } => {
                write!(f, "nodepool {pool}: {valve} is reached, so {claims} nodeclaim(s) are not created")
            }
            Self::Spending(spend) => write!(f, "{spend:?}"),
            Self::NotGuaranteed(loss) => write!(f, "{loss}"),
            Self::Landed(landed) => write!(f, "{landed:?}"),
        }
    }
}
