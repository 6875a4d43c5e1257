//! Why a claim is bought as it is: what else would hold its pods, and what rules cheaper offerings out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::edit::{shown_limit, shown_taint};
use super::facts::{Alternative, Closest, RuledOut};
use crate::api::labels;
use crate::catalog::{InstanceType, Offering};
use crate::model::{
    Dims, Group, PoolModel, Problem, TypeModel, affinity_alternatives, ports_conflict, rules, volume_alternatives,
};
use crate::observe::snapshot::NodePool;
use crate::plan::check::{Rule, check};
use crate::plan::daemons::{taking, would_hold};
use crate::plan::{Checked, Launch, Plan, launch_of};
use crate::requirements::{Requirement, Requirements, Undefined};
use crate::resources::display_amount;
use crate::solve::NewNode;
use crate::solve::purchase::is_exotic;
use crate::units::MicroUsd;

/// Alternatives that are shown, and launches that the checker is asked about for them.
const SHOWN: usize = 5;
const MOST_CHECKS: usize = 60;
/// The cause of a fault: a heavier pool could launch for the pods.
const OUTWEIGHED: &str = "pool-weight";

/// What could be bought instead of one launch of a plan.
pub(super) struct Instead<'p, 's> {
    problem: &'p Problem<'s>,
    plan: &'p Plan<Checked>,
    launch: usize,
    pods: Vec<usize>,
    /// With how many pods each is on the node.
    groups: Vec<(&'p Group<'s>, i64)>,
    /// By pool of the Problem: what each limit leaves without this launch.
    limits: Vec<Vec<i64>>,
}

/// What stands against an offering.
#[derive(Clone)]
struct Fault {
    cause: &'static str,
    what: String,
    /// Of what is too small: in words, and by how much at most, as a part of what is needed.
    lacks: Option<(String, f64)>,
}

impl Fault {
    fn new(cause: &'static str, what: String) -> Self {
        Self { cause, what, lacks: None }
    }
}

/// What could be bought instead, and what could not.
pub(super) struct Answer {
    /// The next best launches.
    pub alternatives: Vec<Alternative>,
    /// How many offerings are cheaper, of equal alternatives the best.
    pub cheaper: usize,
    /// Why those are not taken.
    pub ruled_out: Vec<RuledOut>,
    /// Some were not tried.
    pub is_incomplete: bool,
}

type Sold<'s> = (usize, &'s NodePool, &'s InstanceType, &'s Offering);

impl<'p, 's> Instead<'p, 's> {
    pub fn of(problem: &'p Problem<'s>, plan: &'p Plan<Checked>, launch: usize, pods: Vec<usize>) -> Self {
        let on_node = |group: &Group| pods.iter().filter(|pod| group.pods.binary_search(pod).is_ok()).count();
        let groups = problem.groups.iter().map(|group| (group, i64::try_from(on_node(group)).unwrap_or(0)));
        let groups = groups.filter(|(_, pods)| *pods > 0).collect();
        let limits = problem.pools.iter().map(|pool| limits_left(pool, plan, Some(launch))).collect();
        Self { problem, plan, launch, pods, groups, limits }
    }

