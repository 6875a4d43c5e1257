//! The bound on cost, added up anew (`models/bound.md`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::decision::StoredProof;
use super::everything;
use super::knapsack::{Item, at_prices, beyond, fitting, sum, with_whole_pods, worth};
use super::reach::{Free, Group, Limit, Shape, World};
use crate::observe::Snapshot;
use crate::plan::Unplaced;

/// What the proof shows: no plan that the checker accepts, and that leaves at most as many pods of each priority as are left
/// here, costs less, micro-dollars an hour. Values and prices may be anything: bad ones prove little. `stated`: what the proof is
/// said to show; more is not looked for. Trying everything ends when it is to `stop`.
#[must_use]
pub fn of_cost(
    world: &World,
    snapshot: &Snapshot,
    left: &[Unplaced],
    (proof, stated): (&StoredProof, i64),
    stop: &dyn Fn() -> bool,
) -> i64 {
    if stated <= 0 {
        return 0;
    }
    let sum = Sum::new(snapshot, world, left, proof, None);
    let by_values = sum.bound();
    if by_values >= stated || !proof.is_exhaustive || !sum.leaves_nothing {
        return by_values;
    }
    let values: Vec<i64> = sum.values.iter().map(Value::least).collect();
    if everything::nothing_is_cheaper(world, &values, stated, stop) { stated } else { by_values }
}

/// What the proof shows: no plan that the checker accepts, and that leaves at most as many pods of each higher priority as are
/// left here, leaves fewer of this one, beside those that nothing can hold: the same sum where nodes cost nothing, and a pod
/// left of the priority is worth a dollar.
#[must_use]
pub fn of_left(world: &World, snapshot: &Snapshot, left: &[Unplaced], priority: i32, proof: &StoredProof) -> i64 {
    let micro = Sum::new(snapshot, world, left, proof, Some(priority)).bound();
    micro / MICRO_A_POD + i64::from(micro % MICRO_A_POD > 0)
}

struct Sum<'v> {
    world: &'v World<'v>,
    proof: &'v StoredProof,
    /// By group.
    values: Vec<Value>,
    prices: Vec<Vec<i128>>,
    on_nodes: HashMap<&'v str, Vec<i128>>,
    /// 10^-18 dollars a unit, by limit of the world.
    of_limits: Vec<i128>,
    /// How many pods of each priority a plan may leave.
    left: BTreeMap<i32, usize>,
    leaves_nothing: bool,
    /// The priority of which as few pods as can be are to be left; nodes cost nothing then.
    at_stake: Option<i32>,
}

/// What a pod is worth, nano-dollars an hour: in each zone, where it is spread over them.
#[derive(Debug, Clone, Default)]
struct Value {
    by_zone: BTreeMap<usize, i64>,
    elsewhere: i64,
}

impl Value {
    fn at(&self, zone: Option<usize>) -> i64 {
        zone.and_then(|zone| self.by_zone.get(&zone)).copied().unwrap_or(self.elsewhere)
    }

    fn least(&self) -> i64 {
        self.by_zone.values().copied().min().unwrap_or(self.elsewhere)
    }

    fn cap(&mut self, most: i64) {
        self.by_zone.values_mut().for_each(|value| *value = (*value).min(most));
        self.elsewhere = self.elsewhere.min(most);
    }

    fn most(&self) -> i64 {
        self.by_zone.values().copied().max().unwrap_or(0).max(self.elsewhere)
    }
}

/// The demands that a node may meet, and its zone.
type Where<'w> = (&'w [usize], Option<usize>);

/// Items that some nodes may hold, and how many pods there are of each.
type Items = (Vec<Item>, Vec<u32>);

/// The same pods told apart by their values, and, where that makes a difference, those of one size as the dearest of them: either shows
/// what a node holds at most.
type Held = Rc<Vec<Items>>;

