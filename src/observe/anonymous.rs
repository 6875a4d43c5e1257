//! Objects without names: what somebody called something becomes a hash, and what decides where pods fit stays.
//!
//! A string is replaced unless it stands where only words of Kubernetes, quantities, numbers or times stand, so that a field that
//! is not thought of here gives nothing away. Equal words become equal hashes, so that references, selectors and the parts
//! of composed names (`data-web-0` is the claim of `web-0`) still match.

mod kept;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use kept::{is_id_of_aws, is_kept_field, is_plain, is_resource, is_word_of_kubernetes, keeps_key, keeps_value};

/// Letters of a hash of one part of a name, and of a whole text.
const PART: usize = 7;
const WHOLE: usize = 16;
/// The length of a label's value.
const LONGEST: usize = 63;

/// Maps of labels, and the like.
const LABELS: [&str; 5] = ["annotations", "labels", "matchLabels", "nodeSelector", "tags"];
/// Maps of quantities by resource.
const RESOURCES: [&str; 16] = [
    "allocatable",
    "allocatedResources",
    "capacity",
    "default",
    "defaultRequest",
    "evictionHard",
    "evictionSoft",
    "kubeReserved",
    "limits",
    "max",
    "maxLimitRequestRatio",
    "min",
    "overhead",
    "podFixed",
    "requests",
    "systemReserved",
];
/// Names of labels.
const LABEL_KEYS: [&str; 3] = ["matchLabelKeys", "mismatchLabelKeys", "topologyKey"];

/// Replaces names by hashes. With the same salt, the same name is the same hash.
#[derive(Debug, Clone)]
pub struct Anonymizer {
    salt: Vec<u8>,
}

