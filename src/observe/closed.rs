//! Nodes that pods may not bind to as their room says: a plan shows only what takes pods.

use super::objects::Objects;
use super::snapshot::Node;
use crate::api::labels;

/// Nodes of one sentence: as many are named, the rest is a number.
const MOST_NAMES: usize = 5;

/// One sentence for those that are cordoned, those that go, and those that are reserved.
pub(super) fn notes(objects: &Objects, nodes: &[Node]) -> Vec<String> {
    let is_cordoned = |node: &&Node| node.taints.iter().any(|taint| &*taint.key == labels::TAINT_UNSCHEDULABLE);
    let named = |nodes: Vec<&Node>| -> Vec<String> { nodes.into_iter().map(|node| node.name.to_string()).collect() };
    let reserved = objects.nodes.iter().filter(|(_, node)| {
        let taints = node.object.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        taints.into_iter().any(|taint| taint.key == labels::PLANNED)
    });
    let sentences = [
        (
            named(nodes.iter().filter(|node| !node.deleting).filter(is_cordoned).collect()),
            "is cordoned and takes only pods that tolerate that",
            "are cordoned and take only pods that tolerate that",
        ),
        (
            named(nodes.iter().filter(|node| node.deleting).collect()),
            "is being deleted and takes no pods",
            "are being deleted and take no pods",
        ),
        (
            reserved.map(|(key, _)| key.name.to_string()).collect(),
            "is reserved for planned pods (packwright.dev/planned): it is planned with, and until it is released no other pods \
             bind there",
            "are reserved for planned pods (packwright.dev/planned): they are planned with, and until they are released no \
             other pods bind there",
        ),
    ];
    sentences.iter().filter_map(|(names, one, several)| sentence(names, one, several)).collect()
}

fn sentence(names: &[String], one: &str, several: &str) -> Option<String> {
    match names {
        [] => None,
        [only] => Some(format!("node {only} {one}")),
        _ => {
            let shown = names[..names.len().min(MOST_NAMES)].join(", ");
            let more = names.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("{} nodes {several}: {shown}{more}", names.len()))
        }
    }
}
