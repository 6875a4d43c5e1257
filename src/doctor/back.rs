//! What Karpenter would ignore or not do after moving back.

use super::{Check, Cluster, Level, counted, joined, some};
use crate::api::labels;
use crate::explain::edit::object_of;

const FEATURE_GATES: &str = "settings.featureGates of Karpenter's chart turns it on";

pub(super) fn back(cluster: &Cluster, mut check: Check) {
    let (objects, snapshot) = (cluster.objects, cluster.snapshot);
    for pool in &snapshot.node_pools {
        let object = format!("NodePool {}", pool.name);
        if pool.limits.usd_per_hour.is_some() {
            let alone = pool.limits.resources.is_empty() && pool.limits.nodes.is_none();
            let level = if alone { Level::Warning } else { Level::Note };
            let says = format!("Karpenter ignores the limit {}", labels::LIMIT_USD_PER_HOUR);
            check.find(level, object.clone(), says, if alone { "give it a limit of cpu beside it" } else { "" });
        }
        if pool.replicas.is_some() {
            let says = "is static: Karpenter keeps its nodes with the feature gate StaticCapacity alone";
            check.find(Level::Note, object.clone(), says, FEATURE_GATES);
        }
        if pool.node_class.kind.starts_with("KWOK") {
            check.find(
                Level::Note,
                object,
                "its nodes are played by kwok: Karpenter for AWS does not know its class",
                "",
            );
        }
    }
    for (key, class) in &objects.ec2_node_classes {
        if let (true, Some(alias)) = (class.object.spec.ami_selector_terms.is_empty(), class.object.spec.ami_alias()) {
            check.find(
                Level::Warning,
                format!("EC2NodeClass {}", key.name),
                "has no amiSelectorTerms: Karpenter demands them since 1.0, and refuses the class without",
                format!("amiSelectorTerms: [{{alias: {alias}}}] is what it means now; a version instead of latest keeps the image"),
            );
        }
    }
    let annotated = |key: &str| {
        let pools = objects.node_pools.iter().filter(|(_, pool)| {
            pool.object.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(key))
        });
        pools.map(|(name, _)| format!("NodePool {}", name.name)).collect::<Vec<_>>()
    };
    let pools = annotated(labels::CONSOLIDATION);
    if !pools.is_empty() {
        let says = format!(
            "Karpenter ignores the annotation {}, and consolidates as consolidationPolicy says",
            labels::CONSOLIDATION
        );
        check.find(Level::Note, some(&pools), says, "budgets: [{nodes: \"0\"}] keeps it from that");
    }
    for key in [labels::EVICTION_COST_USD, labels::DO_NOT_RESERVE] {
        let pods = snapshot.pods.iter().enumerate().filter(|(_, pod)| pod.template.annotations.contains_key(key));
        let pods = joined(pods.map(|(index, _)| object_of(snapshot, index)), "pod");
        if !pods.is_empty() {
            check.find(Level::Note, some(&pods), format!("Karpenter ignores the annotation {key}"), "");
        }
    }
    for (count, kind, gate) in [
        (objects.node_overlays.len(), "NodeOverlay", "NodeOverlay"),
        (objects.buffers.len(), "CapacityBuffer", "CapacityBuffer"),
    ] {
        if count > 0 {
            let says = format!("Karpenter looks at {} with the feature gate {gate} alone", counted(count, kind));
            check.find(Level::Note, "", says, FEATURE_GATES);
        }
    }
    let reserved: Vec<String> = snapshot
        .nodes
        .iter()
        .filter(|node| node.taints.iter().any(|taint| &*taint.key == labels::PLANNED))
        .map(|node| node.name.to_string())
        .collect();
    if !reserved.is_empty() {
        let says = format!("reserved for planned pods just now: {}", some(&reserved));
        check.find(Level::Note, "", says, "packwright release frees them once the controller is gone");
    }
    check.or_well("nothing that Karpenter would do differently was found");
}
