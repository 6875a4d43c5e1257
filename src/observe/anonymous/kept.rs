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

/// What the provisioner writes of names.
const NAMES_OF_OURS: [&str; 7] = [
    labels::NODEPOOL,
    labels::BUFFER_NAME,
    labels::BUFFER_NAMESPACE,
    labels::OFFERS,
    labels::PLANNED,
    labels::PLANNED_PODS,
    labels::REPLACES,
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

/// Numbers, percentages and truth values.
pub fn is_plain(text: &str) -> bool {
    is_number(text.strip_suffix('%').unwrap_or(text)) || text == "true" || text == "false"
}

/// Of up to six digits.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As RFC 3339 writes it.
pub fn is_time(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && text.parse::<jiff::Timestamp>().is_ok()
}

pub fn is_word_of_kubernetes(text: &str) -> bool {
    WORDS.contains(&text)
        || text.starts_with("system-") && text.ends_with("-critical")
        || text.ends_with(".csi.aws.com")
        || text.starts_with("kubernetes.io/")
}

/// Of ids such as `cr-0a1b2c3d4e5f60718`.
const IDS: [&str; 5] = ["ami-", "cr-", "pg-", "sg-", "subnet-"];

/// What an id of AWS begins with.
pub fn kind_of_id(text: &str) -> Option<&'static str> {
    IDS.into_iter().find(|kind| text.starts_with(kind))
}

/// Whether the text looks like nothing else: 8 or 17 hexadecimal digits.
pub fn is_whole_id(text: &str) -> bool {
    let digits = kind_of_id(text).map_or("", |kind| &text[kind.len()..]);
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// Domains of labels whose names somebody gave.
const ROLES: [&str; 2] = ["node-role.kubernetes.io/", "node-restriction.kubernetes.io/"];

/// The public beginning of a key that ends in a name, and the name: `kubernetes.io/cluster/acme`, `node-role.kubernetes.io/team`.
pub fn named_after(key: &str) -> Option<(&str, &str)> {
    if !is_public(key) || key == "node-role.kubernetes.io/control-plane" {
        return None;
    }
    if let Some(role) = ROLES.into_iter().find(|role| key.starts_with(role)) {
        return Some(key.split_at(role.len()));
    }
    let (domain, rest) = key.split_once('/')?;
    let first = rest.find('/')?;
    Some(key.split_at(domain.len() + first + 2))
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
    ["karpenter.sh", "packwright.dev"].contains(&domain) && !NAMES_OF_OURS.contains(&key)
}

fn is_public(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    DOMAINS.iter().any(|public| domain == *public || domain.ends_with(&format!(".{public}")))
}
