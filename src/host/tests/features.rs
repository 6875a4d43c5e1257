//! What the generated worlds exercise: a property that never meets a rule says nothing about it.

use std::collections::BTreeMap;

use super::worlds::TEAM;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::{Checked, Plan, Target};
use crate::settings::{MinValuesPolicy, PreferencePolicy};

/// Feature -> in how many worlds it occurred.
#[derive(Debug, Default)]
pub struct Features(BTreeMap<&'static str, usize>);

impl Features {
    pub fn count(&mut self, snapshot: &Snapshot, plan: &Plan<Checked>) {
        let of_snapshot = of_pools(snapshot).into_iter().chain(of_nodes(snapshot)).chain(of_cluster(snapshot));
        for (feature, occurs) in of_snapshot.chain(of_placed(snapshot, plan)).chain(of_plan(snapshot, plan)) {
            *self.0.entry(feature).or_default() += usize::from(occurs);
        }
    }

    pub fn assert_all(&self) {
        let missing: Vec<_> = self.0.iter().filter(|(_, times)| **times == 0).collect();
        assert!(!self.0.is_empty() && missing.is_empty(), "never met: {missing:?}");
    }
}

type Found = Vec<(&'static str, bool)>;

fn of_pools(snapshot: &Snapshot) -> Found {
    let any = |test: fn(&NodePool) -> bool| snapshot.node_pools.iter().any(test);
    vec![
        ("pool weight", any(|p| p.weight > 0)),
        ("pool taint", any(|p| !p.taints.is_empty())),
        ("pool startup taint", any(|p| !p.startup_taints.is_empty())),
        ("limit of cpu", any(|p| p.limits.resources.get("cpu") > 0)),
        ("limit of memory", any(|p| p.limits.resources.get("memory") > 0)),
        ("limit of nodes", any(|p| p.limits.nodes.is_some())),
        ("spend cap", any(|p| p.limits.usd_per_hour.is_some())),
        ("minValues", any(|p| p.requirements.iter().any(|(_, r)| r.min_values.is_some()))),
        ("custom label open", any(|p| p.requirements.get(TEAM).is_some_and(|r| r.finite_values().is_none()))),
        (
            "custom label of a set",
            any(|p| p.requirements.get(TEAM).is_some_and(|r| r.finite_values().is_some_and(|v| v.len() > 1))),
        ),
        ("taint with a number", any(|p| p.taints.iter().any(|taint| &*taint.key == "sla"))),
        ("static pool", any(|p| p.replicas.is_some())),
        ("unusable pool", any(|p| p.unusable.is_some())),
    ]
}

fn of_nodes(snapshot: &Snapshot) -> Found {
    let any = |test: fn(&Node) -> bool| snapshot.nodes.iter().any(test);
    vec![
        ("in-flight node", any(|n| n.stage == NodeStage::InFlight)),
        ("registered node", any(|n| n.stage == NodeStage::Registered)),
        ("unmanaged node", any(|n| n.pool.is_none())),
        ("deleting node", any(|n| n.deleting)),
        ("cordoned node", any(|n| n.taints.iter().any(|t| &*t.key == labels::TAINT_UNSCHEDULABLE))),
        ("attach limit", any(|n| !n.attach_limits.is_empty())),
    ]
}

fn of_cluster(snapshot: &Snapshot) -> Found {
    let any = |test: fn(&Pod) -> bool| snapshot.pods.iter().any(test);
    let daemon = |test: fn(&PodSpec) -> bool| snapshot.daemon_sets.iter().any(|d| test(&d.template.spec));
    vec![
        ("preferences ignored", snapshot.settings.preference_policy == PreferencePolicy::Ignore),
        ("minValues best effort", snapshot.settings.min_values_policy == MinValuesPolicy::BestEffort),
        ("displaced pod", any(|p| p.displaced)),
        ("terminating pod", any(|p| p.terminating)),
        ("refused pod", any(|p| p.refused.is_some())),
        ("bound pod with anti-affinity", any(|p| !p.is_pending() && !p.template.spec.pod_anti_affinity.is_empty())),
        ("bound daemon pod", any(|p| p.owner.is_some())),
        ("daemonset with selector", daemon(|s| !s.node_selector.is_empty())),
        ("daemonset with affinity", daemon(|s| !s.node_affinity.is_empty())),
        ("daemonset with host port", daemon(|s| !s.host_ports.is_empty())),
    ]
}

/// Of pods that were placed: only these test a rule.
fn of_placed(snapshot: &Snapshot, plan: &Plan<Checked>) -> Found {
    fn spread(spec: &PodSpec, key: &str) -> bool {
        let hard = spec.topology_spread.iter().filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
        hard.into_iter().any(|c| &*c.topology_key == key)
    }
    let any = |test: fn(&PodSpec) -> bool| plan.assignments.iter().any(|a| test(&snapshot.pods[a.pod].template.spec));
    let hard = |c: &TopologySpreadConstraint| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule;
    let of_any_spread = |test: fn(&TopologySpreadConstraint) -> bool| {
        let specs = plan.assignments.iter().map(|a| &snapshot.pods[a.pod].template.spec);
        specs.flat_map(|spec| &spec.topology_spread).filter(|c| hard(c)).any(test)
    };
    vec![
        ("placed: node selector", any(|s| !s.node_selector.is_empty())),
        ("placed: node affinity terms", any(|s| s.node_affinity.len() > 1)),
        ("placed: preferred node affinity", any(|s| !s.preferred_node_affinity.is_empty())),
        ("placed: zone spread", any(|s| spread(s, labels::ZONE))),
        ("placed: host spread", any(|s| spread(s, labels::HOSTNAME))),
        ("placed: capacity type spread", any(|s| spread(s, labels::CAPACITY_TYPE))),
        ("placed: custom spread", any(|s| spread(s, TEAM))),
        ("placed: two spreads", any(|s| s.topology_spread.len() > 1)),
        ("placed: minDomains", of_any_spread(|c| c.min_domains.is_some())),
        ("placed: maxSkew 2", of_any_spread(|c| c.max_skew > 1)),
        ("placed: taints policy", of_any_spread(|c| c.node_taints_policy == NodeInclusionPolicy::Honor)),
        ("placed: affinity policy", of_any_spread(|c| c.node_affinity_policy == NodeInclusionPolicy::Ignore)),
        ("placed: affinity", any(|s| !s.pod_affinity.is_empty())),
        ("placed: two affinity terms", any(|s| s.pod_affinity.len() > 1)),
        ("placed: anti-affinity", any(|s| !s.pod_anti_affinity.is_empty())),
        ("placed: namespace selector", any(|s| s.pod_anti_affinity.iter().any(|t| t.namespace_selector.is_some()))),
        ("placed: preferred affinity", any(|s| !s.preferred_pod_affinity.is_empty())),
        ("placed: preferred anti-affinity", any(|s| !s.preferred_pod_anti_affinity.is_empty())),
        ("placed: host port", any(|s| !s.host_ports.is_empty())),
        ("placed: volume with topology", any(|s| s.volumes.iter().any(|v| !v.topology.is_empty()))),
        ("placed: volume with driver", any(|s| s.volumes.iter().any(|v| v.driver.is_some()))),
        ("placed: ReadWriteOncePod", any(|s| s.volumes.iter().any(|v| v.single_pod))),
        ("placed: gpu", any(|s| s.requests.get(super::worlds::GPU) > 0)),
        ("placed: priority", any(|s| s.priority > 0)),
        ("placed: toleration", any(|s| !s.tolerations.is_empty())),
    ]
}

fn of_plan(snapshot: &Snapshot, plan: &Plan<Checked>) -> Found {
    let launch = |test: &dyn Fn(&NodePool) -> bool| plan.launches.iter().any(|l| test(&snapshot.node_pools[l.pool]));
    let node = |test: &dyn Fn(&Node) -> bool| {
        plan.assignments.iter().any(|a| matches!(a.target, Target::Existing(n) if test(&snapshot.nodes[n])))
    };
    let bought = |of: CapacityType| plan.launches.iter().any(|l| l.capacity_type == of);
    vec![
        ("bought: reserved", bought(CapacityType::Reserved)),
        ("bought: spot", bought(CapacityType::Spot)),
        ("bought: on-demand", bought(CapacityType::OnDemand)),
        ("bought: several offers", plan.launches.iter().any(|l| l.offers.len() > 1)),
        ("bought: from a limited pool", launch(&|p| !p.limits.resources.is_empty() || p.limits.nodes.is_some())),
        ("bought: under a spend cap", launch(&|p| p.limits.usd_per_hour.is_some())),
        ("bought: with minValues", launch(&|p| p.requirements.iter().any(|(_, r)| r.min_values.is_some()))),
        ("bought: from a weighted pool", launch(&|p| p.weight > 0)),
        ("bought: from a tainted pool", launch(&|p| !p.taints.is_empty())),
        ("bought: custom label written", plan.launches.iter().any(|l| l.labels.contains_key(TEAM))),
        ("used: existing node", node(&|n| n.stage == NodeStage::Initialized)),
        ("used: in-flight node", node(&|n| n.stage == NodeStage::InFlight)),
        ("used: tainted node", node(&|n| !n.taints.is_empty())),
        ("used: node with attach limit", node(&|n| !n.attach_limits.is_empty())),
        ("some pod is left", !plan.unplaced.is_empty()),
    ]
}