impl Anonymizer {
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self { salt: salt.to_vec() }
    }

    /// The object without names.
    #[must_use]
    pub fn object(&self, object: &Value) -> Value {
        self.field("", object)
    }

    fn field(&self, field: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(self.fields(field, fields)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.field(field, item)).collect()),
            Value::String(text) if LABEL_KEYS.contains(&field) => Value::String(self.key(text)),
            Value::String(text) if field == "ownerID" && !text.is_empty() => Value::String(self.account(text)),
            Value::String(text) if field == "id" && is_id_of_aws(text) => value.clone(),
            Value::String(text) if !is_kept_field(field) => Value::String(self.text(text)),
            kept => kept.clone(),
        }
    }

    fn fields(&self, field: &str, fields: &Map<String, Value>) -> Map<String, Value> {
        let is_flat = fields.values().all(|value| !value.is_object() && !value.is_array());
        if LABELS.contains(&field) && is_flat {
            return fields.iter().map(|(key, value)| (self.key(key), self.of_key(key, value))).collect();
        }
        if RESOURCES.contains(&field) && is_flat {
            let named = |name: &String| if is_resource(name) { name.clone() } else { self.key(name) };
            return fields.iter().map(|(name, amount)| (named(name), amount.clone())).collect();
        }
        // a requirement, a taint or a toleration
        if let Some(Value::String(key)) = fields.get("key") {
            let of_field = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    "key" => Value::String(self.key(key)),
                    "value" | "values" => self.of_key(key, value),
                    _ => self.field(name, value),
                };
                (name.clone(), value)
            };
            return fields.iter().map(of_field).collect();
        }
        fields.iter().map(|(name, value)| (name.clone(), self.field(name, value))).collect()
    }

    /// The name of a label, taint or resource.
    fn key(&self, key: &str) -> String {
        if key.is_empty() || keeps_key(key) { key.to_owned() } else { self.hash(key, WHOLE) }
    }

    /// The value or values of a label.
    fn of_key(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::Array(values) => Value::Array(values.iter().map(|value| self.of_key(key, value)).collect()),
            Value::String(text) if !keeps_value(key) => Value::String(self.text(text)),
            kept => kept.clone(),
        }
    }

    /// A name or any other text.
    fn text(&self, text: &str) -> String {
        if text.is_empty() || is_plain(text) || is_word_of_kubernetes(text) {
            return text.to_owned();
        }
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if !is_name {
            return self.hash(text, WHOLE);
        }
        let parts: Vec<&str> = text.split('-').collect();
        let last = parts.len() - 1;
        let part = |(index, part): (usize, &&str)| {
            let is_ordinal = index == last && index > 0 && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
            if part.is_empty() || is_ordinal { (*part).to_owned() } else { self.hash(part, PART) }
        };
        let joined = parts.iter().enumerate().map(part).collect::<Vec<_>>().join("-");
        if joined.len() > LONGEST { self.hash(text, WHOLE) } else { joined }
    }

    /// The number of an account of AWS: twelve digits.
    fn account(&self, text: &str) -> String {
        let digits: String = self.digest(text).iter().map(|byte| char::from(b'0' + byte % 10)).collect();
        digits[..12].to_owned()
    }

    /// Begins with a letter, as names of Kubernetes do.
    fn hash(&self, text: &str, letters: usize) -> String {
        let start = u64::from_be_bytes(self.digest(text)[..8].try_into().expect("a digest has 32 bytes"));
        format!("x{}", &format!("{start:016x}")[..letters])
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update((self.salt.len() as u64).to_le_bytes());
        digest.update(&self.salt);
        digest.update(text);
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_go_and_what_places_pods_stays() {
        let names = Anonymizer::new(b"salt");
        let hash = |text: &str| names.text(text);
        let pod = names.object(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "payroll-0", "namespace": "finance", "uid": "5b1f", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"app": "payroll", "acme.com/tier": "gold", "topology.kubernetes.io/zone": "eu-west-1a"},
                "annotations": {"karpenter.sh/do-not-disrupt": "true"},
            },
            "spec": {
                "schedulerName": "default-scheduler", "nodeName": "ip-10-0-3-7.internal", "priorityClassName": "system-node-critical",
                "containers": [{"name": "main", "image": "registry.acme.com/payroll:1", "resources": {
                    "requests": {"cpu": "500m", "nvidia.com/gpu": "1", "acme.com/widget": "2"},
                }}],
                "tolerations": [{"key": "acme.com/team", "operator": "Equal", "value": "finance", "effect": "NoSchedule"}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [
                        {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c"]},
                        {"key": "acme.com/tier", "operator": "In", "values": ["gold"]},
                    ]},
                ]}}},
                "topologySpreadConstraints": [{
                    "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app": "payroll"}},
                }],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-payroll-0"}}],
            },
            "status": {"phase": "Pending"},
        }));
        let said = pod.to_string();
        for secret in ["payroll", "finance", "acme", "gold", "10-0-3", "internal", "5b1f"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
        let kept = [
            ("/kind", "Pod"),
            ("/metadata/creationTimestamp", "2026-01-01T00:00:00Z"),
            ("/metadata/labels/topology.kubernetes.io~1zone", "eu-west-1a"),
            ("/metadata/annotations/karpenter.sh~1do-not-disrupt", "true"),
            ("/spec/schedulerName", "default-scheduler"),
            ("/spec/priorityClassName", "system-node-critical"),
            ("/spec/containers/0/resources/requests/cpu", "500m"),
            ("/spec/containers/0/resources/requests/nvidia.com~1gpu", "1"),
            ("/spec/tolerations/0/effect", "NoSchedule"),
            ("/spec/topologySpreadConstraints/0/topologyKey", "topology.kubernetes.io/zone"),
            ("/status/phase", "Pending"),
        ];
        for (path, value) in kept {
            assert_eq!(pod.pointer(path).and_then(Value::as_str), Some(value), "{path} of {pod}");
        }
        let terms = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let terms = &terms["nodeSelectorTerms"][0]["matchExpressions"];
        assert_eq!(terms[0]["values"][0], "c");
        // references still match
        assert_eq!(terms[1]["key"], names.key("acme.com/tier"));
        assert_eq!(terms[1]["values"][0], pod["metadata"]["labels"][names.key("acme.com/tier")]);
        assert_eq!(
            pod["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"][names.key("app")],
            hash("payroll")
        );
        assert_eq!(pod["metadata"]["name"], format!("{}-0", hash("payroll")));
        let claim = &pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
        assert_eq!(*claim, format!("{}-{}-0", hash("data"), hash("payroll")));
    }

    #[test]
    fn hashes_depend_on_the_salt_alone() {
        let of = |salt: &[u8]| Anonymizer::new(salt).text("web");
        assert_eq!(of(b"a"), of(b"a"));
        assert_ne!(of(b"a"), of(b"b"));
    }
}