impl<'v> Sum<'v> {
    fn new(
        snapshot: &'v Snapshot,
        world: &'v World<'v>,
        unplaced: &[Unplaced],
        proof: &'v StoredProof,
        at_stake: Option<i32>,
    ) -> Self {
        let names: HashMap<String, usize> = world
            .groups
            .iter()
            .enumerate()
            .flat_map(|(group, of)| of.pods.iter().map(move |&pod| (snapshot.pods[pod].key.to_string(), group)))
            .collect();
        let mut values = vec![Value::default(); world.groups.len()];
        for stated in &proof.values {
            let Some(&group) = names.get(&stated.pod) else { continue };
            let nano = stated.nano_usd_hour.clamp(0, MOST_NANO);
            match stated.zone.as_ref().map(|name| world.zones.binary_search_by(|zone| zone.as_ref().cmp(name))) {
                None => values[group].elsewhere = nano,
                Some(Ok(zone)) => drop(values[group].by_zone.insert(zone, nano)),
                Some(Err(_)) => {}
            }
        }
        for (value, group) in values.iter_mut().zip(&world.groups) {
            if group.spread.is_none() {
                *value = Value { elsewhere: value.least(), ..Value::default() };
            } else if let Some(most) = value.by_zone.values().copied().max() {
                // nothing is said of a zone where nobody sells what these pods may use; where somebody does, theta grows
                for zone in 0..world.zones.len() {
                    value.by_zone.entry(zone).or_insert(most);
                }
            }
            match at_stake.map(|at_stake| group.spec.priority.cmp(&at_stake)) {
                // it may be left
                Some(Ordering::Less) => *value = Value::default(),
                // it may be left for a dollar
                Some(Ordering::Equal) => value.cap(NANO_A_POD),
                Some(Ordering::Greater) | None => {}
            }
            // a pod that nothing can hold is in no plan: it is worth nothing
            if value.most() > 0 && !world.is_possible(group) {
                *value = Value::default();
            }
        }
        let mut left = BTreeMap::new();
        let possible = world.possible();
        for unplaced in unplaced.iter().filter(|unplaced| possible.contains(&unplaced.pod)) {
            *left.entry(snapshot.pods[unplaced.pod].template.spec.priority).or_insert(0) += 1;
        }
        left.retain(|priority, _| at_stake.is_none_or(|at_stake| *priority > at_stake));
        // prices are by the proof's resources; those that it does not name are free
        let place = |name: &str| proof.resources.iter().position(|of| of == name);
        let places: Vec<Option<usize>> = world.resources.iter().map(|name| place(name)).collect();
        let read = |written: &Vec<String>| {
            let price = |place: &Option<usize>| {
                let text = place.and_then(|place| written.get(place));
                text.and_then(|text| text.parse::<i128>().ok()).map_or(0, |price| price.max(0))
            };
            places.iter().map(price).collect::<Vec<i128>>()
        };
        let mut prices: Vec<Vec<i128>> = proof.prices.iter().map(read).collect();
        prices.push(vec![0; world.resources.len()]);
        let on_nodes = proof.node_prices.iter().map(|of| (of.node.as_str(), read(&of.prices))).collect();
        let of_limit = |limit: &Limit| {
            let named = proof.limit_prices.iter().find(|of| of.node_pool == limit.pool && *of.limit == *limit.name);
            named.and_then(|of| of.price.parse::<i128>().ok()).map_or(0, |price| price.clamp(0, MOST_ATTO))
        };
        let of_limits = world.limits.iter().map(of_limit).collect();
        let leaves_nothing = left.is_empty();
        Self { world, proof, values, prices, on_nodes, of_limits, left, leaves_nothing, at_stake }
    }

