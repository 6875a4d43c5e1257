//! One table or story a rule about what is launched: offers, labels, the weight of pools, reservations.

use std::sync::Arc;

use super::tables::{affine, rules, spreading, three_zones};
use super::world::*;
use crate::api::labels;
use crate::catalog::{CapacityType, Reservation};
use crate::observe::snapshot::*;
use crate::plan::Target::Launch;
use crate::plan::check::Rule;
use crate::requirements::Requirement;
use crate::resources::{CPU, PODS, Resources};
use crate::settings::PreferencePolicy;
use crate::units::MicroUsd;

#[test]
fn every_offer_must_hold_the_pods() {
    let mut snapshot = snapshot();
    let pod = add_pod(&mut snapshot, &Arc::new(template("x", 2_100)), None);
    let held = plan(&snapshot, &[(0, &["small-b"], &["a"])], &[(pod, Launch(0))]);
    assert_eq!(rules(&snapshot, held), []);
    let not_by_one = plan(&snapshot, &[(0, &["small-b", "small"], &["a"])], &[(pod, Launch(0))]);
    assert_eq!(rules(&snapshot, not_by_one), [Rule::Resources]);
    let dearer = plan(&snapshot, &[(0, &["small-b", "large"], &["a"])], &[(pod, Launch(0))]);
    assert_eq!(rules(&snapshot, dearer), [Rule::PriceFlexibility]);
}

#[test]
fn each_dear_type_must_be_needed_by_min_values() {
    let mut snapshot = snapshot();
    let pod = add_pod(&mut snapshot, &Arc::new(template("x", 100)), None);
    let types = Arc::make_mut(&mut snapshot.node_pools[0].instance_types);
    for (name, family) in [("large", "l"), ("small", "s"), ("small-b", "s")] {
        let of_type = types.iter_mut().find(|t| &*t.name == name).unwrap();
        of_type.requirements.add(labels::INSTANCE_FAMILY, Requirement::one_of([family]));
    }
    let mut larger = types.iter().find(|t| &*t.name == "large").unwrap().clone();
    larger.name = "larger".into();
    larger.requirements.replace(labels::INSTANCE_TYPE, Requirement::one_of(["larger"]));
    types.push(larger);
    types.sort_by(|a, b| a.name.cmp(&b.name));
    let mut two = Requirement::exists();
    two.min_values = Some(2);
    snapshot.node_pools[0].requirements.add(labels::INSTANCE_FAMILY, two);
    let named = |types: &[&str]| {
        let mut made = plan(&snapshot, &[(0, types, &["a"])], &[(pod, Launch(0))]);
        for offer in Arc::make_mut(&mut made.launches[0].offers) {
            offer.price = if &*offer.instance_type == "larger" { MicroUsd(200) } else { offer.price };
        }
        rules(&snapshot, made)
    };
    assert_eq!(named(&["small", "small-b", "large"]), []);
    // each of the two alone would do, so that neither is needed
    assert_eq!(named(&["small", "large", "larger"]), [Rule::PriceFlexibility]);
    assert_eq!(named(&["small", "small-b"]), [Rule::MinValues]);
}

