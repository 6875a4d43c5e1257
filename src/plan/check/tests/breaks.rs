//! Mutations: every rule is the only one that catches some broken plan, so that a checker without it would accept that
//! plan. Each break is done to plans of random worlds that are valid by construction.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::random::{World, rules, run, valid};
use super::world::*;
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType, Reservation};
use crate::observe::Snapshot;
use crate::observe::snapshot::*;
use crate::plan::check::Rule;
use crate::plan::{Draft, Offer, Plan, Target};
use crate::requirements::Requirement;
use crate::units::MicroUsd;

/// Breaks a valid plan in one way; `None` where there is nothing to break.
type Break = fn(&mut Snapshot, &mut Plan<Draft>) -> Option<()>;

/// At least one break for every rule: a rule without one does not compile here.
fn breaks(rule: Rule) -> &'static [Break] {
    match rule {
        Rule::PodAccounting => &[
            |_, plan| plan.assignments.pop().map(drop),
            |_, plan| plan.assignments.first().copied().map(|a| plan.assignments.push(a)),
        ],
        Rule::RefusedPod => &[|s, plan| {
            let pod = plan.assignments.first()?.pod;
            s.pods[pod].refused = Some("a lost claim".into());
            Some(())
        }],
        Rule::Target => &[
            |s, plan| {
                let (_, node) = on_existing(plan)?;
                s.nodes[node].deleting = true;
                Some(())
            },
            |_, plan| {
                plan.assignments.first_mut()?.target = Target::Launch(99);
                Some(())
            },
        ],
        Rule::Resources
        | Rule::Taints
        | Rule::NodeAffinity
        | Rule::HostPorts
        | Rule::VolumeTopology
        | Rule::VolumeLimits
        | Rule::ReadWriteOncePod
        | Rule::PodAffinity
        | Rule::PodAntiAffinity
        | Rule::TopologySpread
        | Rule::OpenableSpread
        | Rule::OpenDomain => of_pods(rule),
        Rule::PoolState
        | Rule::LaunchName
        | Rule::LaunchLabels
        | Rule::LaunchTaints
        | Rule::LaunchRequirements
        | Rule::LaunchRequests
        | Rule::EmptyLaunch => of_launch(rule),
        Rule::UnknownOffer
        | Rule::UnavailableOffer
        | Rule::Price
        | Rule::PoolRequirements
        | Rule::TooManyTypes
        | Rule::PriceFlexibility
        | Rule::MinValues
        | Rule::Reservation => of_offers(rule),
        Rule::Limits => &[|s, plan| {
            let limits = &mut s.node_pools[plan.launches.first()?.pool].limits;
            limits.resources.set("cpu", 2_000); // the smallest type has 2100
            Some(())
        }],
        Rule::NodeLimit => &[|s, plan| {
            s.node_pools[plan.launches.first()?.pool].limits.nodes = Some(0);
            Some(())
        }],
        Rule::SpendCap => &[|s, plan| {
            let worst = plan.launches.first()?.worst_price();
            s.node_pools[plan.launches[0].pool].limits.usd_per_hour = Some(MicroUsd(worst.0 - 1));
            Some(())
        }],
        Rule::PoolWeight => &[|s, plan| {
            let pool = plan.launches.iter().map(|launch| launch.pool).find(|pool| *pool != 0)?;
            s.node_pools[0].weight = 1;
            s.node_pools[pool].weight = 0;
            Some(())
        }],
    }
}

