//! Pods: what keeps them where they are, and what they ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Check, Cluster, Level, counted, joined, some};
use crate::api::labels;
use crate::catalog::InstanceType;
use crate::explain::edit::object_of;
use crate::model::rules;
use crate::observe::snapshot::{DaemonSet, Node, NodePool, Pod, PodSpec, Taint};
use crate::observe::{LetsGo, is_protection, when_all_run};
use crate::requirements::Undefined;
use crate::resources::{CPU, MEMORY};
use crate::units::MicroUsd;

/// Percent of the smallest node that daemonsets may take before it is said.
const MUCH: i64 = 25;

pub(super) fn budgets(cluster: &Cluster, mut check: Check) {
    let snapshot = cluster.snapshot;
    let budgets = when_all_run(cluster.objects, snapshot);
    let mut selecting = vec![0; snapshot.pods.len()];
    for budget in &budgets {
        let object = format!("PodDisruptionBudget {}", budget.key);
        if budget.pods.is_empty() {
            let remedy = "look at its selector and its namespace, unless its pods are still to come";
            check.find(Level::Note, object, "selects no pod", remedy);
            continue;
        }
        budget.pods.iter().for_each(|&pod| selecting[pod] += 1);
        let held: BTreeSet<&str> = budget.pods.iter().filter_map(|&pod| snapshot.pods[pod].node.as_deref()).collect();
        let allowed = snapshot.disruption_budgets.iter().find(|of| of.key == budget.key);
        let lets_one_go = if held.is_empty() {
            budget.lets_go == LetsGo::Some
        } else {
            allowed.is_none_or(|of| of.disruptions_allowed > 0)
        };
        if lets_one_go {
            continue;
        }
        let when = match budget.lets_go {
            LetsGo::Never => "never lets".to_owned(),
            LetsGo::NoneOfSoMany => format!("does not let, with {} as now,", budget.pods.len()),
            LetsGo::Some => "does not let, just now,".to_owned(),
        };
        let nodes: Vec<&Node> = snapshot.nodes.iter().filter(|node| held.contains(&*node.name)).collect();
        let kept = if nodes.is_empty() {
            "nodes that they come to cannot be taken away by choice".to_owned()
        } else {
            let usd = nodes.iter().filter_map(|node| node.price).sum::<MicroUsd>();
            format!("{} cannot be taken away by choice ({usd}/h)", counted(nodes.len(), "node"))
        };
        let says = format!("{when} any of its {} be evicted: {kept}", counted(budget.pods.len(), "pod"));
        let remedy = "maxUnavailable: 1, or a replica more; a terminationGracePeriod of the NodePool ends drains that wait for it";
        check.find(Level::Warning, object, says, remedy);
    }
    let twice = selecting.iter().enumerate().filter(|(_, count)| **count > 1);
    for name in joined(twice.map(|(index, _)| object_of(snapshot, index)), "pod") {
        let says = "several PodDisruptionBudgets select its pods: Kubernetes evicts none of them";
        check.find(Level::Warning, name, says, "leave one of them");
    }
    check.or_well(if budgets.is_empty() {
        "there is none".to_owned()
    } else {
        format!("{}: all let pods go", counted(budgets.len(), "PodDisruptionBudget"))
    });
}

pub(super) fn do_not_disrupt(cluster: &Cluster, mut check: Check) {
    let snapshot = cluster.snapshot;
    let is_true = |of: &Arc<str>| &**of == "true";
    let written = |pod: &Pod| pod.template.annotations.get(labels::DO_NOT_DISRUPT).cloned();
    let is_kept = |pod: &Pod| match pod.node {
        Some(_) => pod.disruption.do_not_disrupt.is_some_and(|of| of.is_active(snapshot.taken_at)),
        None => written(pod).is_some_and(|of| is_protection(&of)),
    };
    let named = |is_it: &dyn Fn(&Pod) -> bool| {
        let pods = snapshot.pods.iter().enumerate().filter(|(_, pod)| is_it(pod));
        joined(pods.map(|(index, _)| object_of(snapshot, index)), "pod")
    };
    let mistyped = |pod: &Pod| written(pod).is_some_and(|of| !is_protection(&of) && &*of != "false");
    let mistyped = named(&mistyped);
    if !mistyped.is_empty() {
        let says = format!("karpenter.sh/do-not-disrupt protects nothing, as it is not readable: {}", some(&mistyped));
        check.find(Level::Warning, "", says, "write \"true\", or a duration such as \"2h\"");
    }
    let kept = named(&is_kept);
    if !kept.is_empty() {
        let says = format!("karpenter.sh/do-not-disrupt keeps the nodes of {}", some(&kept));
        check.find(
            Level::Note,
            "",
            says,
            "packwright explain constraints says what that costs; a duration such as \"2h\" ends by itself",
        );
    }
    let nodes: Vec<String> =
        snapshot.nodes.iter().filter(|node| node.disruption.do_not_disrupt).map(|node| node.name.to_string()).collect();
    if !nodes.is_empty() {
        let says = format!("karpenter.sh/do-not-disrupt keeps {}", some(&nodes));
        check.find(Level::Note, "", says, "take the annotation off nodes that may go");
    }
    for pool in
        snapshot.node_pools.iter().filter(|pool| pool.annotations.get(labels::DO_NOT_DISRUPT).is_some_and(is_true))
    {
        let says = "each of its nodes gets karpenter.sh/do-not-disrupt: none goes by choice";
        check.find(
            Level::Note,
            format!("NodePool {}", pool.name),
            says,
            "take the annotation out of spec.template.metadata",
        );
    }
    check.or_well("nothing is kept by karpenter.sh/do-not-disrupt");
}

