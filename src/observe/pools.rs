//! NodePool + node class -> [`NodePool`](super::snapshot::NodePool); what it can launch is filled in from the catalogue.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::input::{FieldError, FieldResult as _, InputError};
use super::launchable::NODE_CLASSES;
use super::nodes::read_taints;
use super::objects::{ObjectKey, Objects, Sourced};
use super::pod::read_labels;
use super::requests::read_resources;
use super::snapshot::{ConsolidationRule, Disruption, Limits, NodeClassRef, NodePool, OnSale};
use crate::api::duration::Duration;
use crate::api::labels;
use crate::api::node_class_reference::NodeClassReference;
use crate::api::node_pool as api;
use crate::api::requirement::NodeSelectorRequirementWithMinValues;
use crate::api::schedule;
use crate::api::validate::Validate as _;
use crate::requirements::{Requirement, Requirements};
use crate::units::{MicroUsd, Quantity};

/// Every NodePool whose fields can be read, sorted by name, without instance types. One that breaks a rule of the API
/// is an error and kept as unusable, because its nodes still count.
pub(super) fn read_pools(objects: &Objects, errors: &mut Vec<InputError>) -> Vec<NodePool> {
    let mut pools = Vec::new();
    for (key, Sourced { origin, object }) in &objects.node_pools {
        let mut invalid: Vec<FieldError> =
            object.validate().into_iter().map(|error| FieldError::new(error.field, error.message)).collect();
        if invalid.is_empty() {
            invalid.extend(unmanaged_class(&object.spec.template.spec.node_class_ref));
        }
        // the pool is used: only what its budgets allow cannot be told
        let unreadable = unreadable_schedules(object).filter(|of| invalid.iter().all(|other| other.path != of.path));
        errors.extend(unreadable.map(|error| Objects::field_error("NodePool", key, origin, error)));
        let unreadable = read_consolidation(object).err();
        errors.extend(unreadable.map(|error| Objects::field_error("NodePool", key, origin, error)));
        let reason = invalid.first().map(|error| format!("its {} is invalid: {}", error.path, error.message));
        match read_pool(key, object) {
            Ok(mut pool) => {
                errors.extend(invalid.into_iter().map(|e| Objects::field_error("NodePool", key, origin, e)));
                pool.unusable = reason.map(Arc::from).or(pool.unusable);
                pools.push(pool);
            }
            Err(error) if invalid.is_empty() => {
                errors.push(Objects::field_error("NodePool", key, origin, error));
            }
            // validation has said the same, and perhaps more
            Err(_) => errors.extend(invalid.into_iter().map(|e| Objects::field_error("NodePool", key, origin, e))),
        }
    }
    pools
}

/// Schedules that say no time although the CRD's pattern may take them.
fn unreadable_schedules(pool: &api::NodePool) -> impl Iterator<Item = FieldError> {
    let budgets = pool.spec.disruption.budgets.iter().enumerate();
    budgets.filter_map(|(i, budget)| {
        let found = budget.schedule.as_deref().filter(|found| schedule::parse(found).is_none())?;
        let message = format!("expected {}, found '{found}': the budget allows no disruption", schedule::EXPECTED);
        Some(FieldError::new(format!("spec.disruption.budgets[{i}].schedule"), message))
    })
}

/// What is wrong with a reference to a node class that is none of ours. Karpenter leaves such a pool to another provider.
fn unmanaged_class(class: &NodeClassReference) -> Option<FieldError> {
    let of_group = NODE_CLASSES.iter().find(|(group, _)| *group == class.group);
    let (field, expected, found) = match of_group {
        Some((_, kind)) if *kind == class.kind => return None,
        Some((_, kind)) => ("kind", (*kind).to_owned(), &class.kind),
        None => {
            let known = NODE_CLASSES.map(|(group, kind)| format!("{group} ({kind})"));
            ("group", known.join(" or "), &class.group)
        }
    };
    let path = format!("spec.template.spec.nodeClassRef.{field}");
    Some(FieldError::new(path, format!("expected {expected}, found '{found}'")))
}

/// What the pool says itself of what a saving has to be worth; upper and lower case are the same.
fn read_consolidation(pool: &api::NodePool) -> Result<Option<ConsolidationRule>, FieldError> {
    let annotations = pool.metadata.annotations.as_ref();
    let Some(written) = annotations.and_then(|of| of.get(labels::CONSOLIDATION)) else { return Ok(None) };
    let mut rules = ConsolidationRule::ALL.into_iter();
    let found = rules.find(|(name, _)| name.eq_ignore_ascii_case(written)).map(|(_, rule)| Some(rule));
    found.ok_or_else(|| {
        let names = ConsolidationRule::ALL.map(|(name, _)| name).join(", ");
        let path = format!("metadata.annotations.{}", labels::CONSOLIDATION);
        FieldError::new(path, format!("expected one of {names}, found '{written}': until then its used nodes stay"))
    })
}