    /// (what placed pods are worth - what free room and reservations hold) / theta - what limits leave, rounded down.
    fn bound(&self) -> i64 {
        let mut total: i128 = self.world.groups.iter().zip(&self.values).map(|of| self.of_pods(of)).sum();
        total -= self.left_at_most();
        let mut held: HashMap<Where, Held> = HashMap::new();
        let mut nodes: BTreeMap<Where, Vec<&Free>> = BTreeMap::new();
        for node in &self.world.nodes {
            nodes.entry((&node.holds, node.zone)).or_default().push(node);
        }
        for (place, nodes) in nodes {
            let items = held.entry(place).or_insert_with(|| self.items(place)).clone();
            let most = items.iter().map(|(items, pods)| self.of_nodes(items, pods, &nodes)).min().unwrap_or(0);
            total = total.saturating_sub(most);
        }
        // by what they may hold: larger shapes are looked at before smaller ones that cost as much
        let mut theta = (1_i128, 1_i128);
        let stated = self.stated_theta();
        let mut shown: BTreeMap<Where, Vec<&Shape>> = BTreeMap::new();
        let mut by_cost: Vec<(i128, &Shape)> =
            self.world.shapes.iter().map(|shape| (self.cost(shape), shape)).collect();
        by_cost.sort_by_key(|(cost, _)| *cost);
        for (cost, shape) in by_cost {
            let place: Where = (&shape.holds, shape.zone);
            let items = held.entry(place).or_insert_with(|| self.items(place)).clone();
            if let Some(times) = shape.most {
                let each = items
                    .iter()
                    .flat_map(|(items, _)| self.prices.iter().map(move |prices| at_prices(items, &shape.room, prices)));
                let most = each.min().unwrap_or(0);
                total = total.saturating_sub(most.saturating_mul(i128::from(times)));
                continue;
            }
            let cheaper = shown.entry(place).or_default();
            if cheaper.iter().any(|other| other.room.iter().zip(&shape.room).all(|(larger, room)| larger >= room)) {
                continue; // it holds no more than one that costs no more, which was looked at
            }
            cheaper.push(shape);
            let floor = cost * stated.0 / stated.1;
            let each = items.iter().map(|(items, _)| self.of_shape(items, &shape.room, floor));
            let most = each.min().unwrap_or(0);
            if most > MOST_HELD {
                return 0;
            }
            if most * theta.1 > theta.0 * cost {
                theta = (most, cost);
            }
        }
        if total <= 0 || theta.1 == 0 {
            return 0;
        }
        let micro = total.checked_mul(theta.1).map_or(0, |product| product / theta.0 / 1_000);
        let left = self.world.limits.iter().zip(&self.of_limits);
        let left = sum(left.map(|(limit, price)| i128::from(limit.left).saturating_mul(*price)));
        i64::try_from((micro - left.saturating_add(ATTO_PER_MICRO - 1) / ATTO_PER_MICRO).max(0)).unwrap_or(0)
    }

    /// Price, and what it uses of limits, nano-dollars an hour, rounded down.
    fn cost(&self, shape: &Shape) -> i128 {
        let used = shape.uses.iter().map(|&(limit, amount)| self.of_limits[limit].saturating_mul(i128::from(amount)));
        let price = if self.at_stake.is_some() { 0 } else { shape.price.max(0) };
        let nano = i128::from(price) * 1_000 + sum(used) / 1_000_000_000;
        nano.min(i128::from(MOST_NANO) * 1_000)
    }

    fn stated_theta(&self) -> (i128, i128) {
        let read = |text: &str| text.parse::<i128>().ok().filter(|of| (1..=MOST_HELD).contains(of));
        match (read(&self.proof.theta[0]), read(&self.proof.theta[1])) {
            (Some(most), Some(cost)) if most >= cost => (most, cost),
            _ => (1, 1),
        }
    }

    /// The most that a shape holds: at prices, and where that is more than `floor` with whole pods. At least one of the two.
    fn of_shape(&self, items: &[Item], room: &[i64], floor: i128) -> i128 {
        let mut best: Option<(i128, &Vec<i128>)> = None;
        for prices in &self.prices {
            let most = at_prices(items, room, prices);
            if most <= floor {
                return most;
            }
            if best.is_none_or(|(least, _)| most < least) {
                best = Some((most, prices));
            }
        }
        let Some((most, prices)) = best else { return i128::MAX };
        let cells = self.proof.cells.map(|cells| cells.clamp(1, MOST_CELLS));
        most.min(with_whole_pods(items, room, prices, floor, cells, self.proof.steps.min(MOST_STEPS)))
    }

    /// All nodes that may hold the same: as one node, or one by one.
    fn of_nodes(&self, items: &[Item], pods: &[u32], nodes: &[&Free]) -> i128 {
        let mut room = vec![0_i64; self.world.resources.len()];
        let mut counts = vec![0_u32; items.len()];
        for node in nodes {
            let mut is_useful = false;
            for ((count, item), pods) in counts.iter_mut().zip(items).zip(pods) {
                let fits = fitting(item, &node.room);
                *count = count.saturating_add(fits).min(*pods);
                is_useful |= fits > 0;
            }
            if is_useful {
                room.iter_mut().zip(&node.room).for_each(|(sum, free)| *sum = sum.saturating_add(*free));
            }
        }
        let together = self.prices.iter().map(|prices| {
            let extra =
                items.iter().zip(&counts).map(|(item, count)| beyond(item, prices).saturating_mul(i128::from(*count)));
            worth(&room, prices).saturating_add(sum(extra))
        });
        let together = together.min().unwrap_or(i128::MAX);
        let each = nodes.iter().map(|node| {
            let own = self.on_nodes.get(node.name.as_ref());
            let all = own.into_iter().chain(self.prices.iter().filter(|_| own.is_none()));
            all.map(|prices| at_prices(items, &node.room, prices)).min().unwrap_or(0)
        });
        together.min(sum(each))
    }

