//! What is no name: words of Kubernetes and its APIs, quantities, numbers and times.

use crate::api::labels;

/// Fields whose values come from an API, not from whoever wrote the object.
const FIELDS: [&str; 73] = [
    "accessModes",
    "alias",
    "amiFamily",
    "apiGroup",
    "apiVersion",
    "appProtocol",
    "architecture",
    "completionMode",
    "concurrencyPolicy",
    "consolidateAfter",
    "consolidationPolicy",
    "cpuCFSQuota",
    "cpuManagerPolicy",
    "divisor",
    "dnsPolicy",
    "driver",
    "duration",
    "effect",
    "encrypted",
    "evictionSoftGracePeriod",
    "expireAfter",
    "group",
    "httpEndpoint",
    "httpProtocolIPv6",
    "httpTokens",
    "instanceStorePolicy",
    "internalTrafficPolicy",
    "iops",
    "ipFamilies",
    "ipFamilyPolicy",
    "kind",
    "maxUnavailable",
    "minAvailable",
    "nodeAffinityPolicy",
    "nodeTaintsPolicy",
    "nodes",
    "operator",
    "phase",
    "podManagementPolicy",
    "policy",
    "policyTypes",
    "preemptionPolicy",
    "price",
    "priceAdjustment",
    "protocol",
    "provisioner",
    "provisioningStrategy",
    "qosClass",
    "reasons",
    "reclaimPolicy",
    "replicas",
    "resourceName",
    "restartPolicy",
    "schedule",
    "scope",
    "sessionAffinity",
    "spotAllocationStrategy",
    "status",
    "storage",
    "strategy",
    "tenancy",
    "terminationGracePeriod",
    "topologyManagerPolicy",
    "type",
    "unhealthyPodEvictionPolicy",
    "volumeBindingMode",
    "volumeInitializationRate",
    "volumeMode",
    "volumeSize",
    "volumeType",
    "whenUnsatisfiable",
    "zone",
    "zoneID",
];

/// Domains of labels, taints and resources whose names are public.
const DOMAINS: [&str; 12] = [
    "amazonaws.com",
    "amd.com",
    "aws.amazon.com",
    "csi.aws.com",
    "habana.ai",
    "k8s.aws",
    "k8s.io",
    "karpenter.kwok.sh",
    "karpenter.sh",
    "kubernetes.io",
    "nvidia.com",
    "packwright.dev",
];
/// Well-known labels whose values are names that somebody gave.
const NAMES: [&str; 5] = [
    labels::NODEPOOL,
    labels::CAPACITY_RESERVATION_ID,
    labels::PLACEMENT_GROUP_ID,
    labels::EC2_NODE_CLASS,
    labels::KWOK_NODE_CLASS,
];

const WORDS: [&str; 9] = [
    "default",
    "default-scheduler",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "yes",
    "0.0.0.0",
    "127.0.0.1",
    "::",
];

pub fn is_kept_field(field: &str) -> bool {
    FIELDS.contains(&field) || field.ends_with("Timestamp") || field.ends_with("Time")
}

/// Numbers of up to six digits, percentages and truth values.
pub fn is_plain(text: &str) -> bool {
    let number = text.strip_suffix('%').unwrap_or(text);
    let is_number = !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number || text == "true" || text == "false"
}

pub fn is_word_of_kubernetes(text: &str) -> bool {
    WORDS.contains(&text)
        || text.starts_with("system-") && text.ends_with("-critical")
        || text.ends_with(".csi.aws.com")
        || text.starts_with("kubernetes.io/")
}

/// Such as `cr-0a1b2c3d4e5f60718`: what describes it is found by it.
pub fn is_id_of_aws(text: &str) -> bool {
    ["ami-", "cr-", "pg-", "sg-", "subnet-"].iter().any(|kind| text.starts_with(kind))
}

pub fn is_resource(name: &str) -> bool {
    let of_core = ["count", "cpu", "memory", "ephemeral-storage", "pods", "storage", labels::LIMIT_NODES];
    of_core.contains(&name) || name.starts_with("hugepages-") || name.contains(".available") || is_public(name)
}

/// Whether the name of a label or taint is public.
pub fn keeps_key(key: &str) -> bool {
    [labels::POD_TEMPLATE_HASH, "metadata.name", "controller-revision-hash"].contains(&key) || is_public(key)
}

/// Whether the value of a label is of a public set.
pub fn keeps_value(key: &str) -> bool {
    let is_well_known = labels::WELL_KNOWN.contains(&labels::normalize(key)) || key == labels::ZONE_ID;
    (is_well_known && !NAMES.contains(&key)) || of_ours(key)
}

/// Annotations and labels that the provisioner writes, where they are no names.
fn of_ours(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    ["karpenter.sh", "packwright.dev"].contains(&domain)
        && ![labels::NODEPOOL, labels::BUFFER_NAME, labels::BUFFER_NAMESPACE].contains(&key)
}

fn is_public(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    DOMAINS.iter().any(|public| domain == *public || domain.ends_with(&format!(".{public}")))
}
