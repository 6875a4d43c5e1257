//! What a new node may buy: one capacity type, and offers in order of preference.
//!
//! The solver asks it whether a node can be bought at all, and the plan what to write into the launch: one answer, so that
//! no node is opened that cannot be launched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::api::labels;
use crate::catalog::{CapacityType, Offering};
use crate::model::{PoolModel, TypeModel};
use crate::requirements::Requirements;
use crate::settings::{MinValuesPolicy, Settings};
use crate::units::MicroUsd;

/// A node to be bought.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'w> {
    /// Over the pool's types.
    pub types: &'w FixedBitSet,
    /// Reservations that are kept for this node; it may name no others.
    pub reservations: &'w BTreeSet<Arc<str>>,
    /// The most that an offer may count towards the pool's spend cap, micro-dollars an hour.
    pub spend_limit: Option<MicroUsd>,
}

/// What to buy.
#[derive(Debug, Clone)]
pub struct Purchase<'p> {
    pub capacity_type: CapacityType,
    /// Types by their cheapest offer, the offers of a type together, cheapest first.
    pub offers: Vec<Candidate<'p>>,
    /// `minValues` that could not be kept (policy `BestEffort`).
    pub min_values_relaxed: bool,
}

pub type Candidate<'p> = (&'p TypeModel<'p>, &'p Offering);

impl Purchase<'_> {
    /// What the launch counts towards a spend cap: its dearest offer.
    #[must_use]
    pub fn spend(&self) -> MicroUsd {
        self.offers.iter().map(|(kind, offering)| kind.counted_price(offering)).max().unwrap_or(MicroUsd::ZERO)
    }
}

/// What a pool sells under some requirements, cheapest first. Many nodes of a plan share one.
#[derive(Debug, Clone)]
pub struct Book<'p>(Vec<Sold<'p>>);

#[derive(Debug, Clone, Copy)]
struct Sold<'p> {
    /// Index into the pool's types.
    index: usize,
    candidate: Candidate<'p>,
    is_exotic: bool,
}

impl<'p> Book<'p> {
    #[must_use]
    pub fn of(pool: &'p PoolModel<'p>, requirements: &Requirements) -> Self {
        let must_have = pool.labels_to_be_had(requirements);
        let mut book: Vec<Sold<'p>> = Vec::new();
        for (index, kind) in pool.types.iter().enumerate() {
            let is_exotic = is_exotic(kind);
            let sold = kind.offerings.iter().filter(|offering| kind.sells(offering, requirements, &must_have));
            book.extend(sold.map(|offering| Sold { index, candidate: (kind, *offering), is_exotic }));
        }
        // stable: types by name and their offerings by zone among equal prices
        book.sort_by_key(|sold| sold.candidate.1.price);
        Self(book)
    }
}

/// Chooses capacity type and offers; `None` where nothing can be bought, or `minValues` cannot be kept.
///
/// As the provider filters (karpenter-aws 3): exotic types only where nothing else is left, reserved before spot before
/// on-demand, spot only where it is not dearer than on-demand. A launch has one capacity type: where the preferred one
/// cannot keep `minValues`, the next is taken. Zones of equal price are ordered by `zone_load`.
#[must_use]
pub fn purchase<'p>(
    pool: &PoolModel,
    settings: &Settings,
    book: &Book<'p>,
    wish: Wish<'_>,
    zone_load: &BTreeMap<Arc<str>, usize>,
) -> Option<Purchase<'p>> {
    let can_be_bought = |sold: &&Sold<'p>| {
        let (kind, offering) = sold.candidate;
        wish.types.contains(sold.index)
            && offering.reservation.as_ref().is_none_or(|r| wish.reservations.contains(&r.id))
            && wish.spend_limit.is_none_or(|limit| kind.counted_price(offering) <= limit)
    };
    let has_plain = || book.0.iter().filter(can_be_bought).any(|sold| !sold.is_exotic);
    let only_plain = pool.min_values.is_empty() && has_plain();
    let bought = book.0.iter().filter(can_be_bought).filter(|sold| !(only_plain && sold.is_exotic));
    let mut all: Vec<Candidate<'p>> = bought.map(|sold| sold.candidate).collect();
    if pool.min_values.is_empty() {
        let on_demand =
            all.iter().filter(|(_, o)| o.capacity_type == CapacityType::OnDemand).map(|(_, o)| o.price).min();
        let is_dear =
            |o: &Offering| o.capacity_type == CapacityType::Spot && on_demand.is_some_and(|most| o.price > most);
        all.retain(|(_, offering)| !is_dear(offering));
    }
    let order = capacity_types(&all);
    let lists: Vec<(CapacityType, Types)> =
        order.into_iter().map(|of| (of, by_type(affordable(pool, settings, &all, of), zone_load))).collect();
    let kept = lists.iter().find_map(|(capacity_type, types)| {
        let offers = offers_with_minimums(pool, settings, types)?;
        Some(Purchase { capacity_type: *capacity_type, offers, min_values_relaxed: false })
    });
    kept.or_else(|| {
        let (capacity_type, types) =
            lists.first().filter(|_| settings.min_values_policy == MinValuesPolicy::BestEffort)?;
        let offers = within_window(settings, types).into_iter().flatten().collect();
        Some(Purchase { capacity_type: *capacity_type, offers, min_values_relaxed: true })
    })
}