fn of_pods(rule: Rule) -> &'static [Break] {
    match rule {
        Rule::Resources => &[|s, plan| {
            let launch = plan.launches.first()?;
            edit_types(s, launch.pool, |t| t.allocatable.set("cpu", 249));
            Some(())
        }],
        Rule::Taints => &[|s, plan| {
            let (_, node) = on_existing(plan)?;
            s.nodes[node].taints.push(Taint { key: "stranger".into(), ..dedicated() });
            Some(())
        }],
        Rule::NodeAffinity => &[|s, plan| {
            let (pod, _) = on_existing(plan)?;
            edit_spec(s, pod, |spec| drop(spec.node_selector.insert("stranger".into(), "x".into())));
            Some(())
        }],
        Rule::HostPorts => &[|s, plan| {
            for pod in neighbours(plan)? {
                let port = HostPort { ip: "10.0.0.1".into(), port: 9_999, protocol: "UDP".into() };
                edit_spec(s, pod, |spec| spec.host_ports.push(port));
            }
            Some(())
        }],
        Rule::VolumeTopology => &[|s, plan| {
            let elsewhere = [(labels::ZONE, Requirement::one_of(["elsewhere"]))].into_iter().collect();
            let pod = plan.assignments.first()?.pod;
            edit_spec(s, pod, |spec| spec.volumes.push(volume(vec![NodeAffinityTerm(elsewhere)], false)));
            Some(())
        }],
        Rule::VolumeLimits => &[|s, plan| {
            let (pod, node) = on_existing(plan)?;
            s.nodes[node].attach_limits.insert("csi".into(), 0);
            edit_spec(s, pod, |spec| spec.volumes.push(volume(vec![], false)));
            Some(())
        }],
        Rule::ReadWriteOncePod => &[|s, plan| {
            for assignment in plan.assignments.get(..2)? {
                edit_spec(s, assignment.pod, |spec| spec.volumes.push(volume(vec![], true)));
            }
            Some(())
        }],
        Rule::PodAffinity => &[|s, plan| {
            let pod = plan.assignments.first()?.pod;
            edit_spec(s, pod, |spec| spec.pod_affinity.push(term(labels::HOSTNAME, "nobody")));
            Some(())
        }],
        Rule::PodAntiAffinity => &[|s, plan| {
            let [first, second] = neighbours(plan)?;
            let app = s.pods[first].template.labels["app"].clone();
            edit_spec(s, second, |spec| spec.pod_anti_affinity.push(term(labels::HOSTNAME, &app)));
            Some(())
        }],
        Rule::TopologySpread => &[|s, plan| {
            let pod = plan.assignments.first()?.pod;
            edit_spec(s, pod, |spec| spec.topology_spread.push(spread("rack", 9, "x")));
            Some(())
        }],
        Rule::OpenableSpread => &[|s, plan| {
            // of the hosts that exist only its own is a domain, and kube-scheduler sees no skew
            let [first, second] = neighbours(plan)?;
            let assigned = plan.assignments.iter().find(|assignment| assignment.pod == second)?;
            let Target::Existing(node) = assigned.target else { return None };
            let host = s.nodes[node].labels.get(labels::HOSTNAME)?.clone();
            let app = |pod: usize| s.pods[pod].template.labels["app"].clone();
            let app = (app(first) == app(second)).then(|| app(first))?;
            edit_spec(s, second, |spec| {
                spec.node_selector.insert(labels::HOSTNAME.into(), host);
                spec.topology_spread.push(spread(labels::HOSTNAME, 1, &app));
            });
            Some(())
        }],
        Rule::OpenDomain => &[|s, plan| {
            let on_launch = |target: Target| if let Target::Launch(launch) = target { Some(launch) } else { None };
            let (pod, launch) = plan.assignments.iter().find_map(|a| Some((a.pod, on_launch(a.target)?)))?;
            let launch = &mut plan.launches[launch];
            let kinds: BTreeMap<Arc<str>, MicroUsd> =
                launch.offers.iter().map(|o| (o.instance_type.clone(), o.price)).collect();
            let offer = |(kind, price): (&Arc<str>, &MicroUsd), zone: &str| Offer {
                instance_type: kind.clone(),
                zone: zone.into(),
                reservation: None,
                price: *price,
            };
            let mut offers: Vec<Offer> = kinds.iter().flat_map(|kind| ZONES.map(|zone| offer(kind, zone))).collect();
            offers.sort_by_key(|offer| offer.price);
            launch.offers = offers.into();
            Arc::make_mut(&mut launch.requirements).replace(labels::ZONE, Requirement::one_of(ZONES));
            edit_spec(s, pod, |spec| spec.topology_spread.push(spread(labels::ZONE, 99, "nobody")));
            Some(())
        }],
        other => unreachable!("{other} is not a rule of pods"),
    }
}

