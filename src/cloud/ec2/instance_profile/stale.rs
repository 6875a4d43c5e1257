//! Instance profiles that nobody needs any more: those of an earlier role of a class, and of classes that are gone.
//!
//! Source: karpenter-provider-aws `pkg/controllers/nodeclass/garbagecollection`, which keeps what a class names, what an annotation of a
//! claim names, and what is young.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{ClusterFacts, name, path_prefix};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;

/// Whoever has made one may not have said so yet.
pub const PROTECTED: Duration = Duration::from_secs(60 * 60);

/// An instance profile as ListInstanceProfiles shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its path, which names the cluster and the uid of the class.
    pub path: String,
    /// When it was made.
    pub created: Timestamp,
}

/// Those that may be deleted. A claim that does not say which profile its instance has keeps all of its class, and those of all classes that
/// are gone: its class may have been made anew, under its name and with another uid.
#[must_use]
pub fn stale<'k>(
    known: &'k [Known],
    classes: &[EC2NodeClass],
    claims: &[NodeClaim],
    cluster: &ClusterFacts,
    now: Timestamp,
) -> Vec<&'k Known> {
    let mut current: BTreeSet<String> = BTreeSet::new();
    let mut uids: BTreeMap<&str, &str> = BTreeMap::new();
    for class in classes {
        current.extend(class.status.as_ref().and_then(|status| status.instance_profile.clone()));
        current.extend(class.spec.instance_profile.clone());
        current.extend(class.spec.role.as_ref().map(|role| name(cluster, class, role)));
        let (Some(name), Some(uid)) = (&class.metadata.name, &class.metadata.uid) else { continue };
        uids.insert(name, uid);
    }
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut kept: BTreeSet<Option<&str>> = BTreeSet::new();
    for claim in claims {
        match claim.metadata.annotations.as_ref().and_then(|of| of.get(labels::INSTANCE_PROFILE_NAME)) {
            Some(name) => drop(used.insert(name)),
            None => kept.extend([None, uids.get(&*claim.spec.node_class_ref.name).copied()]),
        }
    }
    let there: BTreeSet<&str> = uids.into_values().collect();
    let prefix = path_prefix(cluster);
    let is_stale = |of: &&Known| {
        let uid = of.path.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('/'));
        let is_kept = uid.is_none_or(|uid| kept.contains(&there.get(uid).copied()));
        let is_old = of.created.checked_add(PROTECTED).is_ok_and(|until| until <= now);
        is_old && !is_kept && !current.contains(&of.name) && !used.contains(&*of.name)
    };
    known.iter().filter(is_stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, role: &str) -> EC2NodeClass {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "uid": format!("uid-{name}")},
            "spec": {"role": role, "subnetSelectorTerms": [], "securityGroupSelectorTerms": []},
            "status": {"instanceProfile": format!("{name}-current")},
        }))
        .unwrap()
    }

    fn claim(class: &str, profile: Option<&str>) -> NodeClaim {
        let annotations = profile.map(|name| serde_json::json!({ labels::INSTANCE_PROFILE_NAME: name }));
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "claim", "annotations": annotations},
            "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": class}},
        }))
        .unwrap()
    }

    #[test]
    fn only_those_go_that_no_class_and_no_claim_names() {
        let cluster = ClusterFacts { name: "prod".into(), region: "us-east-1".into(), ..ClusterFacts::default() };
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let known = |name: &str, path: &str, created| Known {
            name: name.to_owned(),
            path: path.to_owned(),
            created: at(created),
        };
        let classes = [class("a", "new"), class("b", "new")];
        let next = name(&cluster, &classes[0], "new");
        let of = |uid: &str| format!("/karpenter/us-east-1/prod/{uid}/");
        let all = [
            known("a-current", &of("uid-a"), 0),
            known(&next, &of("uid-a"), 0),
            known("a-before", &of("uid-a"), 0),
            known("a-in-use", &of("uid-a"), 0),
            known("a-young", &of("uid-a"), 61),
            known("gone", &of("uid-gone"), 0),
            known("elsewhere", "/karpenter/us-east-1/other/uid-a/", 0),
            known("mine", "/", 0),
        ];
        let stale = |claims: &[NodeClaim]| -> Vec<String> {
            stale(&all, &classes, claims, &cluster, at(120)).iter().map(|of| of.name.clone()).collect()
        };
        let in_use = claim("a", Some("a-in-use"));
        assert_eq!(stale(std::slice::from_ref(&in_use)), ["a-before", "gone"]);
        let nothing: [&str; 0] = [];
        assert_eq!(stale(&[in_use.clone(), claim("a", None)]), nothing, "nobody knows which one that has");
        assert_eq!(stale(&[in_use.clone(), claim("b", None)]), ["a-before"], "it may be of an earlier class b");
        assert_eq!(stale(&[in_use, claim("removed", None)]), ["a-before"], "it may be that class's");
    }

    #[test]
    fn a_profile_that_a_new_class_names_stays() {
        let cluster = ClusterFacts { name: "prod".into(), region: "us-east-1".into(), ..ClusterFacts::default() };
        let path = format!("{}uid-gone/", path_prefix(&cluster));
        let known = [Known { name: "generated".into(), path, created: Timestamp::UNIX_EPOCH }];
        let now = Timestamp::UNIX_EPOCH + 2 * PROTECTED;
        let mut class = class("a", "");
        (class.spec.role, class.status) = (None, None);
        assert_eq!(stale(&known, std::slice::from_ref(&class), &[], &cluster, now), [&known[0]]);
        class.spec.instance_profile = Some("generated".into());
        assert!(stale(&known, &[class], &[], &cluster, now).is_empty(), "nobody has written its status yet");
    }
}
