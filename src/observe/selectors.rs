//! Label selectors, node selector terms, pod (anti-)affinity terms and spread constraints.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::input::{FieldError, FieldResult as _};
use super::snapshot::{
    LabelSelector, Labels, NodeAffinityTerm, NodeInclusionPolicy, PodAffinityTerm, SelectorRequirement,
    TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::requirements::{Operator, Requirement, Requirements};

/// A pod's own namespace and labels, which its terms refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodIdentity<'a> {
    pub namespace: &'a Arc<str>,
    pub labels: &'a Labels,
}

/// A selector as it is written; one that Kubernetes does not know matches nothing.
#[must_use]
pub fn label_selector_of(selector: Option<&meta::LabelSelector>) -> LabelSelector {
    label_selector(selector).unwrap_or_default()
}

/// Reads a selector; `None` is the nil selector, which matches nothing.
pub(super) fn label_selector(selector: Option<&meta::LabelSelector>) -> Result<LabelSelector, FieldError> {
    merged_selector(selector, Vec::new())
}

/// A selector with further requirements, which a nil selector ignores: it matches nothing as it is.
fn merged_selector(
    selector: Option<&meta::LabelSelector>,
    merged: Vec<(&str, Requirement)>,
) -> Result<LabelSelector, FieldError> {
    let Some(selector) = selector else { return Ok(LabelSelector::Nothing) };
    let mut requirements: BTreeMap<&str, Requirement> = BTreeMap::new();
    let mut add = |key, requirement: Requirement| match requirements.get_mut(key) {
        Some(existing) => *existing = existing.intersection(&requirement),
        None => {
            requirements.insert(key, requirement);
        }
    };
    for (key, value) in selector.match_labels.iter().flatten() {
        add(key, Requirement::one_of([value.as_str()]));
    }
    for (i, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let values = expression.values.as_deref().unwrap_or_default();
        let requirement = requirement(&expression.operator, values, &SELECTOR_OPERATORS);
        add(&expression.key, requirement.within_item("matchExpressions", i)?);
    }
    for (key, requirement) in merged {
        add(key, requirement);
    }
    let requirements = requirements
        .into_iter()
        .map(|(key, requirement)| SelectorRequirement { key: Arc::from(key), requirement })
        .collect();
    Ok(LabelSelector::Matching(requirements))
}

const SELECTOR_OPERATORS: [Operator; 4] = [Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist];
const NODE_OPERATORS: [Operator; 6] =
    [Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist, Operator::Gt, Operator::Lt];

fn requirement(operator: &str, values: &[String], allowed: &[Operator]) -> Result<Requirement, FieldError> {
    let Some(known) = Operator::parse(operator).filter(|operator| allowed.contains(operator)) else {
        let names: Vec<String> = allowed.iter().map(|operator| format!("{operator:?}")).collect();
        let message = format!("expected one of {}, found '{operator}'", names.join(", "));
        return Err(FieldError::new("operator", message));
    };
    Requirement::from_operator(known, values).map_err(|message| FieldError::new("values", message))
}

/// The label expressions of a node selector term; `matchFields` are left to the caller.
pub(super) fn node_term(term: &core::NodeSelectorTerm) -> Result<NodeAffinityTerm, FieldError> {
    let mut requirements = Requirements::new();
    for (i, expression) in term.match_expressions.iter().flatten().enumerate() {
        let values = expression.values.as_deref().unwrap_or_default();
        let requirement = requirement(&expression.operator, values, &NODE_OPERATORS);
        requirements.add(&expression.key, requirement.within_item("matchExpressions", i)?);
    }
    Ok(NodeAffinityTerm(requirements))
}

