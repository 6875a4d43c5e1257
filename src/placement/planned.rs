//! The plan of one claim, as the annotation `packwright.dev/planned-pods` of its NodeClaim: a new process finds it there. A claim
//! for which no pod is planned has it too, as `{}`: by it a claim is known as ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::observe::Snapshot;
use crate::observe::snapshot::{Pod, PodKey};
use crate::plan::{Plan, Target};

/// Which pods a node is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimPlan {
    /// Pods that exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PlannedPod>,
    /// Pods that will be made when others are evicted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<ExpectedPods>,
    /// The nodes from which those are evicted, by name. It is over once none of them exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<Arc<str>>,
    /// Extended resources that the pods need and that something on the node must publish first, such as
    /// `nvidia.com/gpu`, with their amounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extended: BTreeMap<Arc<str>, i64>,
}

/// One pod that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlannedPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name, which a StatefulSet gives again.
    pub name: Arc<str>,
    /// Its uid, which nothing gives again.
    pub uid: Arc<str>,
    /// When it may bind: after the pods of lower turns that the same decision planned, on whatever nodes, so that spreads and
    /// affinities hold on the way.
    #[serde(default)]
    pub turn: usize,
}

/// Pods that do not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExpectedPods {
    /// Of them and their owner.
    pub namespace: Arc<str>,
    /// The uid of the controller that will make them.
    pub owner: Arc<str>,
    /// What they will look like: [`crate::placement::signature::signature`] of a pod like them.
    pub signature: Arc<str>,
    /// How many.
    pub count: usize,
}

impl PlannedPod {
    /// A pod of the cluster.
    #[must_use]
    pub fn of(pod: &Pod, turn: usize) -> Self {
        let PodKey { namespace, name } = pod.key.clone();
        Self { namespace, name, uid: pod.uid.clone(), turn }
    }
}

impl ClaimPlan {
    /// The pods of a launch, by its index, and the extended resources that they need. Pods that are not in the cluster yet are
    /// left out: virtual ones, those that an owner is still to make, and those that are to be evicted first. Whoever evicts
    /// them adds them as `expected`.
    #[must_use]
    pub fn of_launch<State>(snapshot: &Snapshot, plan: &Plan<State>, launch: usize) -> Self {
        let turns = plan.assignments.iter().enumerate();
        let here = turns.filter(|(_, assignment)| assignment.target == Target::Launch(launch));
        let pods = here.map(|(turn, assignment)| (turn, &snapshot.pods[assignment.pod]));
        let mut found = Self::default();
        for (turn, pod) in pods.filter(|(_, pod)| pod.node.is_none() && !pod.buffer && pod.created_at.is_some()) {
            found.pods.push(PlannedPod::of(pod, turn));
            for (name, amount) in pod.template.spec.requests.iter().filter(|(name, _)| is_extended(name)) {
                *found.extended.entry(name.clone()).or_default() += amount;
            }
        }
        found
    }

    /// The value of the annotation.
    #[must_use]
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers can be written as JSON")
    }

    /// Reads the annotation.
    ///
    /// # Errors
    /// It is no such JSON; the message says where.
    pub fn from_annotation(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("expected the planned pods as JSON: {error}"))
    }

    /// Whether no pod is planned: no node is reserved for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.expected.iter().all(|expected| expected.count == 0)
    }
}

/// Whether something on the node must publish the resource: its name has a domain that is not Kubernetes' own.
fn is_extended(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, _)| domain != "kubernetes.io" && !domain.ends_with(".kubernetes.io"))
}

/// Kubernetes takes so many characters as the value of a taint.
const LONGEST_VALUE: usize = 63;
/// Characters that a long name keeps, and hexadecimal digits that tell it from others that begin so.
const KEPT: usize = 46;
const DIGITS: usize = 16;

/// What taint and tolerations call a claim: its name, which is a DNS subdomain, shortened where it is too long for them.
#[must_use]
pub fn taint_value(claim: &str) -> String {
    if claim.len() <= LONGEST_VALUE {
        return claim.to_owned();
    }
    let kept: String = claim.chars().take(KEPT).collect();
    format!("{kept}-{}", &digest(claim)[..DIGITS])
}

/// SHA-256 in hexadecimal digits.
pub(super) fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan = ClaimPlan {
            pods: vec![PlannedPod { namespace: "shop".into(), name: "web-1".into(), uid: "u-1".into(), turn: 3 }],
            expected: vec![ExpectedPods {
                namespace: "shop".into(),
                owner: "o-1".into(),
                signature: "s".into(),
                count: 2,
            }],
            replaces: vec!["old".into()],
            extended: BTreeMap::from([("nvidia.com/gpu".into(), 4)]),
        };
        assert_eq!(ClaimPlan::from_annotation(&plan.to_annotation()), Ok(plan));
        assert_eq!(ClaimPlan::from_annotation("{}"), Ok(ClaimPlan::default()));
        assert!(ClaimPlan::from_annotation("[").unwrap_err().starts_with("expected the planned pods as JSON: EOF"));
    }

    #[test]
    fn what_nodes_have_by_themselves_is_not_waited_for() {
        for (name, expected) in
            [("cpu", false), ("hugepages-2Mi", false), ("example.kubernetes.io/core", false), ("nvidia.com/gpu", true)]
        {
            assert_eq!(is_extended(name), expected, "{name}");
        }
    }

    #[test]
    fn long_names_fit_into_a_taint_and_stay_apart() {
        assert_eq!(taint_value("default-7c2xv"), "default-7c2xv");
        let (one, two) = (taint_value(&format!("{}-a", "x".repeat(70))), taint_value(&format!("{}-b", "x".repeat(70))));
        assert!(one.len() <= LONGEST_VALUE && one != two, "{one} {two}");
    }
}
