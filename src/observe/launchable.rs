//! What each NodePool can launch: its node class applied to the catalogue, then the NodeOverlays; and what the nodes
//! that exist cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::idle_limits::idle_limits;
use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{ObjectKey, Objects, Sourced, Table};
use super::pools::{not_ready, read_requirements};
use super::requests::read_resources;
use super::snapshot::{Node, NodeClassRef, NodePool, NodeStage};
use crate::api::labels;
use crate::api::node_class_reference::NodeClassReference;
use crate::api::node_overlay::NodeOverlay;
use crate::api::reading::nearest_name;
use crate::api::requirement::NodeSelectorRequirementWithMinValues;
use crate::api::validate::Validate as _;
use crate::catalog::node_class::reservations;
use crate::catalog::overlay::{Overlay, PoolTypes, PriceChange, apply_overlays};
use crate::catalog::{Catalog, InstanceType, Market, NodeClassFacts, Offering, kwok};
use crate::requirements::{Requirement, Requirements};
use crate::settings::Settings;
use crate::units::MicroUsd;

const EC2: &str = "EC2NodeClass";
const KWOK: &str = "KWOKNodeClass";

/// Group and kind of the node classes that nodes can be launched from.
pub(super) const NODE_CLASSES: [(&str, &str); 2] = [("karpenter.k8s.aws", EC2), ("karpenter.kwok.sh", KWOK)];

/// Whether nodes can be launched from a node class: those of other groups and kinds are left to other provisioners.
#[must_use]
pub fn serves(class: &NodeClassReference) -> bool {
    NODE_CLASSES.contains(&(class.group.as_str(), class.kind.as_str()))
}

/// Whether some pool buys on the market that the catalogue describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarketUse {
    None,
    Some,
}

/// What a node class can launch, and why it cannot.
type TypesOrReason = (Arc<Vec<InstanceType>>, Option<Arc<str>>);

/// Fills in the instance types of every pool. A node class that is not in the input is assumed, and each assumption
/// said; one that is being deleted, not ready or invalid makes its pools unusable.
pub(super) fn fill_instance_types(
    pools: &mut [NodePool],
    objects: &Objects,
    catalog: &Catalog,
    settings: &Settings,
    errors: &mut Vec<InputError>,
    assumptions: &mut Vec<String>,
) -> MarketUse {
    let mut market = MarketUse::None;
    let mut classes: BTreeMap<NodeClassRef, TypesOrReason> = BTreeMap::new();
    for pool in pools.iter_mut() {
        let (types, unusable) = classes.entry(pool.node_class.clone()).or_insert_with_key(|class| {
            match class_types(class, objects, catalog, settings, errors, assumptions) {
                Ok((types, of_market)) => {
                    if of_market == MarketUse::Some {
                        market = MarketUse::Some;
                    }
                    (types, None)
                }
                Err(reason) => (Arc::default(), Some(Arc::from(reason))),
            }
        });
        pool.instance_types = types.clone();
        pool.unusable = pool.unusable.take().or_else(|| unusable.clone());
    }
    market
}

/// What a node class can launch, and whether that is bought on the market of the catalogue; or why it can launch nothing.
fn class_types(
    class: &NodeClassRef,
    objects: &Objects,
    catalog: &Catalog,
    settings: &Settings,
    errors: &mut Vec<InputError>,
    assumptions: &mut Vec<String>,
) -> Result<(Arc<Vec<InstanceType>>, MarketUse), String> {
    match (resolve(class, objects, catalog, errors, assumptions)?, catalog) {
        (Facts::Ec2(mut facts), Catalog::Ec2(of_region)) => {
            facts.placement_group = of_region.placement_group(&class.name).cloned();
            if settings.feature_gates.reserved_capacity {
                add_reservations(&mut facts, class, objects, of_region, assumptions);
            }
            Ok((Arc::new(catalog.instance_types(&facts, settings)), MarketUse::Some))
        }
        (Facts::Ec2(facts), Catalog::Fixed(_)) => {
            Ok((Arc::new(catalog.instance_types(&facts, settings)), MarketUse::None))
        }
        (Facts::Kwok, Catalog::Fixed(types)) => Ok((Arc::new(types.clone()), MarketUse::None)),
        (Facts::Kwok, Catalog::Ec2(_)) => Ok((Arc::new(kwok::instance_types()), MarketUse::None)),
    }
}

