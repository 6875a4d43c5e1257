//! Selector terms as filters of Describe calls. A resource that any of the calls finds is meant.
//!
//! Source: karpenter-provider-aws `pkg/providers/{subnet,securitygroup,capacityreservation,placementgroup}`.

use super::Filter;
use crate::api::ec2_node_class::{EC2NodeClassSpec, InstanceMatchCriteria};

/// Calls of DescribeSubnets.
#[must_use]
pub fn subnets(spec: &EC2NodeClassSpec) -> Vec<Vec<Filter>> {
    let terms = &spec.subnet_selector_terms;
    let ids: Vec<&str> = terms.iter().filter_map(|term| term.id.as_deref()).collect();
    let tagged = terms.iter().filter(|term| term.id.is_none()).map(|term| Filter::of_tags(&term.tags));
    named("subnet-id", &ids).into_iter().chain(tagged).filter(|filters| !filters.is_empty()).collect()
}

/// Calls of DescribeSecurityGroups.
#[must_use]
pub fn security_groups(spec: &EC2NodeClassSpec) -> Vec<Vec<Filter>> {
    let terms = &spec.security_group_selector_terms;
    let ids: Vec<&str> = terms.iter().filter_map(|term| term.id.as_deref()).collect();
    let names: Vec<&str> =
        terms.iter().filter(|term| term.id.is_none()).filter_map(|term| term.name.as_deref()).collect();
    let is_tagged =
        |term: &&crate::api::ec2_node_class::SecurityGroupSelectorTerm| term.id.is_none() && term.name.is_none();
    let tagged = terms.iter().filter(is_tagged).map(|term| Filter::of_tags(&term.tags));
    let by_name = named("group-id", &ids).into_iter().chain(named("group-name", &names));
    by_name.chain(tagged).filter(|filters| !filters.is_empty()).collect()
}

/// A call of DescribeCapacityReservations or DescribePlacementGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What no filter of these calls can name. A call with an id that is not there fails whole, so each has one.
    pub id: Option<String>,
    /// All must match.
    pub filters: Vec<Filter>,
}

/// Calls of DescribeCapacityReservations; only active ones are of use.
#[must_use]
pub fn capacity_reservations(spec: &EC2NodeClassSpec) -> Vec<Query> {
    let active = || Filter::new("state", ["active"]);
    let terms = &spec.capacity_reservation_selector_terms;
    let by_id = terms.iter().filter_map(|term| Some(Query { id: Some(term.id.clone()?), filters: vec![active()] }));
    let others = terms.iter().filter(|term| term.id.is_none()).map(|term| {
        let mut filters = vec![active()];
        filters.extend(term.owner_id.as_ref().map(|owner| Filter::new("owner-id", [owner.as_str()])));
        filters.extend(term.instance_match_criteria.map(|criteria| {
            let name = match criteria {
                InstanceMatchCriteria::Open => "open",
                InstanceMatchCriteria::Targeted => "targeted",
            };
            Filter::new("instance-match-criteria", [name])
        }));
        filters.extend(Filter::of_tags(&term.tags));
        Query { id: None, filters }
    });
    by_id.chain(others).collect()
}

/// The call of DescribePlacementGroups, if the class names a group.
#[must_use]
pub fn placement_group(spec: &EC2NodeClassSpec) -> Option<Query> {
    let selector = spec.placement_group_selector.as_ref()?;
    let mut filters = vec![Filter::new("state", ["available"])];
    filters.extend(selector.name.as_ref().map(|name| Filter::new("group-name", [name.as_str()])));
    Some(Query { id: selector.id.clone(), filters })
}

/// All that have one of these names, in one call.
fn named(filter: &str, names: &[&str]) -> Option<Vec<Filter>> {
    (!names.is_empty()).then(|| vec![Filter::new(filter, names.iter().copied())])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> EC2NodeClassSpec {
        serde_json::from_value(json!({
            "subnetSelectorTerms": [{"tags": {"a": "b", "c": "*"}}, {"id": "subnet-1"}, {"id": "subnet-2"}],
            "securityGroupSelectorTerms": [{"name": "nodes"}, {"id": "sg-1"}, {"tags": {"a": "b"}}],
            "capacityReservationSelectorTerms": [
                {"id": "cr-1"}, {"id": "cr-2"}, {"tags": {"a": "b"}, "ownerID": "123456789012", "instanceMatchCriteria": "targeted"}
            ],
            "placementGroupSelector": {"name": "group"}
        }))
        .unwrap()
    }

    #[test]
    fn ids_are_asked_for_together_and_each_term_with_tags_alone() {
        let filter = |name: &str, values: &[&str]| Filter::new(name, values.iter().copied());
        assert_eq!(
            subnets(&spec()),
            [
                vec![filter("subnet-id", &["subnet-1", "subnet-2"])],
                vec![filter("tag:a", &["b"]), filter("tag-key", &["c"])],
            ]
        );
        assert_eq!(
            security_groups(&spec()),
            [
                vec![filter("group-id", &["sg-1"])],
                vec![filter("group-name", &["nodes"])],
                vec![filter("tag:a", &["b"])],
            ]
        );
        let reservations = capacity_reservations(&spec());
        let ids: Vec<Option<&str>> = reservations.iter().map(|query| query.id.as_deref()).collect();
        assert_eq!(ids, [Some("cr-1"), Some("cr-2"), None], "one that is gone takes no other with it");
        assert_eq!(
            reservations[2].filters,
            [
                filter("state", &["active"]),
                filter("owner-id", &["123456789012"]),
                filter("instance-match-criteria", &["targeted"]),
                filter("tag:a", &["b"]),
            ]
        );
        let group = placement_group(&spec()).unwrap();
        let filters = vec![filter("state", &["available"]), filter("group-name", &["group"])];
        assert_eq!(group, Query { id: None, filters });
        let by_id: EC2NodeClassSpec =
            serde_json::from_value(json!({"placementGroupSelector": {"id": "pg-1"}})).unwrap();
        let filters = vec![filter("state", &["available"])];
        assert_eq!(placement_group(&by_id), Some(Query { id: Some("pg-1".to_owned()), filters }));
    }

    #[test]
    fn a_term_without_anything_means_nothing_rather_than_everything() {
        let spec: EC2NodeClassSpec =
            serde_json::from_value(json!({"subnetSelectorTerms": [{}], "securityGroupSelectorTerms": [{}]})).unwrap();
        assert!(subnets(&spec).is_empty() && security_groups(&spec).is_empty());
    }
}
