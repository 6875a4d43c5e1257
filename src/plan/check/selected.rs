//! The rules that a pod's class alone decides on a node: taints, node selection, reach of volumes. Decided once for each
//! class and slot, for every shape of the slot.

use std::collections::BTreeSet;

use super::classes::Classes;
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
        for &pod in &slot.assigned {
            let class = classes.of_pod[pod];
            if seen.insert(class)
                && let Some((rule, text)) = first_reason(cluster, slot, class, classes, selections)
            {
                report.push(Violation::new(rule, text).pod(&cluster.snapshot.pods[pod].key).node(slot.name));
            }
        }
    }
}

fn first_reason<'a>(
    cluster: &Cluster<'a>,
    slot: &Slot<'a>,
    class: usize,
    classes: &Classes<'a>,
    selections: &mut Selections<'a>,
) -> Option<(Rule, String)> {
    let class = &classes.all[class];
    if let Some(taint) = first_untolerated(slot.taints, &class.spec().tolerations) {
        let text = format!("the pod does not tolerate the taint {}={}:{:?}", taint.key, taint.value, taint.effect);
        return Some((Rule::Taints, text));
    }
    slot.shapes.iter().find_map(|&shape| {
        let place = || match &cluster.shapes[shape] {
            Shape::Node(_) => "the node".to_owned(),
            Shape::Offer(offer) => format!("{} in {}", offer.instance_type.name, offer.offering.zone),
        };
        if selections.holds(class.selection, shape, &cluster.shapes) != Holds::Surely {
            let text = format!("{} does not satisfy the node selector or required node affinity", place());
            return Some((Rule::NodeAffinity, text));
        }
        let volume = class
            .has_volume_topology()
            .then(|| volumes::unreachable(class.spec(), &cluster.shapes[shape]))
            .flatten()?;
        Some((Rule::VolumeTopology, format!("the volume {} cannot be used on {}", volume.claim, place())))
    })
}