/// What can be launched from a node class without a NodePool.
///
/// # Errors
/// Nothing can be, and why, in one sentence.
pub fn types_of_class(
    class: &NodeClassRef,
    objects: &Objects,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Arc<Vec<InstanceType>>, String> {
    let (mut errors, mut assumptions) = (Vec::new(), Vec::new());
    class_types(class, objects, catalog, settings, &mut errors, &mut assumptions).map(|(types, _)| types)
}

/// One sentence for each pool that no planned node can come from.
fn unused_pools(pools: &[NodePool]) -> Vec<String> {
    let reason = |pool: &NodePool| {
        if let Some(reason) = &pool.unusable {
            return Some(format!("NodePool {} is not used: {reason}", pool.name));
        }
        if let Some(replicas) = pool.replicas {
            return Some(format!("NodePool {} is static: it keeps its {replicas} nodes and gets no others", pool.name));
        }
        (!is_launchable(pool)).then(|| {
            let unmet = unmet_requirements(pool).join("; ");
            let unmet = if unmet.is_empty() { unmet } else { format!(": {unmet}") };
            format!("NodePool {} is not used: no instance type satisfies its requirements{unmet}", pool.name)
        })
    };
    pools.iter().filter_map(reason).collect()
}

/// What plans note of NodePools.
#[must_use]
pub fn notes_of_pools(pools: &[NodePool]) -> Vec<String> {
    let idle = pools
        .iter()
        .flat_map(|pool| idle_limits(pool).into_iter().map(|(_, says)| format!("NodePool {}: {says}", pool.name)));
    unused_pools(pools).into_iter().chain(idle).collect()
}

/// Whether a pool's requirements leave an instance type that can be had.
#[must_use]
pub fn is_launchable(pool: &NodePool) -> bool {
    pool.instance_types.iter().any(|instance_type| {
        instance_type.requirements.intersects(&pool.requirements).is_ok()
            && instance_type.offerings.iter().any(|o| o.available && o.satisfies(&pool.requirements))
    })
}

/// More values of a label than these are a number.
const MOST_VALUES: usize = 8;

/// The requirements of the pool that rule out every type, each by itself, and the values that there are.
#[must_use]
pub fn unmet_requirements(pool: &NodePool) -> Vec<String> {
    let types = || pool.instance_types.iter();
    let offerings = || types().flat_map(|t| t.offerings.iter().filter(|o| o.available));
    let one = |(key, requirement): (&Arc<str>, &Requirement)| {
        let single: Requirements = [(key, requirement.clone())].into_iter().collect();
        let is_met = types().any(|t| {
            t.requirements.intersects(&single).is_ok()
                && t.offerings.iter().any(|o| o.available && o.satisfies(&single))
        });
        if is_met || types().next().is_none() {
            return None;
        }
        let of_types = types().filter_map(|t| t.requirements.get(key)?.finite_values()).flatten().map(|value| &**value);
        let values: BTreeSet<&str> = of_types.chain(offerings().filter_map(|o| o.label(key))).collect();
        let mut mistyped = requirement.finite_values().into_iter().flatten();
        let near = mistyped.find_map(|value| nearest_name(value, values.iter().copied()));
        let have = match (values.len(), near) {
            (0, _) => "none".to_owned(),
            (count, Some(near)) if count > MOST_VALUES => format!("{count} other values, such as {near}"),
            (count, None) if count > MOST_VALUES => format!("{count} other values"),
            _ => values.into_iter().collect::<Vec<_>>().join(", "),
        };
        Some(format!("{key} {requirement}: types have {have}"))
    };
    pool.requirements.iter().filter_map(one).collect()
}

fn add_reservations(
    facts: &mut NodeClassFacts,
    class: &NodeClassRef,
    objects: &Objects,
    market: &Market,
    assumptions: &mut Vec<String>,
) {
    let key = ObjectKey { namespace: Arc::from(""), name: class.name.clone() };
    let Some(Sourced { object, .. }) = objects.ec2_node_classes.get(&key) else { return };
    let (found, missing) = reservations::of_class(object, market.reservations());
    facts.reservations = found;
    assumptions.extend(missing.map(|missing| format!("{} {}: {missing}", class.kind, class.name)));
}

enum Facts {
    Ec2(Box<NodeClassFacts>),
    Kwok,
}

fn resolve(
    class: &NodeClassRef,
    objects: &Objects,
    catalog: &Catalog,
    errors: &mut Vec<InputError>,
    assumptions: &mut Vec<String>,
) -> Result<Facts, String> {
    let key = ObjectKey { namespace: Arc::from(""), name: class.name.clone() };
    let shown = format!("{} {}", class.kind, class.name);
    // taking the default in place of a class that cannot be read would plan nodes that nobody described
    if let Some(reason) = objects.why_unusable(&class.kind, &key) {
        return Err(format!("its {shown} is invalid: {reason}"));
    }
    if !NODE_CLASSES.contains(&(&*class.group, &*class.kind)) {
        return Err(format!("its node class has the unknown kind {} of {}", class.kind, class.group));
    }
    match &*class.kind {
        EC2 => {
            let Some(Sourced { origin, object }) = objects.ec2_node_classes.get(&key) else {
                let absent = absent(&shown, class, &objects.ec2_node_classes);
                assumptions.push(match catalog {
                    Catalog::Ec2(_) => format!("{absent}: AL2023 with default settings in every zone"),
                    Catalog::Fixed(_) => format!("{absent}: it is taken to be ready"),
                });
                return Ok(Facts::Ec2(Box::default()));
            };
            let conditions = object.status.iter().flat_map(|status| &status.conditions);
            if object.metadata.deletion_timestamp.is_some() {
                return Err(format!("its {shown} is being deleted"));
            }
            if let Some(reason) = not_ready(conditions) {
                return Err(format!("its {shown} cannot be used: {reason}"));
            }
            let mut invalid = object.validate();
            let facts = NodeClassFacts::from_ec2(object).map_err(|unreadable| {
                for error in unreadable {
                    if !invalid.iter().any(|known| known.field == error.field) {
                        invalid.push(error);
                    }
                }
            });
            let first = invalid.first().map(ToString::to_string);
            errors.extend(
                invalid
                    .into_iter()
                    .map(|error| Objects::field_error(EC2, &key, origin, FieldError::new(error.field, error.message))),
            );
            match (facts, first) {
                (Ok(facts), None) => Ok(Facts::Ec2(Box::new(facts))),
                (_, Some(reason)) => Err(format!("its {shown} is invalid: {reason}")),
                (Err(()), None) => Err(format!("its {shown} is invalid")),
            }
        }
        KWOK => {
            let Some(Sourced { object, .. }) = objects.kwok_node_classes.get(&key) else {
                let absent = absent(&shown, class, &objects.kwok_node_classes);
                assumptions.push(format!("{absent}: it is taken to be ready"));
                return Ok(Facts::Kwok);
            };
            let conditions = object.status.iter().flat_map(|status| &status.conditions);
            if object.metadata.deletion_timestamp.is_some() {
                return Err(format!("its {shown} is being deleted"));
            }
            not_ready(conditions).map_or(Ok(Facts::Kwok), |reason| Err(format!("its {shown} cannot be used: {reason}")))
        }
        _ => unreachable!("the kinds of NODE_CLASSES"),
    }
}

/// That a class is not in the input, and which of its kind are: the name may be mistyped.
fn absent<T>(shown: &str, class: &NodeClassRef, present: &Table<T>) -> String {
    let names = || present.keys().map(|key| &*key.name);
    let hint = match nearest_name(&class.name, names()) {
        Some(near) => format!(" (did you mean {near}?)"),
        None if present.is_empty() => String::new(),
        None => format!(" (it has {})", names().collect::<Vec<_>>().join(", ")),
    };
    format!("{shown} is not in the input{hint}")
}

/// What becomes of a NodeOverlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayState {
    Applied,
    /// A field cannot be used, and why.
    Invalid(String),
    /// Another one of the same weight says something else.
    Conflict(String),
}

