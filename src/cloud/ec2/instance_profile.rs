//! Instance profiles that are made for the role of a class.
//!
//! Source: karpenter-provider-aws `pkg/providers/instanceprofile` (karpenter-aws 3.4).

mod stale;

pub use stale::{Known, PROTECTED, stale};

use sha2::{Digest as _, Sha256};

use super::ClusterFacts;
use super::tags::{self, Tags};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;

/// IAM takes so many characters.
const MOST_CHARACTERS: usize = 128;

/// The name of the profile of a class: the same for the same cluster, region, class and role, so that a process that does not know
/// of it finds it. Another role gives another profile: instances that run keep the old one.
#[must_use]
pub fn name(cluster: &ClusterFacts, class: &EC2NodeClass, role: &str) -> String {
    let uid = class.metadata.uid.as_deref().unwrap_or_default();
    let digest = Sha256::digest([&*cluster.region, uid, role].join("\n"));
    let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
    let hash = u64::from_be_bytes(first).to_string();
    let room = MOST_CHARACTERS - hash.len() - 1;
    let cluster: String = cluster.name.chars().take(room).collect();
    format!("{cluster}_{hash}")
}

/// Under which all profiles of the cluster are.
#[must_use]
pub fn path_prefix(cluster: &ClusterFacts) -> String {
    format!("/karpenter/{}/{}/", cluster.region, cluster.name)
}

/// The path of the profiles of a class.
#[must_use]
pub fn path(cluster: &ClusterFacts, class: &EC2NodeClass) -> String {
    format!("{}{}/", path_prefix(cluster), class.metadata.uid.as_deref().unwrap_or_default())
}

/// The tags of a profile, on which the policies of the reference are conditions.
#[must_use]
pub fn tags(cluster: &ClusterFacts, class: &EC2NodeClass) -> Tags {
    let mut all = class.spec.tags.clone();
    all.extend([
        (tags::cluster_key(&cluster.name), tags::OWNED.to_owned()),
        (tags::CLUSTER_NAME.to_owned(), cluster.name.to_string()),
        (labels::EC2_NODE_CLASS.to_owned(), class.metadata.name.clone().unwrap_or_default()),
        (labels::REGION.to_owned(), cluster.region.to_string()),
    ]);
    all
}

/// The role as AddRoleToInstanceProfile takes it: without its path.
#[must_use]
pub fn role_name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(uid: &str) -> EC2NodeClass {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "default", "uid": uid},
            "spec": {"role": "r", "subnetSelectorTerms": [], "securityGroupSelectorTerms": []}
        }))
        .unwrap()
    }

    #[test]
    fn a_profile_is_found_again_and_another_role_has_another() {
        let cluster = ClusterFacts { name: "prod".into(), region: "us-east-1".into(), ..ClusterFacts::default() };
        let of = |uid: &str, role: &str| name(&cluster, &class(uid), role);
        assert_eq!(of("1", "node"), of("1", "node"));
        assert_ne!(of("1", "node"), of("1", "other"));
        assert_ne!(of("1", "node"), of("2", "node"));
        assert!(of("1", "node").starts_with("prod_"));
        let long = ClusterFacts { name: "c".repeat(200).into(), ..cluster.clone() };
        assert!(name(&long, &class("1"), "node").len() <= 128);
        assert_eq!(path(&cluster, &class("1")), "/karpenter/us-east-1/prod/1/");
        assert_eq!(role_name("team/node"), "node");
        assert_eq!(tags(&cluster, &class("1"))["topology.kubernetes.io/region"], "us-east-1");
    }
}