#[test]
fn an_open_zone_is_refused_only_where_it_matters() {
    let open: &[&str] = &["a", "b"];
    let single = |template: PodTemplate| {
        let mut snapshot = snapshot();
        let pod = add_pod(&mut snapshot, &Arc::new(template), None);
        let made = plan(&snapshot, &[(0, &["small"], open)], &[(pod, Launch(0))]);
        rules(&snapshot, made)
    };
    assert_eq!(single(template("x", 1)), []);
    assert_eq!(single(spreading(|_| {})), [Rule::OpenDomain]);
    assert_eq!(single(affine("x", "x")), [Rule::OpenDomain]);
    assert_eq!(single(spreading(|c| c.topology_key = labels::HOSTNAME.into())), []);

    // another launch that may open zone b makes it an empty domain; pods that may be in zone a count there
    let mut snapshot = snapshot();
    let (spreads, plain) = (Arc::new(spreading(|_| {})), Arc::new(template("x", 1)));
    let pods = [add_pod(&mut snapshot, &plain, None), add_pod(&mut snapshot, &spreads, None)];
    let bought: [Bought<'_>; 2] = [(0, &["small"], open), (0, &["small"], &["a"])];
    let made = plan(&snapshot, &bought, &[(pods[0], Launch(0)), (pods[1], Launch(1))]);
    assert_eq!(rules(&snapshot, made), [Rule::TopologySpread]);
    let made = plan(&snapshot, &bought, &[(pods[1], Launch(1)), (pods[0], Launch(0))]);
    assert_eq!(rules(&snapshot, made), []);
}

#[test]
fn a_launch_cannot_pass_for_a_node_that_a_pod_names() {
    let mut snapshot = snapshot();
    let mut picky = template("x", 1);
    picky.spec.node_selector.insert(labels::HOSTNAME.into(), "launch-0".into());
    let pod = add_pod(&mut snapshot, &Arc::new(picky), None);
    let made = plan(&snapshot, &[(0, &["small"], &["a"])], &[(pod, Launch(0))]);
    assert!(rules(&snapshot, made).contains(&Rule::NodeAffinity));

    // nor share the hostname domain of an existing node
    let mut snapshot = three_zones([1, 0, 0]);
    Arc::make_mut(&mut snapshot.nodes[0].labels).insert(labels::HOSTNAME.into(), "launch-0".into());
    let mut near = template("y", 1);
    near.spec.pod_affinity.push(term(labels::HOSTNAME, "x"));
    let pod = add_pod(&mut snapshot, &Arc::new(near), None);
    let made = plan(&snapshot, &[(0, &["small"], &["a"])], &[(pod, Launch(0))]);
    assert_eq!(rules(&snapshot, made), [Rule::PodAffinity]);
}

#[test]
fn weight_counts_what_limits_leave() {
    let mut snapshot = snapshot();
    let small = Arc::new(template("x", 1_500));
    let pods: Vec<usize> = (0..2).map(|_| add_pod(&mut snapshot, &small, None)).collect();
    let bought: [Bought<'_>; 2] = [(0, &["small"], &["a"]), (1, &["small"], &["a"])];
    let made = |s: &Snapshot| plan(s, &bought, &[(pods[0], Launch(0)), (pods[1], Launch(1))]);
    snapshot.node_pools[0].weight = 5;
    assert_eq!(rules(&snapshot, made(&snapshot)), [Rule::PoolWeight]);
    // the first launch uses up the heavier pool, so the second may be of the lighter one
    snapshot.node_pools[0].limits.nodes = Some(1);
    assert_eq!(rules(&snapshot, made(&snapshot)), []);
    snapshot.node_pools[0].limits.nodes = None;
    snapshot.node_pools[0].limits.resources = Resources::new().with(CPU, 2_100 + 2_099).with(PODS, 100);
    assert_eq!(rules(&snapshot, made(&snapshot)), []);
    snapshot.node_pools[0].taints.push(dedicated());
    assert_eq!(rules(&snapshot, made(&snapshot)), [Rule::Taints]);
}

#[test]
fn weight_yields_to_preferences() {
    let soft = Taint { effect: TaintEffect::PreferNoSchedule, ..dedicated() };
    let mut snapshot = snapshot();
    snapshot.node_pools[0].weight = 5;
    let mut prefers = template("x", 1_500);
    let zone_b = [(labels::ZONE, Requirement::one_of(["b"]))].into_iter().collect();
    prefers.spec.preferred_node_affinity.push((1, NodeAffinityTerm(zone_b)));
    let pod = add_pod(&mut snapshot, &Arc::new(prefers), None);
    let made = |s: &Snapshot| plan(s, &[(1, &["small"], &["b"])], &[(pod, Launch(0))]);
    assert_eq!(rules(&snapshot, made(&snapshot)), [Rule::PoolWeight]);
    snapshot.node_pools[0].taints = vec![soft.clone()];
    assert_eq!(rules(&snapshot, made(&snapshot)), []);
    snapshot.node_pools[1].taints = vec![soft];
    assert_eq!(rules(&snapshot, made(&snapshot)), [Rule::PoolWeight]);
    snapshot.node_pools[0].requirements.add(labels::ZONE, Requirement::one_of(["a"]));
    assert_eq!(rules(&snapshot, made(&snapshot)), []);
    snapshot.settings.preference_policy = PreferencePolicy::Ignore;
    assert_eq!(rules(&snapshot, made(&snapshot)), [Rule::PoolWeight]);
}

#[test]
fn an_open_launch_brings_a_selective_spread_no_domain_that_it_does_not_select() {
    let mut snapshot = snapshot();
    let mut bound_to_a = template("x", 500);
    bound_to_a.spec.node_selector.insert(labels::ZONE.into(), "a".into());
    bound_to_a.spec.topology_spread.push(spread(labels::ZONE, 1, "x"));
    let bound_to_a = Arc::new(bound_to_a);
    let pods: Vec<usize> = (0..2).map(|_| add_pod(&mut snapshot, &bound_to_a, None)).collect();
    let other = add_pod(&mut snapshot, &Arc::new(template("y", 500)), None);
    let bought: [Bought<'_>; 2] = [(0, &["small"], &["a"]), (0, &["small"], &["a", "b"])];
    let made = plan(&snapshot, &bought, &[(pods[0], Launch(0)), (pods[1], Launch(0)), (other, Launch(1))]);
    assert_eq!(rules(&snapshot, made), []);
}

#[test]
fn a_reservation_is_not_overcommitted() {
    for (free, expected) in [(2, vec![]), (1, vec![Rule::Reservation])] {
        let mut snapshot = snapshot();
        for instance_type in Arc::make_mut(&mut snapshot.node_pools[0].instance_types) {
            let mut reserved = instance_type.offerings[0].clone();
            reserved.capacity_type = CapacityType::Reserved;
            reserved.price = MicroUsd(1);
            reserved.reservation = Some(Reservation { id: "cr".into(), free });
            instance_type.offerings.push(reserved);
        }
        let small = Arc::new(template("x", 1_500));
        let pods: Vec<usize> = (0..2).map(|_| add_pod(&mut snapshot, &small, None)).collect();
        let bought: [Bought<'_>; 2] = [(0, &["small"], &["a"]); 2];
        let mut made = plan(&snapshot, &bought, &[(pods[0], Launch(0)), (pods[1], Launch(1))]);
        for launch in &mut made.launches {
            launch.capacity_type = CapacityType::Reserved;
            let first = &mut Arc::make_mut(&mut launch.offers)[0];
            first.reservation = Some("cr".into());
            first.price = MicroUsd(1);
        }
        assert_eq!(rules(&snapshot, made), expected);
    }
}