    /// All pods of a group, however they are spread.
    fn of_pods(&self, (group, value): (&Group, &Value)) -> i128 {
        let pods = i64::try_from(group.pods.len()).unwrap_or(i64::MAX);
        match &group.spread {
            Some(spread) => {
                let by_zone: Vec<i64> = (0..self.world.zones.len()).map(|zone| value.at(Some(zone))).collect();
                spread.least(&by_zone, pods)
            }
            None => i128::from(value.least()) * i128::from(pods),
        }
    }

    fn items(&self, (holds, zone): Where) -> Held {
        let of = |(group, value): (&'v Group, &Value)| (group, value.at(zone));
        let here = self.world.groups.iter().zip(&self.values).map(of);
        let here: Vec<(&Group, i64)> =
            here.filter(|(group, value)| *value > 0 && holds.binary_search(&group.demand).is_ok()).collect();
        let mut dearest: BTreeMap<(&[i64], bool), i64> = BTreeMap::new();
        for &(group, value) in &here {
            let most = dearest.entry((&group.size, group.apart.is_some())).or_insert(value);
            *most = (*most).max(value);
        }
        let as_dearest = here.iter().map(|(group, _)| (*group, dearest[&(&*group.size, group.apart.is_some())]));
        let as_dearest = items(&as_dearest.collect::<Vec<_>>());
        let apart = items(&here);
        Rc::new(if as_dearest.0.len() < apart.0.len() { vec![apart, as_dearest] } else { vec![apart] })
    }

    /// The value of the dearest pods that a plan may leave.
    fn left_at_most(&self) -> i128 {
        let mut total = 0;
        for (&priority, &left) in &self.left {
            let of_priority =
                self.world.groups.iter().zip(&self.values).filter(|(group, _)| group.spec.priority == priority);
            let mut dearest: Vec<(i64, usize)> =
                of_priority.map(|(group, value)| (value.most(), group.pods.len())).collect();
            dearest.sort_unstable_by(|a, b| b.cmp(a));
            let mut left = left;
            for (value, pods) in dearest {
                let taken = pods.min(left);
                total += i128::from(value) * i128::try_from(taken).unwrap_or(i128::MAX);
                left -= taken;
            }
        }
        total
    }
}

/// Pods of one size and value are one item; of those that something keeps apart a node holds few.
fn items(of: &[(&Group, i64)]) -> Items {
    let mut items: BTreeMap<_, (BTreeMap<usize, u32>, u32)> = BTreeMap::new();
    for (group, value) in of {
        let of = items.entry((&*group.size, *value, group.apart.is_some())).or_default();
        of.0.extend(group.apart);
        of.1 = of.1.saturating_add(u32::try_from(group.pods.len()).unwrap_or(u32::MAX));
    }
    let items = items.into_iter().map(|((size, value, is_apart), (kinds, pods))| {
        let of_kinds = kinds.values().fold(0_u32, |sum, most| sum.saturating_add(*most));
        let count = if is_apart { of_kinds.min(pods) } else { pods };
        (Item { size: size.to_vec(), value, count }, pods)
    });
    items.unzip()
}

/// Nothing is worth or costs more than this, nano-dollars an hour: a million dollars.
const MOST_NANO: i64 = 1_000_000_000_000_000;
/// What a pod left is worth.
const NANO_A_POD: i64 = 1_000_000_000;
const MICRO_A_POD: i64 = 1_000_000;
const ATTO_PER_MICRO: i128 = 1_000_000_000_000;
/// No unit of a limit is worth more than this, 10^-18 dollars: a thousand dollars.
const MOST_ATTO: i128 = 1 << 70;
/// A node that holds more than this is not priced at all.
const MOST_HELD: i128 = 1 << 60;

/// A certificate may not make its verification as long as it likes.
const MOST_CELLS: usize = 1_024;
const MOST_STEPS: usize = 1_000_000;
