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

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

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

/// The name that Karpenter gave the profile of a class before profiles had paths: the cluster, and the FNV-1 hash of region and name
/// of the class. The class may have one still.
#[must_use]
pub fn legacy_name(cluster: &ClusterFacts, class: &EC2NodeClass) -> String {
    let text = format!("{}{}", cluster.region, class.metadata.name.as_deref().unwrap_or_default());
    let hash = text.bytes().fold(FNV_OFFSET, |hash, byte| hash.wrapping_mul(FNV_PRIME) ^ u64::from(byte));
    format!("{}_{hash}", cluster.name)
}

/// Whether the tags of a profile say that it was made for a class of this cluster.
#[must_use]
pub fn is_of_class(tags: &Tags, cluster: &ClusterFacts, class: &EC2NodeClass) -> bool {
    let is = |key: &str, value: &str| tags.get(key).is_some_and(|known| known == value);
    is(&tags::cluster_key(&cluster.name), tags::OWNED)
        && is(labels::EC2_NODE_CLASS, class.metadata.name.as_deref().unwrap_or_default())
        && is(labels::REGION, &cluster.region)
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
    fn the_profile_from_before_paths_is_known_by_its_name_and_its_tags() {
        // FNV-1 of "foobar", as its authors list it
        let cluster = ClusterFacts { name: "prod".into(), region: "foo".into(), ..ClusterFacts::default() };
        let mut class = class("1");
        class.metadata.name = Some("bar".to_owned());
        assert_eq!(legacy_name(&cluster, &class), format!("prod_{}", 0x340d_8765_a4dd_a9c2_u64));
        let own = tags(&cluster, &class);
        assert!(is_of_class(&own, &cluster, &class));
        for key in own.keys().filter(|key| **key != *tags::CLUSTER_NAME) {
            let mut other = own.clone();
            other.insert(key.clone(), "another".to_owned());
            assert!(!is_of_class(&other, &cluster, &class), "{key}");
        }
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
