//! The placement group of a node and the partition that EC2 has chosen there, as labels of node and claim.
//!
//! Source: the reference's hook at registration, which reads the partition by DescribeInstances (karpenter-aws 1.6).

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::class_hash::class_of;
use super::cluster::{Claimed, Cluster};
use super::conditions::{LAUNCHED, since};
use super::garbage::Garbage;
use super::turn::Turn;
use crate::api::labels;
use crate::cloud::{Machine, Provider};

/// Looks at the claims of classes that name one.
pub(super) fn step(cluster: &Cluster<'_>, garbage: &mut Garbage, turn: &mut Turn<'_>) {
    if turn.settings.provider != Provider::Ec2 {
        return;
    }
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()) {
        let of = &claimed.claim.spec.node_class_ref;
        let class = class_of(&of.kind, &of.name, cluster.objects);
        let launched = claimed.claim.status.as_ref().and_then(|status| since(&status.conditions, LAUNCHED));
        let (Some(_), Some(launched)) = (class.and_then(|of| of.spec.placement_group_selector.as_ref()), launched)
        else {
            continue;
        };
        turn.about(claimed);
        match garbage.machine(claimed.provider_id()).map(labels_of) {
            Some(wanted) => label(claimed, &wanted, turn),
            // it is listed soon after it was launched, so that pods find the label when the node opens
            None => drop(garbage.has_listed_since(launched, turn)),
        }
    }
    turn.about_all();
}

fn labels_of(machine: &Machine) -> Map<String, Value> {
    let group = machine.placement_group.iter().map(|id| (labels::PLACEMENT_GROUP_ID.to_owned(), json!(id)));
    let partition = machine
        .partition
        .iter()
        .map(|number| (labels::PLACEMENT_GROUP_PARTITION.to_owned(), json!(number.to_string())));
    group.chain(partition).collect()
}

/// The node first: a node that comes later gets those of its claim.
fn label(claimed: &Claimed<'_>, wanted: &Map<String, Value>, turn: &mut Turn<'_>) {
    let lacks = |meta: &ObjectMeta| {
        let own = |key: &String| meta.labels.as_ref().and_then(|of| of.get(key)).map(String::as_str);
        wanted.iter().any(|(key, value)| own(key) != value.as_str())
    };
    let body = || json!({"metadata": {"labels": wanted}});
    let node: Option<&&Arc<_>> = claimed.nodes.iter().find(|node| lacks(&node.metadata));
    if let Some(node) = node {
        turn.patch("Node", &node.metadata, body());
    } else if lacks(&claimed.claim.metadata) {
        turn.patch("NodeClaim", &claimed.claim.metadata, body());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Answer;
    use crate::controller::Step;
    use crate::controller::action::{Action, Verb, Write};
    use crate::controller::index::Index;
    use crate::controller::settings::ControllerSettings;
    use crate::controller::writes::Writes;
    use crate::observe::RawObject;
    use crate::observe::input::Origin;
    use crate::observe::objects::Objects;

    const ID: &str = "aws:///a/i-1";
    const LAUNCHED_AT: &str = "2026-01-01T00:00:00Z";

    /// What is done about a claim of a class with this selector and its node, each with these labels, a minute after the launch.
    fn done(selector: &Value, claim: &Value, node: Option<&Value>, listed: Option<(&str, i32)>) -> Vec<String> {
        let meta = |name: &str, labels: &Value| {
            json!({"name": name, "uid": name, "resourceVersion": "1", "labels": labels,
                "annotations": {labels::PLANNED_PODS: "{}"}})
        };
        let launched = json!([{"type": "Launched", "status": "True", "reason": "Launched", "message": "",
            "lastTransitionTime": LAUNCHED_AT}]);
        let mut all = vec![
            json!({"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "c"},
                "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "placementGroupSelector": selector}}),
            json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": meta("claim", claim),
                "status": {"providerID": ID, "conditions": launched},
                "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c"}}}),
        ];
        all.extend(node.map(|labels| {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": meta("node", labels), "spec": {"providerID": ID}})
        }));
        let objects = Objects::collect(all.into_iter().map(|value| RawObject { value, origin: Origin::default() }));
        assert!(objects.errors.is_empty(), "{:?}", objects.errors);
        let settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let (mut writes, mut step, mut garbage) = (Writes::default(), Step::default(), Garbage::default());
        let mut turn = Turn { now, settings: &settings, writes: &mut writes, step: &mut step };
        let index = Index::of(&objects);
        let cluster = Cluster::of(&objects, &index, Provider::Ec2, None);
        if let Some((group, partition)) = listed {
            garbage.has_listed_since(LAUNCHED_AT.parse().unwrap(), &mut turn);
            turn.step.actions.clear();
            let machine = Machine {
                placement_group: Some(group.into()),
                partition: Some(partition).filter(|number| *number > 0),
                ..Machine::example("m5.large")
            };
            let listed = machine.listed(ID, now);
            garbage.take(&Answer::Listed(Ok(vec![listed])), now, &mut Vec::new());
        }
        super::step(&cluster, &mut garbage, &mut turn);
        let name = |action: &Action| match action {
            Action::Write(Write { subject, verb: Verb::Patch(body) }) => {
                format!("{subject} {}", body["metadata"]["labels"])
            }
            Action::Cloud(_) => "list".to_owned(),
            other => format!("{other:?}"),
        };
        step.actions.iter().map(name).collect()
    }

    #[test]
    fn the_partition_that_ec2_has_chosen_is_a_label_of_the_node_and_of_the_claim() {
        let (selector, none) = (json!({"name": "g"}), json!({}));
        let both = json!({labels::PLACEMENT_GROUP_ID: "pg-1", labels::PLACEMENT_GROUP_PARTITION: "3"});
        let of = |claim: &Value, node: Option<&Value>| done(&selector, claim, node, Some(("pg-1", 3)));
        assert_eq!(of(&none, Some(&none)), [format!("Node node {both}")]);
        assert_eq!(of(&none, Some(&both)), [format!("NodeClaim claim {both}")]);
        assert_eq!(of(&none, None), [format!("NodeClaim claim {both}")], "the node that comes gets it from there");
        assert_eq!(of(&both, Some(&both)), [""; 0]);
        let group = json!({labels::PLACEMENT_GROUP_ID: "pg-1"});
        assert_eq!(done(&selector, &none, None, Some(("pg-1", 0))), [format!("NodeClaim claim {group}")]);
        assert_eq!(done(&selector, &none, None, None), ["list"], "it is asked what EC2 has chosen");
        assert_eq!(done(&Value::Null, &none, Some(&none), None), [""; 0]);
    }
}
