//! Nodes on capacity reservations that end: those of a capacity block leave before EC2 takes them, those of another reservation go on
//! as on-demand ones.
//!
//! Source: the reference's `capacityreservation.expiration` and `capacityreservation.capacitytype` (karpenter-aws 6).

use std::sync::Arc;

use serde_json::{Value, json};

use super::class_hash::class_of;
use super::cluster::{Claimed, Cluster};
use super::garbage::Garbage;
use super::said::Said;
use super::turn::Turn;
use crate::api::ec2_node_class::{ReservationState, ReservationType};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::cloud::{InterruptionKind, Provider};

/// The labels of a node that are those of its reservation.
const OF_RESERVATION: [&str; 3] =
    [labels::CAPACITY_RESERVATION_ID, labels::CAPACITY_RESERVATION_TYPE, labels::CAPACITY_RESERVATION_INTERRUPTIBLE];

/// Looks at the claims that say they are on one.
pub(super) fn step(cluster: &Cluster<'_>, garbage: &Garbage, turn: &mut Turn<'_>) {
    if turn.settings.provider != Provider::Ec2 {
        return;
    }
    let is_reserved = |claimed: &&Claimed<'_>| label(claimed, labels::CAPACITY_TYPE) == Some(labels::CAPACITY_RESERVED);
    for claimed in cluster.claims.iter().filter(|claimed| !claimed.is_deleting()).filter(is_reserved) {
        turn.about(claimed);
        if is_expiring(cluster, claimed) {
            leave(claimed, turn);
        } else if garbage.machine(claimed.provider_id()).is_some_and(|of| of.capacity_type == CapacityType::OnDemand) {
            relabel(claimed, turn);
        }
    }
    turn.about_all();
}

fn label<'o>(claimed: &Claimed<'o>, key: &str) -> Option<&'o str> {
    claimed.claim.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Whether the status of the class says that the capacity block of a claim is about to end.
fn is_expiring(cluster: &Cluster<'_>, claimed: &Claimed<'_>) -> bool {
    let of = &claimed.claim.spec.node_class_ref;
    let class = class_of(&of.kind, &of.name, cluster.objects);
    let Some(status) = class.and_then(|class| class.status.as_ref()) else { return false };
    let id = label(claimed, labels::CAPACITY_RESERVATION_ID);
    status.capacity_reservations.iter().any(|known| {
        let is_block = known.reservation_type == ReservationType::CapacityBlock;
        is_block && known.state == ReservationState::Expiring && id == Some(&*known.id)
    })
}

fn leave(claimed: &Claimed<'_>, turn: &mut Turn<'_>) {
    if turn.delete_claim(claimed) {
        turn.say_once_taken(Said::Interrupted {
            claim: Arc::from(claimed.name()),
            node: claimed.node_name(),
            provider_id: Arc::from(claimed.provider_id()),
            kind: InterruptionKind::CapacityReservationInterrupted,
        });
    }
}