/// An (anti-)affinity term with `matchLabelKeys` and `mismatchLabelKeys` merged into its selector, as the API server
/// does on creation; merging them again changes nothing. Keys that the pod lacks are ignored.
pub(super) fn pod_affinity_term(
    term: &core::PodAffinityTerm,
    pod: PodIdentity<'_>,
) -> Result<PodAffinityTerm, FieldError> {
    let own = |keys: &'_ Option<Vec<String>>, build: fn([Arc<str>; 1]) -> Requirement| {
        let keys = keys.iter().flatten();
        keys.filter_map(|key| pod.labels.get(key.as_str()).map(|value| (key.clone(), build([value.clone()]))))
            .collect::<Vec<_>>()
    };
    let mut merged = own(&term.match_label_keys, Requirement::one_of);
    merged.extend(own(&term.mismatch_label_keys, Requirement::none_of));
    let merged = merged.iter().map(|(key, requirement)| (key.as_str(), requirement.clone())).collect();
    let selector = merged_selector(term.label_selector.as_ref(), merged).within("labelSelector")?;
    let namespace_selector = match &term.namespace_selector {
        Some(selector) => Some(label_selector(Some(selector)).within("namespaceSelector")?),
        None => None,
    };
    let mut namespaces: Vec<Arc<str>> = term.namespaces.iter().flatten().map(|name| Arc::from(name.as_str())).collect();
    if namespaces.is_empty() && namespace_selector.is_none() {
        namespaces.push(pod.namespace.clone());
    }
    namespaces.sort();
    namespaces.dedup();
    Ok(PodAffinityTerm { topology_key: topology_key(&term.topology_key)?, selector, namespaces, namespace_selector })
}

/// A spread constraint with `matchLabelKeys` merged into its selector and the inclusion policies' defaults.
pub(super) fn spread_constraint(
    constraint: &core::TopologySpreadConstraint,
    pod: PodIdentity<'_>,
) -> Result<TopologySpreadConstraint, FieldError> {
    let keys = constraint.match_label_keys.iter().flatten();
    let merged = keys
        .filter_map(|key| Some((key.as_str(), Requirement::one_of([pod.labels.get(key.as_str())?.clone()]))))
        .collect();
    let mut selector = merged_selector(constraint.label_selector.as_ref(), merged).within("labelSelector")?;
    if selector == LabelSelector::Matching(Vec::new()) {
        // kube-scheduler counts no pods for an empty selector (PodTopologySpread, countPodsMatchSelector)
        selector = LabelSelector::Nothing;
    }
    Ok(TopologySpreadConstraint {
        topology_key: topology_key(&constraint.topology_key)?,
        max_skew: positive("maxSkew", constraint.max_skew)?,
        min_domains: constraint.min_domains.map(|count| positive("minDomains", count)).transpose()?,
        when_unsatisfiable: match constraint.when_unsatisfiable.as_str() {
            "DoNotSchedule" => WhenUnsatisfiable::DoNotSchedule,
            "ScheduleAnyway" => WhenUnsatisfiable::ScheduleAnyway,
            found => {
                let message = format!("expected DoNotSchedule or ScheduleAnyway, found '{found}'");
                return Err(FieldError::new("whenUnsatisfiable", message));
            }
        },
        selector,
        node_affinity_policy: inclusion_policy(
            "nodeAffinityPolicy",
            constraint.node_affinity_policy.as_deref(),
            NodeInclusionPolicy::Honor,
        )?,
        node_taints_policy: inclusion_policy(
            "nodeTaintsPolicy",
            constraint.node_taints_policy.as_deref(),
            NodeInclusionPolicy::Ignore,
        )?,
    })
}

fn topology_key(key: &str) -> Result<Arc<str>, FieldError> {
    if key.is_empty() {
        return Err(FieldError::new("topologyKey", "expected a label key, found nothing"));
    }
    Ok(Arc::from(crate::api::labels::normalize(key)))
}

fn positive(field: &str, count: i32) -> Result<u32, FieldError> {
    u32::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| FieldError::new(field, format!("expected a number above zero, found {count}")))
}