fn of_launch(rule: Rule) -> &'static [Break] {
    match rule {
        Rule::PoolState => &[|s, plan| {
            s.node_pools[plan.launches.first()?.pool].replicas = Some(2);
            Some(())
        }],
        Rule::LaunchName => &[|s, plan| {
            s.nodes.push(node(&plan.launches.first()?.name, "a", 0));
            Some(())
        }],
        Rule::LaunchLabels => &[|_, plan| {
            Arc::make_mut(&mut plan.launches.first_mut()?.labels).insert(labels::INSTANCE_GPU_COUNT.into(), "8".into());
            Some(())
        }],
        Rule::LaunchTaints => &[|_, plan| {
            plan.launches.first_mut()?.startup_taints.push(dedicated());
            Some(())
        }],
        Rule::LaunchRequirements => &[|_, plan| {
            Arc::make_mut(&mut plan.launches.first_mut()?.requirements)
                .replace(labels::ZONE, Requirement::one_of(["elsewhere"]));
            Some(())
        }],
        Rule::LaunchRequests => &[|_, plan| {
            plan.launches.first_mut()?.requests.set("cpu", 1);
            Some(())
        }],
        Rule::EmptyLaunch => &[|_, plan| {
            let mut empty = plan.launches.first()?.clone();
            empty.name = "nobody-home".into();
            plan.launches.push(empty);
            Some(())
        }],
        other => unreachable!("{other} is not a rule of launches"),
    }
}

fn of_offers(rule: Rule) -> &'static [Break] {
    match rule {
        Rule::UnknownOffer => &[
            |_, plan| {
                let launch = plan.launches.iter_mut().find(|launch| launch.offers.len() > 1)?;
                Arc::make_mut(&mut launch.offers)[1].zone = "nowhere".into();
                Some(())
            },
            |_, plan| {
                let offers = Arc::make_mut(&mut plan.launches.first_mut()?.offers);
                offers.push(offers.first()?.clone());
                Some(())
            },
        ],
        Rule::UnavailableOffer => &[|s, plan| {
            let launch = plan.launches.first()?;
            edit_types(s, launch.pool, |t| t.offerings.iter_mut().for_each(|o| o.available = false));
            Some(())
        }],
        Rule::Price => &[|_, plan| {
            Arc::make_mut(&mut plan.launches.first_mut()?.offers).last_mut()?.price = MicroUsd(1);
            Some(())
        }],
        Rule::PoolRequirements => &[|s, plan| {
            // as the pool's requirement is the claim's too, only the pool's is asked of the offers
            let pool = plan.launches.first()?.pool;
            let arm = || Requirement::one_of(["arm64"]);
            s.node_pools[pool].requirements.add(labels::ARCH, arm());
            for launch in plan.launches.iter_mut().filter(|launch| launch.pool == pool) {
                Arc::make_mut(&mut launch.requirements).add(labels::ARCH, arm());
            }
            Some(())
        }],
        Rule::TooManyTypes => &[|s, plan| {
            s.settings.max_instance_types = 1;
            plan.launches.iter().any(|l| l.offers.len() > 1).then_some(())
        }],
        Rule::PriceFlexibility => &[|s, plan| {
            s.settings.price_flexibility_permille = 10;
            plan.launches.iter().any(|l| l.offers.len() > 1).then_some(())
        }],
        Rule::MinValues => &[|s, plan| {
            let pool = plan.launches.first()?.pool;
            let mut many = Requirement::exists();
            many.min_values = Some(3);
            s.node_pools[pool].requirements.add(labels::INSTANCE_TYPE, many);
            Some(())
        }],
        Rule::Reservation => &[|s, plan| {
            let launch = plan.launches.first_mut()?;
            edit_types(s, launch.pool, |t| {
                let mut reserved: Vec<_> = t.offerings.clone();
                for offering in &mut reserved {
                    offering.capacity_type = CapacityType::Reserved;
                    offering.price = MicroUsd(1);
                    offering.reservation = Some(Reservation { id: "cr".into(), free: 0 });
                }
                t.offerings.extend(reserved);
            });
            launch.capacity_type = CapacityType::Reserved;
            for offer in Arc::make_mut(&mut launch.offers) {
                offer.reservation = Some("cr".into());
                offer.price = MicroUsd(1);
            }
            Some(())
        }],
        other => unreachable!("{other} is not a rule of offers"),
    }
}

