//! The rules that a pod's class alone decides on a node: taints, node selection, reach of volumes. Decided once for each
//! class and slot, for every shape of the slot.

use std::collections::BTreeSet;

use super::classes::{Class, Classes};
use super::cluster::{Cluster, Slot};
use super::selection::{Holds, Selections};
use super::shape::Shape;
use super::taints::first_untolerated;
use super::violation::{Report, Rule, Violation};
use super::volumes;

pub(super) fn check<'a>(
    cluster: &Cluster<'a>,
    classes: &Classes<'a>,
    selections: &mut Selections<'a>,
    report: &mut Report,
) {
    for slot in cluster.slots.iter().filter(|slot| !slot.assigned.is_empty()) {
        let mut seen = BTreeSet::new();
        for (class, equal) in classes.runs(&slot.assigned) {
            if seen.insert(class) {
                for (rule, text) in reasons(cluster, slot, &classes.all[class], selections) {
                    let first = &cluster.snapshot.pods[equal[0]].key;
                    report.push(Violation::new(rule, text).pod(first).node(slot.name));
                }
            }
        }
    }
}

/// At most one reason for each rule.
fn reasons<'a>(
    cluster: &Cluster<'a>,
    slot: &Slot<'a>,
    class: &Class<'a>,
    selections: &mut Selections<'a>,
) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    if let Some(taint) = first_untolerated(slot.taints, &class.spec().tolerations) {
        let text = format!("the pod does not tolerate the taint {}={}:{:?}", taint.key, taint.value, taint.effect);
        found.push((Rule::Taints, text));
    }
    let place = |shape: usize| match &cluster.shapes[shape] {
        Shape::Node(_) => "the node".to_owned(),
        Shape::Offer(offer) => format!("{} in {}", offer.instance_type.name, offer.offering.zone),
    };
    let surely = selections.holds_on(class.selection, slot, cluster) == Holds::Surely;
    let mut unselected = slot.shapes.iter().filter(|_| !surely);
    let mut surely_on = |shape: usize| selections.holds(class.selection, shape, &cluster.shapes) == Holds::Surely;
    if let Some(&shape) = unselected.find(|&&shape| !surely_on(shape)) {
        let text = format!("{} does not satisfy the node selector or required node affinity", place(shape));
        found.push((Rule::NodeAffinity, text));
    }
    if class.has_volume_topology() {
        let unreachable = |&shape: &usize| Some((shape, volumes::unreachable(class.spec(), &cluster.shapes[shape])?));
        if let Some((shape, volume)) = slot.shapes.iter().find_map(unreachable) {
            found.push((
                Rule::VolumeTopology,
                format!("the volume {} cannot be used on {}", volume.claim, place(shape)),
            ));
        }
    }
    found
}