    fn chosen(&self) -> &'p Launch {
        &self.plan.launches[self.launch]
    }

    pub fn answer(&self) -> Answer {
        let price = self.chosen().price();
        let mut alternatives: Vec<Alternative> = Vec::new();
        let mut taken: BTreeSet<(usize, &str, &str)> = BTreeSet::new();
        let mut faults: BTreeMap<(&'static str, String), (usize, f64, Closest)> = BTreeMap::new();
        let (mut checks, mut cheaper, mut is_incomplete) = (0, 0, false);
        // a pool that another one is to be preferred to is so whatever it sells
        let mut outweighed: BTreeMap<usize, Fault> = BTreeMap::new();
        for sold @ (pool, of_pool, kind, offering) in self.sold() {
            let is_cheaper = offering.price < price;
            if self.is_chosen(pool, kind, offering) || (!is_cheaper && alternatives.len() >= SHOWN) {
                continue;
            }
            let name = (pool, &*kind.name, offering.capacity_type.label());
            if taken.contains(&name) {
                continue;
            }
            cheaper += usize::from(is_cheaper);
            let fault = self.fault(sold).or_else(|| {
                if let Some(known) = outweighed.get(&pool) {
                    return Some(known.clone());
                }
                if checks >= MOST_CHECKS {
                    is_incomplete = true;
                    return Some(Fault::new("not-tried", "not tried: so many others were".to_owned()));
                }
                checks += 1;
                let fault = self.refused(sold);
                if let Some(fault) = fault.as_ref().filter(|fault| fault.cause == OUTWEIGHED) {
                    outweighed.insert(pool, fault.clone());
                }
                fault
            });
            match fault {
                None => {
                    taken.insert(name);
                    if alternatives.len() < SHOWN {
                        alternatives.push(self.alternative(of_pool, kind, offering));
                    }
                }
                Some(fault) if is_cheaper => {
                    let closest = closest(of_pool, kind, offering, fault.lacks.as_ref().map(|(text, _)| text.clone()));
                    let lack = fault.lacks.map_or(0.0, |(_, part)| part);
                    let entry = faults.entry((fault.cause, fault.what)).or_insert_with(|| (0, lack, closest.clone()));
                    entry.0 += 1;
                    if lack <= entry.1 {
                        (entry.1, entry.2) = (lack, closest); // ascending prices: the last is the dearest
                    }
                }
                Some(_) => {}
            }
        }
        let ruled_out = |((cause, what), (offerings, _, closest))| RuledOut { cause, what, offerings, closest };
        let mut ruled_out: Vec<RuledOut> = faults.into_iter().map(ruled_out).collect();
        ruled_out.sort_by_key(|of| std::cmp::Reverse(of.offerings));
        Answer { alternatives, cheaper, ruled_out, is_incomplete }
    }

    /// Every offering of the pools that could launch something, cheapest first; without those that have no price.
    fn sold(&self) -> Vec<Sold<'s>> {
        let mut sold: Vec<Sold<'s>> = Vec::new();
        for (index, model) in self.problem.pools.iter().enumerate() {
            let of_pool = model.pool;
            for kind in of_pool.instance_types.iter() {
                let priced = kind.offerings.iter().filter(|of| of.available || of.price > MicroUsd::ZERO);
                sold.extend(priced.map(|offering| (index, of_pool, kind, offering)));
            }
        }
        sold.sort_by_key(|(pool, _, kind, offering)| (offering.price, *pool, kind.name.clone(), offering.zone.clone()));
        sold
    }

    fn is_chosen(&self, pool: usize, kind: &InstanceType, offering: &Offering) -> bool {
        let chosen = self.chosen();
        self.problem.pools[pool].index == chosen.pool
            && chosen.offers.first().is_some_and(|offer| offer.instance_type == kind.name)
            && offering.capacity_type == chosen.capacity_type
            && offering.price == chosen.price()
    }

    fn alternative(&self, pool: &NodePool, kind: &InstanceType, offering: &Offering) -> Alternative {
        let chosen = self.chosen();
        let extra = offering.price - chosen.price();
        let model =
            self.problem.pools.iter().flat_map(|pool| &pool.types).find(|model| model.instance_type.name == kind.name);
        let note = (extra < MicroUsd::ZERO).then(|| {
            if model.is_some_and(is_exotic) {
                "bare metal and accelerators are bought only for pods that need them"
            } else {
                "the plan did not find it"
            }
        });
        let is_offer = self.problem.snapshot.node_pools[chosen.pool].name == pool.name
            && offering.capacity_type == chosen.capacity_type
            && chosen.offers.iter().any(|offer| offer.instance_type == kind.name && offer.zone == offering.zone);
        Alternative {
            nodepool: pool.name.clone(),
            instance_type: kind.name.clone(),
            capacity_type: offering.capacity_type,
            zone: offering.zone.clone(),
            price_usd_hour: offering.price.as_usd(),
            extra_usd_hour: extra.as_usd(),
            is_offer,
            note: note.map(str::to_owned),
        }
    }

    /// The first thing that rules the offering out, without asking the checker.
    fn fault(&self, (pool, of_pool, kind, offering): Sold) -> Option<Fault> {
        if !offering.available {
            return Some(Fault::new("unavailable", "not available".to_owned()));
        }
        let mut node = kind.requirements.clone();
        node.add_all(&offering.requirements());
        for (key, wanted) in &of_pool.requirements {
            let only = single(key, wanted);
            let is_given = of_pool.labels.contains_key(key) && !node.contains_key(key);
            if !is_given && node.compatible(&only, Undefined::AllowWellKnown).is_err() && labels::is_well_known(key) {
                let what = format!("NodePool {} allows {key} {wanted}", of_pool.name);
                return Some(Fault::new("nodepool", what));
            }
        }
        for (group, _) in &self.groups {
            if let Some(taint) = rules::keep_out(&group.spec().tolerations, &of_pool.taints) {
                let what = format!(
                    "{} does not tolerate {} of NodePool {}",
                    self.name(group),
                    shown_taint(taint),
                    of_pool.name
                );
                return Some(Fault::new("taint", what));
            }
        }
        let of_node = {
            let mut all = of_pool.requirements.clone();
            all.add_all(&node);
            all
        };
        for (group, _) in &self.groups {
            if let Some(what) = demand(&of_node, group) {
                return Some(Fault::new("pod-rule", format!("{} {what}", self.name(group))));
            }
        }
        let model = self.problem.pools[pool].types.iter().find(|model| model.instance_type.name == kind.name);
        let Some(model) = model else {
            return Some(Fault::new("nodepool", format!("NodePool {} cannot launch it", of_pool.name)));
        };
        self.too_small(&self.problem.pools[pool], model)
            .or_else(|| self.ports(model))
            .or_else(|| self.over_limit(pool, model, offering))
    }

    fn too_small(&self, pool: &PoolModel, model: &TypeModel) -> Option<Fault> {
        let mut lacks: Vec<(usize, i64, i64)> = Vec::new();
        let of_dim = |dim: usize| self.groups.iter().map(move |(group, pods)| group.amounts[dim].saturating_mul(*pods));
        let all: Vec<i64> = (0..model.room.len()).map(|dim| of_dim(dim).fold(0, i64::saturating_add)).collect();
        for (dim, (&room, &needed)) in model.room.iter().zip(&all).enumerate() {
            if needed > 0 && needed > room {
                lacks.push((dim, needed, room));
            }
        }
        let names = self.problem.dims.names();
        let shown = |(dim, needed, room): &(usize, i64, i64)| match *dim {
            Dims::PODS => format!("{needed} pods > {} (max pods)", (*room).max(0)),
            dim => format!("{} short by {}", names[dim], display_amount(&names[dim], needed - room)),
        };
        #[allow(clippy::cast_precision_loss)] // only to compare
        let part = |(_, needed, room): &(usize, i64, i64)| (needed - room) as f64 / *needed as f64;
        let most = lacks.iter().map(part).fold(0.0, f64::max);
        let text = lacks.iter().map(shown).collect::<Vec<_>>().join(", ");
        let which: Vec<&str> = lacks.iter().map(|(dim, ..)| &*names[*dim]).collect();
        let daemons = which.iter().find_map(|name| taking(pool, model, name));
        let daemons = daemons.filter(|_| would_hold(&self.problem.dims, model, &all));
        let beside = daemons.map_or_else(String::new, |taking| format!(" beside its daemon pods ({taking})"));
        let what = format!("too small: {}{beside}", which.join(" and "));
        (!lacks.is_empty()).then_some(Fault { cause: "too-small", what, lacks: Some((text, most)) })
    }

    fn ports(&self, model: &TypeModel) -> Option<Fault> {
        let clash = |group: &Group| ports_conflict(&group.spec().host_ports, &model.daemon_ports);
        let (group, _) = self.groups.iter().find(|(group, _)| clash(group))?;
        Some(Fault::new("host-port", format!("host ports of {} clash with those of daemon pods", self.name(group))))
    }

    fn over_limit(&self, pool: usize, model: &TypeModel, offering: &Offering) -> Option<Fault> {
        let of_pool = &self.problem.pools[pool];
        let index = of_pool.types.iter().position(|other| std::ptr::eq(other, model))?;
        let of_offering = model.offerings.iter().position(|other| std::ptr::eq(*other, offering))?;
        let counted = of_pool.counted(index, of_offering);
        let limits = of_pool.limits();
        let over = counted.iter().zip(&self.limits[pool]).position(|(counted, left)| counted > left)?;
        let limit = &limits[over];
        let left = shown_limit(&limit.name, self.limits[pool][over].max(0));
        let what = format!("limit of NodePool {}: {} {left} left", of_pool.pool.name, limit.name);
        Some(Fault::new("limit", what))
    }

    /// What the checker has against the plan with this offering bought instead.
    fn refused(&self, (pool, of_pool, kind, offering): Sold) -> Option<Fault> {
        let Some(launch) = self.launched(pool, kind, offering) else {
            return Some(Fault::new("nodepool", format!("NodePool {} cannot launch it for these pods", of_pool.name)));
        };
        if launch.price() != offering.price {
            return Some(Fault::new(
                "nodepool",
                format!("minValues of NodePool {} want cheaper types beside it", of_pool.name),
            ));
        }
        let mut draft = self.plan.to_draft();
        draft.launches[self.launch] = launch;
        let violations = check(self.problem.snapshot, draft).err()?;
        let first = violations.first().map_or_else(String::new, |first| format!("{}: {}", first.rule, first.sentence));
        let is_outweighed = violations.iter().all(|violation| violation.rule == Rule::PoolWeight);
        Some(Fault::new(if is_outweighed { OUTWEIGHED } else { "checker" }, first))
    }

    /// The launch that buys it for the same pods; where minValues ask for more types, the cheapest others are dearer.
    fn launched(&self, pool: usize, kind: &InstanceType, offering: &Offering) -> Option<Launch> {
        let (of_pool, chosen) = (&self.problem.pools[pool], self.chosen());
        let mut requirements = of_pool.requirements.clone();
        if of_pool.index == chosen.pool {
            let decided = [labels::INSTANCE_TYPE, labels::ZONE, labels::CAPACITY_TYPE, labels::HOSTNAME];
            for (key, requirement) in chosen.requirements.iter().filter(|(key, _)| !labels::is_well_known(key)) {
                if !decided.contains(&&**key) {
                    requirements.add(key, requirement.clone());
                }
            }
        }
        for (group, _) in &self.groups {
            let alternatives = affinity_alternatives(group.spec());
            let meets = |wanted: &&Requirements| requirements.intersects(wanted).is_ok();
            requirements.add_all(&alternatives.iter().find(meets)?.clone());
        }
        let is_open = !of_pool.min_values.is_empty();
        let mut types = FixedBitSet::with_capacity(of_pool.types.len());
        for (index, model) in of_pool.types.iter().enumerate() {
            let is_it = model.instance_type.name == kind.name;
            let is_beside = is_open
                && model.offerings.iter().all(|other| other.price >= offering.price)
                && self.too_small(of_pool, model).is_none();
            types.set(index, is_it || is_beside);
        }
        requirements.add(labels::CAPACITY_TYPE, Requirement::one_of([offering.capacity_type.label()]));
        if !is_open {
            requirements.add(labels::ZONE, Requirement::one_of([offering.zone.clone()]));
            requirements.add(labels::INSTANCE_TYPE, Requirement::one_of([kind.name.clone()]));
        }
        let reservations = offering.reservation.iter().map(|reservation| reservation.id.clone()).collect();
        let node = NewNode { pool, requirements: requirements.into(), types, reservations, spend_limit: None };
        launch_of(self.problem, &node, &self.pods, chosen.name.clone())
    }

    fn name(&self, group: &Group) -> String {
        let pod = self.pods.iter().find(|pod| group.pods.binary_search(pod).is_ok());
        pod.map_or_else(String::new, |pod| format!("pod {}", self.problem.snapshot.pods[*pod].key))
    }
}