fn edit_types(snapshot: &mut Snapshot, pool: usize, edit: impl Fn(&mut InstanceType)) {
    let types = Arc::make_mut(&mut snapshot.node_pools[pool].instance_types);
    types.iter_mut().for_each(edit);
}

fn edit_spec(snapshot: &mut Snapshot, pod: usize, edit: impl FnOnce(&mut PodSpec)) {
    edit(&mut Arc::make_mut(&mut snapshot.pods[pod].template).spec);
}

fn volume(topology: Vec<NodeAffinityTerm>, single_pod: bool) -> Volume {
    Volume { claim: "default/data".into(), driver: Some("csi".into()), topology, single_pod, follows_first_user: false }
}

/// A placed pod and the existing node that it goes to.
fn on_existing(plan: &Plan<Draft>) -> Option<(usize, usize)> {
    plan.assignments.iter().find_map(|a| if let Target::Existing(node) = a.target { Some((a.pod, node)) } else { None })
}

/// Two placed pods of one node.
fn neighbours(plan: &Plan<Draft>) -> Option<[usize; 2]> {
    let mut pairs = plan
        .assignments
        .iter()
        .enumerate()
        .flat_map(|(i, a)| plan.assignments[..i].iter().filter(|b| a.target == b.target).map(|b| [b.pod, a.pod]));
    pairs.next()
}

/// What the checker finds after each break of each rule, in every world where it can be done.
fn each_break(cases: u32, seen: impl Fn(Rule, usize, &BTreeSet<Rule>)) {
    run(cases, |world| {
        let (world, assignments) = valid(&world);
        let World { snapshot: sound, .. } = &world;
        for &rule in Rule::ALL {
            for (number, apply) in breaks(rule).iter().enumerate() {
                let mut snapshot = sound.clone();
                let mut plan = plan(&snapshot, &world.bought(), &assignments);
                if apply(&mut snapshot, &mut plan).is_some() {
                    seen(rule, number, &rules(&snapshot, plan));
                }
            }
        }
    });
}

#[test]
fn a_checker_without_any_one_rule_would_accept_a_broken_plan() {
    // how often each break was done, and how often nothing but its own rule caught it
    let times: RefCell<BTreeMap<(Rule, usize), (u32, u32)>> = RefCell::default();
    each_break(150, |rule, number, found| {
        assert!(found.contains(&rule), "break {number} of {rule}: found {found:?}");
        let mut times = times.borrow_mut();
        let (done, alone) = times.entry((rule, number)).or_default();
        *done += 1;
        *alone += u32::from(found.len() == 1);
    });
    let times = times.into_inner();
    for &rule in Rule::ALL {
        let of_rule = |number: usize| times.get(&(rule, number)).copied().unwrap_or_default();
        let numbers = 0..breaks(rule).len();
        assert!(numbers.clone().all(|number| of_rule(number).0 > 0), "some break of {rule} was never done: {times:?}");
        assert!(
            numbers.map(|number| of_rule(number).1).sum::<u32>() > 0,
            "no plan is caught by {rule} alone: {times:?}"
        );
    }
}