fn read_pool(key: &ObjectKey, pool: &api::NodePool) -> Result<NodePool, FieldError> {
    let template = &pool.spec.template;
    let class = &template.spec.node_class_ref;
    let mut pool_labels = read_labels(Some(&template.metadata.labels));
    pool_labels.insert(Arc::from(labels::NODEPOOL), key.name.clone());
    let class_label = format!("{}/{}", class.group, class.kind.to_lowercase());
    pool_labels.insert(Arc::from(class_label), Arc::from(class.name.as_str()));
    let mut requirements = read_requirements(&template.spec.requirements).within("spec.template.spec")?;
    requirements.add_all(&Requirements::from_labels(&pool_labels));
    let seconds = |path: &str, result: Result<Option<u64>, String>| {
        result.map_err(|message| FieldError::new(format!("spec.{path}"), message))
    };
    let grace = template.spec.termination_grace_period.as_ref().map(Duration::seconds).transpose();
    let conditions = pool.status.iter().flat_map(|status| &status.conditions);
    let unusable = if pool.metadata.deletion_timestamp.is_some() {
        Some(Arc::from("it is being deleted"))
    } else {
        not_ready(conditions).map(Arc::from)
    };
    Ok(NodePool {
        name: key.name.clone(),
        uid: Arc::from(pool.metadata.uid.clone().unwrap_or_else(|| format!("nodepool/{}", key.name))),
        weight: pool.spec.weight.unwrap_or(0),
        replicas: pool.spec.replicas,
        labels: pool_labels,
        annotations: read_labels(Some(&template.metadata.annotations)),
        taints: read_taints(&template.spec.taints).within("spec.template.spec")?,
        startup_taints: read_taints(&template.spec.startup_taints).within("spec.template.spec")?,
        requirements,
        limits: read_limits(&pool.spec)?,
        node_class: NodeClassRef {
            group: Arc::from(class.group.as_str()),
            kind: Arc::from(class.kind.as_str()),
            name: Arc::from(class.name.as_str()),
        },
        expire_after_seconds: seconds("template.spec.expireAfter", template.spec.expire_after.seconds())?,
        termination_grace_period_seconds: seconds("template.spec.terminationGracePeriod", grace)?,
        disruption: Disruption {
            consolidate_after_seconds: seconds(
                "disruption.consolidateAfter",
                pool.spec.disruption.consolidate_after.seconds(),
            )?,
            consolidation_policy: Arc::from(pool.spec.disruption.consolidation_policy.as_str()),
            // where it cannot be read nothing goes: the pool is used
            consolidation: read_consolidation(pool).unwrap_or(Some(ConsolidationRule::Off)),
            budgets: pool.spec.disruption.budgets.clone(),
        },
        instance_types: Arc::default(),
        on_sale: OnSale::default(),
        unusable,
    })
}

/// Why `Ready` is False; without the condition an object counts as ready.
pub(super) fn not_ready<'c>(conditions: impl IntoIterator<Item = &'c Condition>) -> Option<String> {
    let mut conditions = conditions.into_iter();
    let ready = conditions.find(|condition| condition.type_ == "Ready" && condition.status == "False")?;
    let detail = if ready.message.is_empty() { &ready.reason } else { &ready.message };
    Some(if detail.is_empty() { "it is not ready".to_owned() } else { format!("it is not ready: {detail}") })
}

/// Reads the field `requirements`, one key at a time.
pub(super) fn read_requirements(
    requirements: &[NodeSelectorRequirementWithMinValues],
) -> Result<Requirements, FieldError> {
    let mut read = Requirements::new();
    for (i, entry) in requirements.iter().enumerate() {
        let mut requirement = Requirement::from_operator(entry.operator, &entry.values)
            .map_err(|message| FieldError::new(format!("requirements[{i}].values"), message))?;
        requirement.min_values = entry.min_values.map(|count| u32::try_from(count).unwrap_or(0));
        read.add(&entry.key, requirement);
    }
    Ok(read)
}

fn read_limits(spec: &api::NodePoolSpec) -> Result<Limits, FieldError> {
    let mut limits = Limits::default();
    let mut resources = spec.limits.clone();
    if let Some(nodes) = resources.remove(labels::LIMIT_NODES) {
        limits.nodes = Some(quantity(labels::LIMIT_NODES, &nodes.0)?.value());
    }
    if let Some(cap) = resources.remove(labels::LIMIT_USD_PER_HOUR) {
        let path = format!("spec.limits.{}", labels::LIMIT_USD_PER_HOUR);
        if spec.replicas.is_some() {
            return Err(FieldError::new(path, "a static NodePool supports no spend cap"));
        }
        let cap = quantity(labels::LIMIT_USD_PER_HOUR, &cap.0)?;
        if cap.is_negative() {
            return Err(FieldError::new(path, format!("expected no negative amount, found {cap}")));
        }
        limits.usd_per_hour = Some(MicroUsd(cap.micro_value()));
    }
    if let Some(key) = resources.keys().find(|key| key.starts_with("packwright.dev/")) {
        let path = format!("spec.limits.{key}");
        return Err(FieldError::new(path, format!("not a limit; did you mean {}?", labels::LIMIT_USD_PER_HOUR)));
    }
    limits.resources = read_resources(Some(&resources)).within("spec.limits")?;
    Ok(limits)
}

fn quantity(key: &str, text: &str) -> Result<Quantity, FieldError> {
    text.parse().map_err(|error| FieldError::new(format!("spec.limits.{key}"), error))
}
