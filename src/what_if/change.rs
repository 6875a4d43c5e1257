//! What may be changed of a Snapshot.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::replicas::scaled;
use crate::api::labels;
use crate::api::reading::nearest_name;
use crate::catalog::{CapacityType, InstanceType};
use crate::explain::edit::{Edit, PoolEdit, edited, limit_of};
use crate::observe::snapshot::NodePool;
use crate::observe::{Snapshot, idle_limits};
use crate::requirements::Requirement;
use crate::resources::Resources;
use crate::units::{MicroUsd, Quantity};

/// One change; it is shown as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Prices of all nodes, or of those that are bought so, are multiplied.
    Prices { of: Option<CapacityType>, permille: i64 },
    /// What has this label is not bought: instance types, offerings, NodePools. Nodes that are there stay.
    Drop { key: String, value: String },
    /// `POOL.RESOURCE`, `POOL.nodes` or `POOL.packwright.dev/usd-per-hour`; no amount: there is no such limit.
    Limit { name: String, amount: Option<String> },
    /// A workload, as `[KIND/][NAMESPACE/]NAME`, has so many pods.
    Replicas { workload: String, count: usize },
}

/// A Snapshot with a change.
#[derive(Debug)]
pub struct Changed {
    pub snapshot: Snapshot,
    /// What had to be assumed.
    pub notes: Vec<String>,
}

/// Values that are named where one is unknown.
const MOST_NAMES: usize = 8;

impl Change {
    /// The Snapshot with it.
    ///
    /// # Errors
    /// One sentence: what it names is not there, and what is.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Changed, String> {
        let changed = |snapshot| Changed { snapshot, notes: Vec::new() };
        match self {
            Self::Prices { of, permille } => Ok(changed(priced(snapshot, *of, *permille))),
            Self::Drop { key, value } => without(snapshot, key, value).map(changed),
            Self::Limit { name, amount } => limited(snapshot, name, amount.as_deref()).map(changed),
            Self::Replicas { workload, count } => scaled(snapshot, workload, *count),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prices { of, permille } => {
                let of = of.map_or_else(String::new, |of| format!("{}-", of.label()));
                let (whole, rest) = (permille / 1_000, format!("{:03}", permille % 1_000));
                let rest = rest.trim_end_matches('0');
                write!(f, "{of}prices*{whole}{}{rest}", if rest.is_empty() { "" } else { "." })
            }
            Self::Drop { key, value } => write!(f, "drop {key}={value}"),
            Self::Limit { name, amount } => write!(f, "limit {name}={}", amount.as_deref().unwrap_or("none")),
            Self::Replicas { workload, count } => write!(f, "replicas {workload}={count}"),
        }
    }
}

fn priced(snapshot: &Snapshot, of: Option<CapacityType>, permille: i64) -> Snapshot {
    let mut priced = snapshot.clone();
    let times = |price: MicroUsd| price.permille(permille).min(MicroUsd::MOST_AN_HOUR);
    for_types(&mut priced, |kind| {
        for offering in &mut kind.offerings {
            if of.is_none_or(|of| offering.capacity_type == of) {
                offering.price = times(offering.price);
            }
        }
    });
    for node in &mut priced.nodes {
        if of.is_none_or(|of| node.label(labels::CAPACITY_TYPE) == Some(of.label())) {
            node.price = node.price.map(times);
        }
    }
    priced
}

/// Changes every type once, also where several pools share them.
fn for_types(snapshot: &mut Snapshot, change: impl Fn(&mut InstanceType)) {
    let mut made: HashMap<*const Vec<InstanceType>, Arc<Vec<InstanceType>>> = HashMap::new();
    for pool in &mut snapshot.node_pools {
        let types = pool.instance_types.clone();
        let new = made.entry(Arc::as_ptr(&types)).or_insert_with(|| {
            let mut types = Vec::clone(&types);
            types.iter_mut().for_each(&change);
            Arc::new(types)
        });
        pool.instance_types = new.clone();
    }
}

/// The offerings with the label cannot be had any more: nodes of their types that are there keep their type and their price.
fn without(snapshot: &Snapshot, key: &str, value: &str) -> Result<Snapshot, String> {
    let known = values_of(snapshot, key);
    if !known.contains(value) {
        return Err(unknown_value(snapshot, key, value, &known));
    }
    let mut changed = snapshot.clone();
    for_types(&mut changed, |kind| {
        let values = kind.requirements.get(key).and_then(Requirement::finite_values);
        let is_one_of = values.is_some_and(|values| values.contains(value));
        let others: BTreeSet<Arc<str>> = values.into_iter().flatten().filter(|of| &***of != value).cloned().collect();
        for offering in &mut kind.offerings {
            offering.available &= !(is_one_of && others.is_empty()) && offering.label(key) != Some(value);
        }
        if is_one_of && !others.is_empty() {
            kind.requirements.replace(key, Requirement::one_of(others));
        }
    });
    for pool in &mut changed.node_pools {
        if pool.labels.get(key).is_some_and(|of| **of == *value) {
            pool.unusable = Some(Arc::from(format!("it is dropped, as it has the label {key}={value}")));
        }
    }
    Ok(changed)
}