/// Applies the NodeOverlays, where their gate is on. Those that conflict are not applied and noted.
pub(super) fn overlay_instance_types(
    pools: &mut [NodePool],
    objects: &Objects,
    errors: &mut Vec<InputError>,
    notes: &mut Vec<String>,
) -> BTreeMap<ObjectKey, OverlayState> {
    let mut overlays = Vec::new();
    let mut states = BTreeMap::new();
    for (key, Sourced { origin, object }) in &objects.node_overlays {
        let invalid: Vec<FieldError> =
            object.validate().into_iter().map(|error| FieldError::new(error.field, error.message)).collect();
        let read =
            if invalid.is_empty() { read_overlay(key, object).map_err(|error| vec![error]) } else { Err(invalid) };
        let state = match read {
            Ok(overlay) => {
                overlays.push(overlay);
                OverlayState::Applied
            }
            Err(invalid) => {
                let first = invalid.first().map(|error| format!("{}: {}", error.path, error.message));
                errors.extend(invalid.into_iter().map(|e| Objects::field_error("NodeOverlay", key, origin, e)));
                OverlayState::Invalid(first.unwrap_or_default())
            }
        };
        states.insert(key.clone(), state);
    }
    if overlays.is_empty() {
        return states;
    }
    let mut types: Vec<PoolTypes> = pools
        .iter_mut()
        .map(|pool| PoolTypes {
            pool: pool.name.clone(),
            template_labels: pool.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            types: std::mem::take(Arc::make_mut(&mut pool.instance_types)),
        })
        .collect();
    for (name, reason) in apply_overlays(&overlays, &mut types) {
        notes.push(format!("NodeOverlay {name} is not applied: {reason}"));
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        states.insert(key, OverlayState::Conflict(reason));
    }
    for (pool, types) in pools.iter_mut().zip(types) {
        pool.instance_types = Arc::new(types.types);
    }
    states
}

