//! Pools and their instance types.

use std::sync::Arc;

use super::{GPU, Size, TEAM, TEAMS, ZONES};
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Offering, Overhead, Reservation};
use crate::host::tests::dice::Dice;
use crate::observe::snapshot::{Disruption, Labels, Limits, NodeClassRef, NodePool, OnSale, Taint, TaintEffect};
use crate::requirements::{Requirement, Requirements};
use crate::resources::{CPU, MEMORY, PODS, Resources};
use crate::units::MicroUsd;

pub const GIB: i64 = 1 << 30;

pub fn taint(effect: TaintEffect) -> Taint {
    Taint { key: "dedicated".into(), value: "x".into(), effect }
}

pub fn pools(dice: &mut Dice, size: Size) -> Vec<NodePool> {
    let types = Arc::new(instance_types(dice, size));
    let count = 1 + dice.below(size.pools);
    (0..count).map(|i| pool(dice, &format!("pool-{i}"), &types)).collect()
}

fn pool(dice: &mut Dice, name: &str, types: &Arc<Vec<InstanceType>>) -> NodePool {
    let mut labels: Labels = [(labels::NODEPOOL.into(), name.into())].into();
    let mut requirements = Requirements::new();
    match dice.below(6) {
        0 => drop(labels.insert(TEAM.into(), (*dice.pick(&TEAMS)).into())),
        1 => requirements.add(TEAM, Requirement::one_of(dice.some(&TEAMS).into_iter().copied())),
        2 => requirements.add(TEAM, Requirement::exists()),
        3 => requirements.add(TEAM, Requirement::none_of([*dice.pick(&TEAMS)])),
        _ => {}
    }
    if dice.percent(30) {
        requirements.add(labels::ZONE, Requirement::one_of(dice.some(&ZONES).into_iter().copied()));
    }
    if dice.percent(40) {
        let of = [labels::CAPACITY_SPOT, labels::CAPACITY_ON_DEMAND, labels::CAPACITY_RESERVED];
        requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(dice.some(&of).into_iter().copied()));
    }
    if dice.percent(10) {
        requirements.add(labels::INSTANCE_TENANCY, Requirement::one_of(["dedicated"]));
    }
    if dice.percent(10) {
        requirements.add(labels::INSTANCE_CPU, Requirement::bounded(Some(3), None));
    }
    if dice.percent(15) {
        let mut many = Requirement::exists();
        many.min_values = Some(u32::try_from(dice.between(2, 3)).unwrap());
        let key = *dice.pick(&[labels::INSTANCE_TYPE, labels::INSTANCE_FAMILY, labels::ZONE]);
        requirements.add(key, many);
    }
    requirements.add_all(&Requirements::from_labels(&labels));
    let mut limits = Limits::default();
    if dice.percent(15) {
        limits.resources.set(CPU, dice.between(2, 20) * 1_000);
    }
    if dice.percent(10) {
        limits.resources.set(MEMORY, dice.between(4, 64) * GIB);
    }
    if dice.percent(10) {
        limits.nodes = Some(dice.between(0, 3));
    }
    if dice.percent(10) {
        limits.usd_per_hour = Some(MicroUsd(dice.between(50, 1_500) * 1_000));
    }
    let effects = [TaintEffect::NoSchedule, TaintEffect::NoExecute, TaintEffect::PreferNoSchedule];
    NodePool {
        name: name.into(),
        uid: name.into(),
        weight: *dice.pick(&[0, 0, 0, 5, 10]),
        replicas: dice.percent(5).then_some(1),
        labels,
        annotations: Labels::new(),
        taints: if dice.percent(30) { vec![taint(*dice.pick(&effects))] } else { vec![] },
        startup_taints: if dice.percent(15) {
            vec![Taint { key: "starting".into(), value: "".into(), effect: TaintEffect::NoSchedule }]
        } else {
            vec![]
        },
        requirements,
        limits,
        node_class: NodeClassRef { group: "g".into(), kind: "K".into(), name: "default".into() },
        expire_after_seconds: None,
        termination_grace_period_seconds: None,
        disruption: Disruption { consolidation_policy: "WhenEmpty".into(), ..Disruption::default() },
        on_sale: OnSale::default(),
        instance_types: types.clone(),
        unusable: dice.percent(5).then(|| "the node class is not ready".into()),
    }
}

fn instance_types(dice: &mut Dice, size: Size) -> Vec<InstanceType> {
    (0..=dice.below(size.types)).map(|i| instance_type(dice, &format!("type-{i}"), size)).collect()
}

fn instance_type(dice: &mut Dice, name: &str, size: Size) -> InstanceType {
    let cpus = dice.between(1, 8);
    let memory = cpus * dice.between(1, 4);
    let gpus = if dice.percent(20) { dice.between(1, 2) } else { 0 };
    let mut capacity =
        Resources::new().with(CPU, cpus * 1_000).with(MEMORY, memory * GIB).with(PODS, dice.between(2, 20));
    if gpus > 0 {
        capacity.set(GPU, gpus);
    }
    let mut allocatable = capacity.clone();
    allocatable.subtract(&Resources::new().with(CPU, 80).with(MEMORY, GIB / 8));
    let mut requirements: Requirements = [
        (labels::INSTANCE_TYPE, Requirement::one_of([name])),
        (labels::INSTANCE_CPU, Requirement::one_of([cpus.to_string()])),
        (labels::INSTANCE_FAMILY, Requirement::one_of([*dice.pick(&["c", "m"])])),
        (labels::ARCH, Requirement::one_of([*dice.pick(&["amd64", "amd64", "arm64"])])),
        (labels::OS, Requirement::one_of(["linux"])),
    ]
    .into_iter()
    .collect();
    if dice.percent(70) {
        requirements.add(labels::INSTANCE_TENANCY, Requirement::one_of(["default", "dedicated"]));
    }
    let mut offerings = Vec::new();
    for zone in dice.some(&ZONES[..size.zones]) {
        let base = (cpus * 40 + memory * 5 + gpus * 400) * 1_000;
        let on_demand = base + dice.between(0, 10) * 1_000;
        let mut add = |capacity_type, price, reservation: Option<Reservation>| {
            let id = reservation.as_ref().map(|r| (labels::CAPACITY_RESERVATION_ID.into(), r.id.clone()));
            offerings.push(Offering {
                zone: (*zone).into(),
                capacity_type,
                price: MicroUsd(price),
                available: dice.percent(93),
                labels: id.into_iter().collect(),
                reservation,
                mean_price: None,
                price_overlay_applied: false,
            });
        };
        add(CapacityType::OnDemand, on_demand, None);
        add(CapacityType::Spot, on_demand * 7 / 20, None);
        if cpus % 3 == 0 {
            let reservation = Reservation { id: format!("cr-{name}-{zone}").into(), free: 1 + u32::from(cpus > 3) };
            add(CapacityType::Reserved, on_demand / 1_000, Some(reservation));
        }
    }
    for offering in &mut offerings {
        if offering.capacity_type == CapacityType::Spot {
            offering.price = MicroUsd(offering.price.0 * dice.between(70, 320) / 100);
        }
    }
    offerings.sort_by_key(|o| (o.zone.clone(), o.capacity_type));
    InstanceType {
        name: name.into(),
        requirements,
        allocatable,
        capacity,
        overhead: Overhead::default(),
        offerings,
        capacity_overlay_applied: false,
    }
}