pub(super) fn requests(cluster: &Cluster, mut check: Check) {
    let snapshot = cluster.snapshot;
    let asks_nothing = |pod: &Pod| {
        let requests = &pod.template.spec.requests;
        requests.get(CPU) == 0 && requests.get(MEMORY) == 0 && !pod.is_daemon() && !pod.is_mirror()
    };
    let pods = snapshot.pods.iter().enumerate().filter(|(_, pod)| asks_nothing(pod));
    let without = joined(pods.map(|(index, _)| object_of(snapshot, index)), "pod");
    if !without.is_empty() {
        let says = format!("request neither cpu nor memory, and count as nothing: {}", some(&without));
        check.find(Level::Warning, "", says, "give them requests; a LimitRange gives defaults to a namespace");
    }
    check.or_well(if snapshot.pods.is_empty() { "there is no pod" } else { "every pod requests cpu or memory" });
}

pub(super) fn daemon_sets(cluster: &Cluster, mut check: Check) {
    let snapshot = cluster.snapshot;
    let all = &snapshot.daemon_sets;
    for of in all {
        let requests = &of.template.spec.requests;
        if requests.get(CPU) == 0 && requests.get(MEMORY) == 0 {
            let says = "requests neither cpu nor memory: each node has less room than plans count with";
            check.find(Level::Warning, format!("DaemonSet {}", of.key), says, "give it requests");
        } else if of.template.spec.priority <= 0 {
            let says = "has no priority: on a new node it waits in kube-scheduler's queue behind the pods that wait for the node";
            let remedy = "priorityClassName: system-node-critical; new nodes open sooner then (docs/placement.md)";
            check.find(Level::Note, format!("DaemonSet {}", of.key), says, remedy);
        }
    }
    for pool in &snapshot.node_pools {
        let smallest = [CPU, MEMORY].into_iter().filter_map(|resource| {
            let (kind, room) = smallest(pool, resource)?;
            let taken: i64 = running(pool, kind, all).map(|of| of.template.spec.requests.get(resource)).sum();
            Some((if room > 0 { taken.saturating_mul(100) / room } else { 0 }, resource, kind))
        });
        if let Some((part, resource, kind)) = smallest.max_by_key(|of| of.0).filter(|of| of.0 >= MUCH) {
            let says = format!(
                "daemonsets take {part} % of the {resource} of {}, the type with least of it that it may launch",
                kind.name
            );
            let remedy = "ask for larger types: karpenter.k8s.aws/instance-cpu with Gt, or fewer of instance-size";
            check.find(Level::Note, format!("NodePool {}", pool.name), says, remedy);
        }
    }
    let count = all.len();
    check.or_well(if count == 0 {
        "there is none".to_owned()
    } else {
        format!("{}, each with requests and a priority", counted(count, "DaemonSet"))
    });
}

/// The type of the pool that has least of a resource, and how much.
fn smallest<'p>(pool: &'p NodePool, resource: &str) -> Option<(&'p InstanceType, i64)> {
    let allowed = pool
        .instance_types
        .iter()
        .filter(|kind| kind.requirements.compatible(&pool.requirements, Undefined::AllowWellKnown).is_ok());
    allowed.map(|kind| (kind, kind.allocatable.get(resource))).min_by_key(|(_, room)| *room)
}

/// The daemonsets that run on nodes of a type.
fn running<'s>(pool: &NodePool, kind: &InstanceType, all: &'s [DaemonSet]) -> impl Iterator<Item = &'s DaemonSet> {
    let mut node = rules::once_initialized(&pool.requirements);
    node.add_all(&kind.requirements);
    let runs = move |spec: &PodSpec, taints: &[Taint]| rules::must_run(spec, taints, &node, Undefined::AllowWellKnown);
    let taints = pool.taints.clone();
    all.iter().filter(move |of| runs(&of.template.spec, &taints))
}
