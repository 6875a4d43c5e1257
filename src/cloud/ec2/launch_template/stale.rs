//! Launch templates that nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::PREFIX;
use crate::api::labels;
use crate::cloud::ec2::ClusterFacts;
use crate::cloud::ec2::tags::{CLUSTER_NAME, Tags};

/// A launch template goes after it was not used for so long: one that is needed again is made again, by one call.
pub const KEPT_UNUSED: Duration = Duration::from_secs(10 * 60);

/// A launch template as DescribeLaunchTemplates shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// `lt-...`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Timestamp,
}

/// Those that may be deleted: ours, by name and tags, of a class that is gone, or not used for [`KEPT_UNUSED`].
///
/// `used`: when each was last named in a fleet by this process, by name. `classes`: the node classes that there are.
#[must_use]
pub fn stale<'k>(
    known: &'k [Known],
    used: &BTreeMap<String, Timestamp>,
    classes: &BTreeSet<String>,
    cluster: &ClusterFacts,
    now: Timestamp,
) -> Vec<&'k Known> {
    let is_ours = |of: &Known| {
        of.name.starts_with(PREFIX) && of.tags.get(CLUSTER_NAME).is_some_and(|name| **name == *cluster.name)
    };
    let is_of_class = |of: &Known| of.tags.get(labels::EC2_NODE_CLASS).is_some_and(|name| classes.contains(name));
    let is_unused = |of: &Known| {
        let last = used.get(&of.name).copied().map_or(of.created, |used| used.max(of.created));
        last.checked_add(KEPT_UNUSED).is_ok_and(|until| until <= now)
    };
    known.iter().filter(|of| is_ours(of) && (is_unused(of) || !is_of_class(of))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_ones_go_and_only_those_that_nobody_needs() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let known = |name: &str, cluster: &str, class: &str, created| Known {
            id: format!("lt-{name}"),
            name: name.to_owned(),
            tags: [(CLUSTER_NAME, cluster), (labels::EC2_NODE_CLASS, class)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            created: at(created),
        };
        let all = [
            known("karpenter.k8s.aws/1", "prod", "default", 0),
            known("karpenter.k8s.aws/2", "prod", "default", 95),
            known("karpenter.k8s.aws/3", "prod", "default", 0),
            known("karpenter.k8s.aws/4", "prod", "gone", 95),
            known("karpenter.k8s.aws/5", "other", "default", 0),
            known("mine", "prod", "default", 0),
        ];
        let used = BTreeMap::from([("karpenter.k8s.aws/3".to_owned(), at(99))]);
        let cluster = ClusterFacts { name: "prod".into(), ..ClusterFacts::default() };
        let classes = BTreeSet::from(["default".to_owned()]);
        let stale: Vec<&str> =
            stale(&all, &used, &classes, &cluster, at(100)).iter().map(|of| of.name.as_str()).collect();
        assert_eq!(stale, ["karpenter.k8s.aws/1", "karpenter.k8s.aws/4"]);
    }
}