/// The capacity types that there are, preferred ones first.
fn capacity_types(all: &[Candidate]) -> Vec<CapacityType> {
    let cheapest = |of: CapacityType| all.iter().filter(|(_, o)| o.capacity_type == of).map(|(_, o)| o.price).min();
    let spot_is_dearer = match (cheapest(CapacityType::Spot), cheapest(CapacityType::OnDemand)) {
        (Some(spot), Some(on_demand)) => spot > on_demand,
        _ => false,
    };
    let order = if spot_is_dearer {
        [CapacityType::Reserved, CapacityType::OnDemand, CapacityType::Spot]
    } else {
        [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand]
    };
    order.into_iter().filter(|of| cheapest(*of).is_some()).collect()
}

/// Bare metal and accelerators: bought only by those who need them.
#[must_use]
pub fn is_exotic(kind: &TypeModel) -> bool {
    const ACCELERATORS: [&str; 4] = ["nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron", "habana.ai/gaudi"];
    let of_type = kind.instance_type;
    let metal = of_type.requirements.get(labels::INSTANCE_SIZE).and_then(|r| r.single_value());
    metal.is_some_and(|size| size.contains("metal")) || ACCELERATORS.iter().any(|name| of_type.capacity.get(name) > 0)
}

/// Candidates of one capacity type, by type; cheapest type first, cheapest zone first.
type Types<'p> = Vec<Vec<Candidate<'p>>>;

/// The offers of one capacity type, cheapest first; only those within the window where no `minValues` may widen it.
fn affordable<'p>(
    pool: &PoolModel,
    settings: &Settings,
    all: &[Candidate<'p>],
    of: CapacityType,
) -> Vec<Candidate<'p>> {
    let offers = all.iter().filter(|(_, offering)| offering.capacity_type == of).copied();
    let cheapest = all.iter().find(|(_, offering)| offering.capacity_type == of).map(|(_, offering)| offering.price);
    let most = cheapest.filter(|_| pool.min_values.is_empty()).map(|price| flexible(settings, price));
    offers.take_while(|(_, offering)| most.is_none_or(|most| offering.price <= most)).collect()
}

fn flexible(settings: &Settings, chosen: MicroUsd) -> MicroUsd {
    chosen.permille(1_000 + settings.price_flexibility_permille)
}

fn by_type<'p>(offers: Vec<Candidate<'p>>, zone_load: &BTreeMap<Arc<str>, usize>) -> Types<'p> {
    let mut by_name: BTreeMap<&str, Vec<Candidate<'p>>> = BTreeMap::new();
    for candidate in offers {
        by_name.entry(candidate.0.instance_type.name.as_ref()).or_default().push(candidate);
    }
    let mut types: Types = by_name.into_values().collect();
    let load = |offering: &Offering| zone_load.get(&offering.zone).copied().unwrap_or(0);
    for zones in &mut types {
        zones.sort_by_key(|(_, offering)| (offering.price, load(offering), offering.zone.clone()));
    }
    cheapest_first(&mut types);
    types
}

/// By the cheapest offer of each type, then by name.
fn cheapest_first(types: &mut Types) {
    types.sort_by_key(|zones| (zones[0].1.price, zones[0].0.instance_type.name.clone()));
}

fn window(settings: &Settings, types: &Types) -> MicroUsd {
    flexible(settings, types.first().map_or(MicroUsd::ZERO, |zones| zones[0].1.price))
}

/// At most `max_instance_types`, no offer dearer than the price flexibility allows.
fn within_window<'p>(settings: &Settings, types: &Types<'p>) -> Types<'p> {
    let window = window(settings, types);
    let types = types.iter().map(|zones| up_to(zones, window)).filter(|zones| !zones.is_empty());
    types.take(settings.max_instance_types).collect()
}

