//! Resources, as kube-scheduler's NodeResourcesFit filter counts them.
//!
//! `used + requested <= available` for every resource that the pod requests above zero; a resource that the node does not
//! name is zero there, and every pod is one of `pods`. Use only grows as pods bind, so that the sum at the end decides for
//! every moment of the order.

use super::classes::{Classes, times};
use super::cluster::{Cluster, Slot};
use super::daemons;
use super::shape::Shape;
use super::violation::{Report, Rule, Violation};
use crate::resources::display_amount;

pub(super) fn check(cluster: &Cluster<'_>, classes: &Classes<'_>, report: &mut Report) {
    let mut available: Vec<Option<Vec<i64>>> = vec![None; cluster.shapes.len()];
    for slot in cluster.slots.iter().filter(|slot| !slot.assigned.is_empty()) {
        let (used, asked) = account(slot, classes);
        let misfit = slot.shapes.iter().find_map(|&shape| {
            let room = available[shape].get_or_insert_with(|| {
                classes.amounts.dense(&daemons::available(cluster, slot, &cluster.shapes[shape]))
            });
            let over = (0..used.len()).find(|&r| asked[r] && used[r] > room[r])?;
            Some((shape, over, room[over]))
        });
        if let Some((shape, over, room)) = misfit {
            let name = &classes.amounts.names[over];
            let place = match &cluster.shapes[shape] {
                Shape::Node(_) => "the node".to_owned(),
                Shape::Offer(offer) => format!("{} in {}", offer.instance_type.name, offer.offering.zone),
            };
            let (used, room) = (display_amount(name, used[over]), display_amount(name, room));
            let text = format!("the pods request {used} of {name}, {place} has {room} for them");
            report.push(Violation::new(Rule::Resources, text).node(slot.name));
        }
    }
}

/// What residents and assigned pods request, and which resources some assigned pod requests.
fn account(slot: &Slot<'_>, classes: &Classes<'_>) -> (Vec<i64>, Vec<bool>) {
    let mut used = vec![0_i64; classes.amounts.names.len()];
    let mut asked = vec![false; used.len()];
    for (pods, new) in [(&slot.residents, false), (&slot.assigned, true)] {
        for (class, equal) in classes.runs(pods) {
            for &(resource, amount) in &classes.all[class].requests {
                used[resource] = used[resource].saturating_add(times(amount, equal));
                asked[resource] |= new;
            }
        }
    }
    (used, asked)
}
