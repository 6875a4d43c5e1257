//! The region that an input speaks of.

use std::collections::{BTreeMap, BTreeSet};

use super::RawObject;
use crate::api::labels;
use crate::catalog::region_of_zone;

/// The region that most nodes are labelled with, else the only one whose zones NodePools name.
#[must_use]
pub fn region_of(objects: &[RawObject]) -> Option<String> {
    of_nodes(objects).or_else(|| of_zones(objects))
}

fn of_kind<'o>(objects: &'o [RawObject], kind: &'static str) -> impl Iterator<Item = &'o serde_json::Value> {
    objects.iter().map(|object| &object.value).filter(move |value| value["kind"] == kind)
}

fn of_nodes(objects: &[RawObject]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for region in of_kind(objects, "Node").filter_map(|node| node["metadata"]["labels"][labels::REGION].as_str()) {
        *counts.entry(region).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(region, nodes)| (*nodes, std::cmp::Reverse(*region)));
    most.map(|(region, _)| region.to_owned())
}

fn of_zones(objects: &[RawObject]) -> Option<String> {
    let requirements = of_kind(objects, "NodePool")
        .filter_map(|pool| pool["spec"]["template"]["spec"]["requirements"].as_array())
        .flatten()
        .filter(|requirement| requirement["key"] == labels::ZONE && requirement["operator"] == "In");
    let zones = requirements.filter_map(|requirement| requirement["values"].as_array()).flatten();
    let regions: BTreeSet<&str> = zones.filter_map(|zone| region_of_zone(zone.as_str()?)).collect();
    let mut regions = regions.into_iter();
    regions.next().filter(|_| regions.next().is_none()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::input::Origin;

    fn region(objects: &[Value]) -> Option<String> {
        let raw = |value: &Value| RawObject { origin: Origin::default(), value: value.clone() };
        region_of(&objects.iter().map(raw).collect::<Vec<_>>())
    }

    fn pool(operator: &str, zones: &[&str]) -> Value {
        let requirement = json!({"key": labels::ZONE, "operator": operator, "values": zones});
        json!({"kind": "NodePool", "spec": {"template": {"spec": {"requirements": [requirement]}}}})
    }

    #[test]
    fn nodes_say_it_and_else_the_zones_of_nodepools_where_they_agree() {
        let node = json!({"kind": "Node", "metadata": {"labels": {labels::REGION: "us-west-2"}}});
        let here = pool("In", &["eu-west-1a", "eu-west-1b"]);
        assert_eq!(region(&[here.clone(), node]).as_deref(), Some("us-west-2"));
        assert_eq!(region(&[here.clone(), pool("In", &["eu-west-1c", "here"])]).as_deref(), Some("eu-west-1"));
        assert_eq!(region(&[here, pool("In", &["eu-central-1a"])]), None, "two regions");
        assert_eq!(region(&[pool("NotIn", &["eu-west-1a"])]), None);
        assert_eq!(region(&[pool("In", &["test-zone-a", "eu-west-1z", "europe-west1-b"])]), None, "no zones of EC2");
    }
}