/// What each limit of the pool leaves once the plan, or all of it but one launch, is carried out; a launch counts with the
/// largest and dearest that it names.
pub(super) fn limits_left(pool: &PoolModel, plan: &Plan<Checked>, without: Option<usize>) -> Vec<i64> {
    let mut left: Vec<i64> = pool.limits().iter().map(|limit| limit.left).collect();
    let launches =
        plan.launches.iter().enumerate().filter(|(index, launch)| launch.pool == pool.index && Some(*index) != without);
    for (_, launch) in launches {
        let mut most = vec![0; left.len()];
        for (kind, model) in pool.types.iter().enumerate() {
            for (offering, of) in model.offerings.iter().enumerate() {
                let named = launch.offers.iter().any(|offer| {
                    offer.instance_type == model.instance_type.name
                        && offer.zone == of.zone
                        && launch.capacity_type == of.capacity_type
                });
                if named {
                    for (most, counted) in most.iter_mut().zip(pool.counted(kind, offering)) {
                        *most = counted.max(*most);
                    }
                }
            }
        }
        for (left, most) in left.iter_mut().zip(most) {
            *left -= most;
        }
    }
    left
}

/// The first rule of the group's pods that a node with these labels breaks.
fn demand(node: &Requirements, group: &Group) -> Option<String> {
    let spec = group.spec();
    let alternatives = affinity_alternatives(spec);
    let meets = |wanted: &Requirements| node.compatible(wanted, Undefined::AllowWellKnown).is_ok();
    if !alternatives.iter().any(meets) {
        let [only] = alternatives.as_slice() else { return Some("meets no term of its node affinity".to_owned()) };
        let broken = only.iter().find(|(key, wanted)| !meets(&single(key, wanted)));
        return Some(
            broken.map_or_else(|| format!("requires {only}"), |(key, wanted)| format!("requires {key} {wanted}")),
        );
    }
    let reach = volume_alternatives(spec, &Requirements::new());
    (!reach.iter().any(meets)).then(|| "has volumes that cannot be used there".to_owned())
}

fn single(key: &Arc<str>, wanted: &Requirement) -> Requirements {
    [(key.as_ref(), wanted.clone())].into_iter().collect()
}

fn closest(pool: &NodePool, kind: &InstanceType, offering: &Offering, lacks: Option<String>) -> Closest {
    Closest {
        nodepool: pool.name.clone(),
        instance_type: kind.name.clone(),
        capacity_type: offering.capacity_type,
        zone: offering.zone.clone(),
        price_usd_hour: offering.price.as_usd(),
        lacks,
    }
}