/// The values that a label has of types, offerings and NodePools.
fn values_of<'s>(snapshot: &'s Snapshot, key: &str) -> BTreeSet<&'s str> {
    let types = || snapshot.node_pools.iter().flat_map(|pool| pool.instance_types.iter());
    let of_types = types().filter_map(|kind| kind.requirements.get(key)?.finite_values()).flatten();
    let mut values: BTreeSet<&str> = of_types.map(AsRef::as_ref).collect();
    values.extend(types().flat_map(|kind| &kind.offerings).filter_map(|offering| offering.label(key)));
    values.extend(snapshot.node_pools.iter().filter_map(|pool| pool.labels.get(key)).map(AsRef::as_ref));
    values
}

fn unknown_value(snapshot: &Snapshot, key: &str, value: &str, known: &BTreeSet<&str>) -> String {
    if known.is_empty() {
        let types = || snapshot.node_pools.iter().flat_map(|pool| pool.instance_types.iter());
        let mut keys: BTreeSet<&str> = types().flat_map(|kind| kind.requirements.keys()).map(AsRef::as_ref).collect();
        keys.extend(snapshot.node_pools.iter().flat_map(|pool| pool.labels.keys()).map(AsRef::as_ref));
        keys.extend([labels::ZONE, labels::CAPACITY_TYPE]);
        return format!("no instance type, offering or NodePool has the label {key}{}", hint(key, keys));
    }
    let near = hint(value, known.iter().copied());
    if near.is_empty() && known.len() <= MOST_NAMES {
        let known: Vec<&str> = known.iter().copied().collect();
        return format!("nothing that can be bought has the label {key}={value}: it is one of {}", known.join(", "));
    }
    format!("nothing that can be bought has the label {key}={value}{near}")
}

fn hint<'n>(mistyped: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest_name(mistyped, names).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

fn limited(snapshot: &Snapshot, name: &str, amount: Option<&str>) -> Result<Snapshot, String> {
    let (index, resource) = pool_of(&snapshot.node_pools, name)?;
    let edit = match amount {
        Some(amount) => PoolEdit::Limit(resource.into(), amount_of(resource, amount)?),
        None if limit_of(&snapshot.node_pools[index], resource).is_none() => {
            return Err(format!("NodePool {} has no limit of {resource}", snapshot.node_pools[index].name));
        }
        None => PoolEdit::DropLimit(resource.into()),
    };
    let limited = edited(snapshot, &[], &[Edit::Pool(index, edit)]);
    let pool = &limited.node_pools[index];
    match idle_limits(pool).into_iter().find(|(limit, _)| **limit == *resource) {
        Some((_, says)) => Err(format!("NodePool {}: {says}", pool.name)),
        None => Ok(limited),
    }
}

/// The pool whose name comes before a dot, and what stands behind it. Both may have dots.
fn pool_of<'n>(pools: &[NodePool], name: &'n str) -> Result<(usize, &'n str), String> {
    let behind = |pool: &NodePool| {
        let resource = name.strip_prefix(&*pool.name)?.strip_prefix('.')?;
        (!resource.is_empty()).then_some(resource)
    };
    let found = pools.iter().enumerate().filter_map(|(index, pool)| Some((index, behind(pool)?)));
    found.min_by_key(|(_, resource)| resource.len()).ok_or_else(|| {
        let asked = name.split('.').next().unwrap_or_default();
        let near = hint(asked, pools.iter().map(|pool| &*pool.name));
        let names: Vec<&str> = pools.iter().map(|pool| &*pool.name).take(MOST_NAMES).collect();
        let there =
            if names.is_empty() { "there is none".to_owned() } else { format!("there is {}", names.join(", ")) };
        format!("no NodePool {asked}: {there}{near}")
    })
}

/// In the unit of the limit.
fn amount_of(resource: &str, text: &str) -> Result<i64, String> {
    let fault = || format!("expected an amount such as 100, 1500m or 64Gi, or none, found '{text}'");
    let quantity: Quantity = text.parse().map_err(|_| fault())?;
    if quantity.is_negative() {
        return Err(format!("expected no negative amount, found '{text}'"));
    }
    match resource {
        labels::LIMIT_USD_PER_HOUR => Ok(quantity.micro_value()),
        labels::LIMIT_NODES => Ok(quantity.value()),
        _ => Resources::parse_amount(resource, text).map_err(|_| fault()),
    }
}