fn inclusion_policy(
    field: &str,
    policy: Option<&str>,
    default: NodeInclusionPolicy,
) -> Result<NodeInclusionPolicy, FieldError> {
    match policy {
        None => Ok(default),
        Some("Honor") => Ok(NodeInclusionPolicy::Honor),
        Some("Ignore") => Ok(NodeInclusionPolicy::Ignore),
        Some(found) => Err(FieldError::new(field, format!("expected Honor or Ignore, found '{found}'"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
    }

    fn term(value: Value) -> Result<PodAffinityTerm, FieldError> {
        let own = labels(&[("app", "web"), ("pod-template-hash", "1")]);
        let pod = PodIdentity { namespace: &Arc::from("shop"), labels: &own };
        pod_affinity_term(&serde_json::from_value(value).expect("a term"), pod)
    }

    #[test]
    fn match_label_keys_take_the_pods_own_value() {
        let term = term(json!({
            "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}},
            "matchLabelKeys": ["pod-template-hash", "absent"],
        }))
        .unwrap();
        assert!(term.selector.matches(&labels(&[("app", "web"), ("pod-template-hash", "1")])));
        assert!(!term.selector.matches(&labels(&[("app", "web"), ("pod-template-hash", "2")])));
    }

    #[test]
    fn mismatch_label_keys_exclude_it() {
        let term = term(json!({
            "topologyKey": "zone", "labelSelector": {}, "mismatchLabelKeys": ["app"],
        }))
        .unwrap();
        assert!(!term.selector.matches(&labels(&[("app", "web")])));
        assert!(term.selector.matches(&labels(&[("app", "db")])));
    }

    #[test]
    fn a_nil_selector_matches_nothing_and_an_empty_one_everything() {
        let nil = term(json!({"topologyKey": "zone", "matchLabelKeys": ["app"]})).unwrap();
        assert_eq!(nil.selector, LabelSelector::Nothing);
        let empty = term(json!({"topologyKey": "zone", "labelSelector": {}})).unwrap();
        assert!(empty.selector.matches(&labels(&[])));
    }

    #[test]
    fn namespaces_default_to_the_pods_own() {
        let own = term(json!({"topologyKey": "zone"})).unwrap();
        assert_eq!(own.namespaces, [Arc::from("shop")]);
        let listed = term(json!({"topologyKey": "zone", "namespaces": ["b", "a", "b"]})).unwrap();
        assert_eq!(listed.namespaces, [Arc::from("a"), Arc::from("b")]);
        let selected = term(json!({"topologyKey": "zone", "namespaceSelector": {}})).unwrap();
        assert!(selected.namespaces.is_empty());
        assert_eq!(selected.namespace_selector, Some(LabelSelector::Matching(vec![])));
    }

    #[test]
    fn spread_constraints_have_the_documented_defaults() {
        let own = labels(&[("app", "web")]);
        let pod = PodIdentity { namespace: &Arc::from("shop"), labels: &own };
        let constraint = json!({"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"});
        let read = spread_constraint(&serde_json::from_value(constraint).unwrap(), pod).unwrap();
        assert_eq!(read.node_affinity_policy, NodeInclusionPolicy::Honor);
        assert_eq!(read.node_taints_policy, NodeInclusionPolicy::Ignore);
        assert_eq!(read.min_domains, None);
        assert_eq!(read.selector, LabelSelector::Nothing);
    }

    #[test]
    fn errors_name_the_field_and_what_was_expected() {
        let check = |value: Value, path: &str, message: &str| {
            let error = term(value).unwrap_err();
            assert_eq!((error.path.as_str(), error.message.as_str()), (path, message));
        };
        check(json!({"labelSelector": {}}), "topologyKey", "expected a label key, found nothing");
        check(
            json!({"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Gt"}]}}),
            "labelSelector.matchExpressions[0].operator",
            "expected one of In, NotIn, Exists, DoesNotExist, found 'Gt'",
        );
        check(
            json!({"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "labelSelector.matchExpressions[0].values",
            "operator In expects at least one value",
        );
    }
}
