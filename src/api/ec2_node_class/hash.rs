//! What tells whether an EC2NodeClass has changed since a node was launched with it.
//!
//! Source: the reference's `EC2NodeClass.Hash` (karpenter-aws 1.1): the same fields. The version is our own, so that claims of another
//! provisioner are stamped anew and no node counts as drifted because of who acts now. The certificate authority of the cluster is no
//! part of it: it belongs to the cluster, not to the class.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::EC2NodeClassSpec;

/// Of what [`EC2NodeClassSpec::static_hash`] computes.
pub const HASH_VERSION: &str = "packwright-v1";

/// What they select may change at any time: what was found counts, not the selectors.
const SELECTORS: [&str; 5] = [
    "subnetSelectorTerms",
    "securityGroupSelectorTerms",
    "capacityReservationSelectorTerms",
    "amiSelectorTerms",
    "ipPrefixCount",
];
/// Lists of which the order says nothing.
const SETS: [&str; 2] = ["blockDeviceMappings", "networkInterfaces"];

impl EC2NodeClassSpec {
    /// Over everything that a node is launched with, but for what selectors find.
    #[must_use]
    pub fn static_hash(&self) -> String {
        let Value::Object(mut fields) = json!(self) else { unreachable!("a spec is an object") };
        for selector in SELECTORS {
            fields.remove(selector);
        }
        fields.insert("amiFamily".to_owned(), json!(self.resolved_ami_family()));
        for set in SETS {
            if let Some(Value::Array(entries)) = fields.get_mut(set) {
                entries.sort_by_key(ToString::to_string);
            }
        }
        let digest = Sha256::digest(written(&Value::Object(fields)));
        digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// As JSON with keys in order, whatever the order in which they were read.
fn written(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> = fields.iter().map(|(key, value)| (key, written(value))).collect();
            let fields: Vec<String> =
                fields.into_iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(entries) => format!("[{}]", entries.iter().map(written).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(spec: &Value) -> String {
        let mut all = json!({"role": "node", "subnetSelectorTerms": [{"id": "subnet-1"}],
            "securityGroupSelectorTerms": [{"id": "sg-1"}], "amiSelectorTerms": [{"alias": "al2023@latest"}]});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value::<EC2NodeClassSpec>(all).unwrap().static_hash()
    }

    #[test]
    fn what_nodes_are_launched_with_counts_and_what_selectors_name_does_not() {
        let base = hash(&json!({}));
        for same in [
            json!({"subnetSelectorTerms": [{"id": "subnet-2"}]}),
            json!({"securityGroupSelectorTerms": [{"id": "sg-2"}]}),
            json!({"amiSelectorTerms": [{"alias": "al2023@v20240807"}]}),
            json!({"capacityReservationSelectorTerms": [{"id": "cr-1"}]}),
            json!({"ipPrefixCount": 2}),
            json!({"amiFamily": "AL2023"}),
            json!({"metadataOptions": {"httpTokens": "required"}}),
            json!({"tags": {}}),
        ] {
            assert_eq!(hash(&same), base, "{same}");
        }
        for other in [
            json!({"role": "other"}),
            json!({"userData": "x"}),
            json!({"tags": {"a": "b"}}),
            json!({"amiFamily": "Custom"}),
            json!({"kubelet": {"maxPods": 10}}),
            json!({"kubelet": {"cpuManagerPolicy": "static"}}),
            json!({"metadataOptions": {"httpTokens": "optional"}}),
            json!({"blockDeviceMappings": [{"deviceName": "a", "ebs": {"volumeSize": "1Gi"}}]}),
            json!({"instanceStorePolicy": "RAID0"}),
            json!({"detailedMonitoring": true}),
            json!({"associatePublicIPAddress": false}),
            json!({"connectionTracking": {"udpTimeout": 30}}),
            json!({"cpuOptions": {"nestedVirtualization": "enabled"}}),
            json!({"placementGroupSelector": {"name": "a"}}),
            json!({"context": "x"}),
            json!({"networkInterfaces": [{"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"}]}),
        ] {
            assert_ne!(hash(&other), base, "{other}");
        }
    }

    #[test]
    fn the_order_of_volumes_does_not_count() {
        let device = |name: &str| json!({"deviceName": name, "ebs": {"volumeSize": "1Gi"}});
        let of = |devices: &[Value]| hash(&json!({ "blockDeviceMappings": devices }));
        assert_eq!(of(&[device("a"), device("b")]), of(&[device("b"), device("a")]));
    }
}