fn read_overlay(key: &ObjectKey, overlay: &NodeOverlay) -> Result<Overlay, FieldError> {
    let spec = &overlay.spec;
    let requirements: Vec<NodeSelectorRequirementWithMinValues> = spec
        .requirements
        .iter()
        .map(|requirement| NodeSelectorRequirementWithMinValues {
            key: requirement.key.clone(),
            operator: requirement.operator,
            values: requirement.values.clone(),
            min_values: None,
        })
        .collect();
    let price = spec.price.as_deref().map(PriceChange::parse_price).transpose();
    let adjustment = spec.price_adjustment.as_deref().map(PriceChange::parse_adjustment).transpose();
    Ok(Overlay {
        name: key.name.to_string(),
        weight: spec.weight.unwrap_or(0),
        requirements: read_requirements(&requirements).within("spec")?,
        price: price
            .map_err(|error| FieldError::new("spec.price", error))?
            .or(adjustment.map_err(|error| FieldError::new("spec.priceAdjustment", error))?),
        capacity: read_resources(Some(&spec.capacity)).within("spec.capacity")?,
    })
}

/// Sets what each node costs an hour: the offering that its labels name; of a claim without Node the dearest that its
/// requirements leave open. One that is not launched yet has the largest capacity that they do: it counts for limits.
pub(super) fn price_nodes(nodes: &mut [Node], pools: &[NodePool], objects: &Objects) {
    for node in nodes {
        let pool = node.pool.as_ref().and_then(|name| pools.iter().find(|pool| pool.name == *name));
        let Some(pool) = pool else { continue };
        node.price = match node.stage {
            NodeStage::InFlight => {
                let open = open(node, pool, objects);
                if node.capacity.is_empty() {
                    for (kind, _) in &open {
                        node.capacity.raise_to(&kind.capacity);
                    }
                }
                open.iter().map(|(_, offering)| offering.price).max()
            }
            NodeStage::Registered | NodeStage::Initialized => current_price(node, pool),
        };
    }
}

fn current_price(node: &Node, pool: &NodePool) -> Option<MicroUsd> {
    let name = node.label(labels::INSTANCE_TYPE)?;
    let types = &pool.instance_types;
    let found = types.binary_search_by(|instance_type| (*instance_type.name).cmp(name)).ok()?;
    let (zone, capacity_type) = (node.label(labels::ZONE)?, node.label(labels::CAPACITY_TYPE)?);
    let mut offerings = types[found].offerings.iter();
    offerings.find(|o| &*o.zone == zone && o.capacity_type.label() == capacity_type)?.known_price()
}

/// What the requirements of the claim of a node leave open.
fn open<'p>(node: &Node, pool: &'p NodePool, objects: &Objects) -> Vec<(&'p InstanceType, &'p Offering)> {
    let Some(name) = node.claim.clone() else { return Vec::new() };
    let claim = objects.node_claims.get(&ObjectKey { namespace: Arc::from(""), name });
    let wanted = claim.and_then(|claim| read_requirements(&claim.object.spec.requirements).ok());
    let Some(mut wanted) = wanted else { return Vec::new() };
    // once launched, the claim's labels say what it became
    for label in [labels::INSTANCE_TYPE, labels::ZONE, labels::CAPACITY_TYPE] {
        if let Some(value) = node.label(label) {
            wanted.add(label, Requirement::one_of([value]));
        }
    }
    let types = pool.instance_types.iter().filter(|t| t.requirements.intersects(&wanted).is_ok());
    let offerings = types.flat_map(|kind| kind.offerings.iter().map(move |offering| (kind, offering)));
    offerings.filter(|(_, offering)| offering.satisfies(&wanted)).collect()
}