/// The offers within the window, joined by the dearer ones without which `minValues` would be unmet; `None` where it
/// cannot be kept.
///
/// No dear offer and, where there are more types than a launch may name, no type is left that could go: of each of k
/// values that a minimum asks for one type is a witness, and the witnesses of all minimums keep them, so that what is left
/// is at most the sum of the minimums. Types are too many only where that sum is.
fn offers_with_minimums<'p>(pool: &PoolModel, settings: &Settings, types: &Types<'p>) -> Option<Vec<Candidate<'p>>> {
    let mut chosen = within_window(settings, types);
    if unmet(pool, &chosen) == 0 {
        return Some(chosen.into_iter().flatten().collect());
    }
    // first what is within the window but beyond the number of types, then whole types: a minimum may be one of zones
    let window_of_all = window(settings, types);
    let within = types.iter().map(|zones| up_to(zones, window_of_all));
    for zones in within.chain(types.iter().cloned()).filter(|zones| !zones.is_empty()) {
        let mut wider = without(&chosen, name(&zones));
        wider.push(zones);
        if missing_values(pool, &wider) < missing_values(pool, &chosen) {
            chosen = wider;
        }
    }
    if unmet(pool, &chosen) > 0 {
        return None;
    }
    drop_unneeded(pool, &mut chosen, window_of_all);
    for zones in dearest_first(&chosen) {
        let fewer = without(&chosen, name(&zones));
        if chosen.len() > settings.max_instance_types && unmet(pool, &fewer) == 0 {
            chosen = fewer;
        }
    }
    if chosen.len() > settings.max_instance_types {
        return None;
    }
    cheapest_first(&mut chosen);
    // without its cheapest types the window may have moved: the chosen price decides what may stand beside it
    let window_of_chosen = window(settings, &chosen);
    drop_unneeded(pool, &mut chosen, window_of_chosen);
    cheapest_first(&mut chosen);
    Some(chosen.into_iter().flatten().collect())
}

/// Drops the offers dearer than the window without which the minimums are kept, dearest type first: of a type all, else all but
/// the cheapest, else the dearest ones one by one.
fn drop_unneeded(pool: &PoolModel, chosen: &mut Types, window: MicroUsd) {
    for zones in dearest_first(chosen) {
        let cheaper = up_to(&zones, window).len();
        if cheaper == zones.len() || keeps(pool, chosen, &zones, &zones[..cheaper]) {
            continue;
        }
        if keeps(pool, chosen, &zones, &zones[..=cheaper]) {
            continue;
        }
        let mut kept = zones.clone();
        for dear in (cheaper..zones.len()).rev() {
            let mut fewer = kept.clone();
            fewer.remove(dear);
            if keeps(pool, chosen, &zones, &fewer) {
                kept = fewer;
            }
        }
    }
}

/// Whether the minimums are kept with fewer offers of a type; then it has no others any more.
fn keeps<'p>(pool: &PoolModel, chosen: &mut Types<'p>, of_type: &[Candidate<'p>], fewer: &[Candidate<'p>]) -> bool {
    let mut with_fewer = without(chosen, name(of_type));
    if !fewer.is_empty() {
        with_fewer.push(fewer.to_vec());
    }
    let is_kept = unmet(pool, &with_fewer) == 0;
    if is_kept {
        *chosen = with_fewer;
    }
    is_kept
}

fn name<'p>(zones: &[Candidate<'p>]) -> &'p str {
    &zones[0].0.instance_type.name
}

fn without<'p>(types: &Types<'p>, type_name: &str) -> Types<'p> {
    types.iter().filter(|zones| name(zones) != type_name).cloned().collect()
}

fn up_to<'p>(zones: &[Candidate<'p>], price: MicroUsd) -> Vec<Candidate<'p>> {
    zones.iter().filter(|(_, offering)| offering.price <= price).copied().collect()
}

/// By the dearest offer of each type, then by name.
fn dearest_first<'p>(types: &Types<'p>) -> Types<'p> {
    let price = |zones: &Vec<Candidate>| zones.iter().map(|(_, offering)| offering.price).max();
    let mut types = types.clone();
    types.sort_by(|a, b| (price(b), name(b)).cmp(&(price(a), name(a))));
    types
}

/// How many minimums are not kept.
fn unmet(pool: &PoolModel, types: &Types) -> usize {
    pool.min_values.iter().filter(|(key, minimum)| distinct(types.iter().flatten(), key) < *minimum as usize).count()
}

/// How many values are missing, over all minimums.
fn missing_values(pool: &PoolModel, types: &Types) -> usize {
    pool.min_values
        .iter()
        .map(|(key, minimum)| (*minimum as usize).saturating_sub(distinct(types.iter().flatten(), key)))
        .sum()
}

/// Distinct values of a label over the offers.
#[must_use]
pub fn distinct<'p>(offers: impl IntoIterator<Item = &'p Candidate<'p>>, key: &str) -> usize {
    let mut values: BTreeSet<&str> = BTreeSet::new();
    for (kind, offering) in offers {
        if let Some(value) = offering.label(key) {
            values.insert(value);
        } else {
            let of_type = kind.instance_type.requirements.get(key).and_then(|r| r.finite_values());
            values.extend(of_type.into_iter().flatten().map(AsRef::as_ref));
        }
    }
    values.len()
}
