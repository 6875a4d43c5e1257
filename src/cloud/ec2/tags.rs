//! The tags of what is made in the account. Policies of the reference are conditions on them, so they are exactly its own.

use std::collections::BTreeMap;

use super::{ClusterFacts, Filter};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;

/// Keys and values.
pub type Tags = BTreeMap<String, String>;

/// The name of the cluster.
pub const CLUSTER_NAME: &str = "eks:eks-cluster-name";
/// The name of the NodeClaim, once its node has registered.
pub const NODE_CLAIM: &str = "karpenter.sh/nodeclaim";
/// What the console shows.
pub const NAME: &str = "Name";

/// The key that says that a resource belongs to a cluster; its value is [`OWNED`].
#[must_use]
pub fn cluster_key(cluster: &str) -> String {
    format!("kubernetes.io/cluster/{cluster}")
}
/// The value of [`cluster_key`].
pub const OWNED: &str = "owned";

/// The tags of instances, volumes, network interfaces, fleets and launch templates: those of the class, and those that say
/// whose they are.
#[must_use]
pub fn of_launch(cluster: &ClusterFacts, class: &EC2NodeClass, pool: &str) -> Tags {
    let mut tags = class.spec.tags.clone();
    tags.extend([
        (cluster_key(&cluster.name), OWNED.to_owned()),
        (CLUSTER_NAME.to_owned(), cluster.name.to_string()),
        (labels::NODEPOOL.to_owned(), pool.to_owned()),
        (labels::EC2_NODE_CLASS.to_owned(), class.metadata.name.clone().unwrap_or_default()),
    ]);
    tags
}

/// The tags that an instance gets once its node has registered. `Name` is left alone where the class sets it. The reference's
/// policy allows these keys and no others after the launch.
#[must_use]
pub fn once_registered(cluster: &ClusterFacts, class_tags: &Tags, claim: &str, node: &str) -> Tags {
    let mut tags =
        Tags::from([(NODE_CLAIM.to_owned(), claim.to_owned()), (CLUSTER_NAME.to_owned(), cluster.name.to_string())]);
    if !class_tags.contains_key(NAME) {
        tags.insert(NAME.to_owned(), node.to_owned());
    }
    tags
}

/// The instances of a cluster, gone ones excepted.
#[must_use]
pub fn filters_of_instances(cluster: &ClusterFacts) -> Vec<Filter> {
    vec![
        Filter::new("tag-key", [labels::NODEPOOL]),
        Filter::new("tag-key", [labels::EC2_NODE_CLASS]),
        Filter::new(format!("tag:{CLUSTER_NAME}"), [&*cluster.name]),
        Filter::new("instance-state-name", ["pending", "running", "stopping", "stopped", "shutting-down"]),
    ]
}

/// The launch templates of a cluster.
#[must_use]
pub fn filters_of_launch_templates(cluster: &ClusterFacts) -> Vec<Filter> {
    vec![Filter::new(format!("tag:{CLUSTER_NAME}"), [&*cluster.name])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_class_never_replace_those_that_say_whose_it_is() {
        let cluster = ClusterFacts { name: "prod".into(), ..ClusterFacts::default() };
        let class: EC2NodeClass = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "default"},
            "spec": {"subnetSelectorTerms": [], "securityGroupSelectorTerms": [],
                "tags": {"team": "a", "karpenter.sh/nodepool": "forged"}}
        }))
        .unwrap();
        let tags = of_launch(&cluster, &class, "general");
        let expected = [
            ("eks:eks-cluster-name", "prod"),
            ("karpenter.k8s.aws/ec2nodeclass", "default"),
            ("karpenter.sh/nodepool", "general"),
            ("kubernetes.io/cluster/prod", "owned"),
            ("team", "a"),
        ];
        assert!(tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{tags:?}");
        let named = Tags::from([("Name".to_owned(), "mine".to_owned())]);
        assert_eq!(once_registered(&cluster, &named, "c", "n").get(NAME), None);
        assert_eq!(once_registered(&cluster, &Tags::new(), "c", "n")[NAME], "n");
    }
}