/// The node first: what is left of the reservation on the claim says that there is something to do.
fn relabel(claimed: &Claimed<'_>, turn: &mut Turn<'_>) {
    let gone = OF_RESERVATION.iter().map(|key| ((*key).to_owned(), Value::Null));
    let mut changed: serde_json::Map<String, Value> = gone.collect();
    changed.insert(labels::CAPACITY_TYPE.to_owned(), json!(labels::CAPACITY_ON_DEMAND));
    let body = json!({"metadata": {"labels": changed}});
    let is_reserved = |node: &&&Arc<k8s_openapi::api::core::v1::Node>| {
        node.metadata.labels.as_ref().and_then(|of| of.get(labels::CAPACITY_TYPE)).map(String::as_str)
            == Some(labels::CAPACITY_RESERVED)
    };
    match claimed.nodes.iter().find(is_reserved) {
        Some(node) => drop(turn.patch("Node", &node.metadata, body)),
        None => drop(turn.patch("NodeClaim", &claimed.claim.metadata, body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Answer, Machine};
    use crate::controller::Step;
    use crate::controller::action::{Action, Verb, Write};
    use crate::controller::index::Index;
    use crate::controller::settings::ControllerSettings;
    use crate::controller::writes::Writes;
    use crate::observe::RawObject;
    use crate::observe::input::Origin;
    use crate::observe::objects::Objects;

    const ID: &str = "aws:///a/i-1";

    /// What is done about a claim and its node with these labels, where the block is in a state and the cloud says how the instance is
    /// bought.
    fn done(claim: &Value, node: &Value, state: &str, bought: CapacityType) -> Vec<String> {
        let meta = |name: &str, labels: &Value| {
            json!({"name": name, "uid": name, "resourceVersion": "1", "labels": labels,
            "annotations": {labels::PLANNED_PODS: "{}"}})
        };
        let all = [
            json!({"apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "c"},
                "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": []},
                "status": {"capacityReservations": [{"id": "cr-1", "availabilityZone": "a", "instanceType": "p5.48xlarge",
                    "instanceMatchCriteria": "targeted", "ownerID": "123456789012", "reservationType": "capacity-block",
                    "state": state}]}}),
            json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": meta("claim", claim), "status": {"providerID": ID},
                "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c"}}}),
            json!({"apiVersion": "v1", "kind": "Node", "metadata": meta("node", node), "spec": {"providerID": ID}}),
        ];
        let objects = Objects::collect(all.map(|value| RawObject { value, origin: Origin::default() }));
        let settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let (mut writes, mut step, mut garbage) = (Writes::default(), Step::default(), Garbage::default());
        let mut turn = Turn { now, settings: &settings, writes: &mut writes, step: &mut step };
        let index = Index::of(&objects);
        let cluster = Cluster::of(&objects, &index, Provider::Ec2, None);
        garbage.has_listed_since("2025-12-31T00:00:00Z".parse().unwrap(), &mut turn);
        turn.step.actions.clear();
        let listed = Machine { capacity_type: bought, ..Machine::example("p5.48xlarge") }.listed(ID, now);
        garbage.take(&Answer::Listed(Ok(vec![listed])), now, &mut Vec::new());
        super::step(&cluster, &garbage, &mut turn);
        let name = |action: &Action| match action {
            Action::Write(Write { subject, verb: Verb::Patch(body) }) => {
                format!("{subject} {}", body["metadata"]["labels"])
            }
            Action::Write(Write { subject, verb: Verb::Delete { .. } }) => format!("delete {subject}"),
            other => format!("{other:?}"),
        };
        step.actions.iter().map(name).collect()
    }

    #[test]
    fn a_node_leaves_a_capacity_block_before_its_end() {
        let reserved = json!({labels::CAPACITY_TYPE: "reserved", labels::CAPACITY_RESERVATION_ID: "cr-1"});
        let of = |state| done(&reserved, &reserved, state, CapacityType::Reserved);
        assert_eq!(of("active"), Vec::<String>::new());
        assert_eq!(of("expiring"), ["delete NodeClaim claim"]);
        let another = json!({labels::CAPACITY_TYPE: "reserved", labels::CAPACITY_RESERVATION_ID: "cr-2"});
        assert_eq!(done(&another, &another, "expiring", CapacityType::Reserved), Vec::<String>::new());
    }

    #[test]
    fn without_its_reservation_a_node_is_on_demand_first_the_node_then_the_claim() {
        let reserved = json!({labels::CAPACITY_TYPE: "reserved", labels::CAPACITY_RESERVATION_ID: "cr-9"});
        let on_demand = json!({labels::CAPACITY_TYPE: "on-demand"});
        let of = |node: &Value| {
            let done = done(&reserved, node, "active", CapacityType::OnDemand);
            assert!(done.len() == 1 && done[0].contains("\"karpenter.sh/capacity-type\":\"on-demand\""), "{done:?}");
            assert!(done[0].contains("\"karpenter.k8s.aws/capacity-reservation-id\":null"), "{done:?}");
            done[0].split('{').next().unwrap().to_owned()
        };
        assert_eq!((of(&reserved), of(&on_demand)), ("Node node ".to_owned(), "NodeClaim claim ".to_owned()));
        assert_eq!(done(&on_demand, &on_demand, "active", CapacityType::OnDemand), Vec::<String>::new());
    }
}
