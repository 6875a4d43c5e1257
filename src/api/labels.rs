//! Every label, annotation, taint and finalizer name, once.
//!
//! Source: karpenter `pkg/apis/v1/labels.go`, karpenter-provider-aws `pkg/apis/v1/labels.go`, Kubernetes well-known labels.

// ---- labels of Kubernetes
pub const HOSTNAME: &str = "kubernetes.io/hostname";
pub const ARCH: &str = "kubernetes.io/arch";
pub const OS: &str = "kubernetes.io/os";
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
pub const ZONE: &str = "topology.kubernetes.io/zone";
pub const REGION: &str = "topology.kubernetes.io/region";
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
pub const STATEFUL_SET_POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

// ---- labels of karpenter.sh
pub const NODEPOOL: &str = "karpenter.sh/nodepool";
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
pub const REGISTERED: &str = "karpenter.sh/registered";
pub const INITIALIZED: &str = "karpenter.sh/initialized";
pub const DO_NOT_SYNC_TAINTS: &str = "karpenter.sh/do-not-sync-taints";

pub const CAPACITY_ON_DEMAND: &str = "on-demand";
pub const CAPACITY_SPOT: &str = "spot";
pub const CAPACITY_RESERVED: &str = "reserved";

// ---- labels of karpenter.k8s.aws
pub const INSTANCE_HYPERVISOR: &str = "karpenter.k8s.aws/instance-hypervisor";
pub const INSTANCE_ENCRYPTION_IN_TRANSIT: &str = "karpenter.k8s.aws/instance-encryption-in-transit-supported";
pub const INSTANCE_CATEGORY: &str = "karpenter.k8s.aws/instance-category";
pub const INSTANCE_CAPABILITY_FLEX: &str = "karpenter.k8s.aws/instance-capability-flex";
pub const INSTANCE_FAMILY: &str = "karpenter.k8s.aws/instance-family";
pub const INSTANCE_GENERATION: &str = "karpenter.k8s.aws/instance-generation";
pub const INSTANCE_SIZE: &str = "karpenter.k8s.aws/instance-size";
pub const INSTANCE_LOCAL_NVME: &str = "karpenter.k8s.aws/instance-local-nvme";
pub const INSTANCE_CPU: &str = "karpenter.k8s.aws/instance-cpu";
pub const INSTANCE_CPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-cpu-manufacturer";
pub const INSTANCE_CPU_CLOCK_MHZ: &str = "karpenter.k8s.aws/instance-cpu-sustained-clock-speed-mhz";
pub const INSTANCE_MEMORY: &str = "karpenter.k8s.aws/instance-memory";
pub const INSTANCE_EBS_BANDWIDTH: &str = "karpenter.k8s.aws/instance-ebs-bandwidth";
pub const INSTANCE_NETWORK_BANDWIDTH: &str = "karpenter.k8s.aws/instance-network-bandwidth";
pub const INSTANCE_GPU_NAME: &str = "karpenter.k8s.aws/instance-gpu-name";
pub const INSTANCE_GPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-gpu-manufacturer";
pub const INSTANCE_GPU_COUNT: &str = "karpenter.k8s.aws/instance-gpu-count";
pub const INSTANCE_GPU_MEMORY: &str = "karpenter.k8s.aws/instance-gpu-memory";
pub const INSTANCE_ACCELERATOR_NAME: &str = "karpenter.k8s.aws/instance-accelerator-name";
pub const INSTANCE_ACCELERATOR_MANUFACTURER: &str = "karpenter.k8s.aws/instance-accelerator-manufacturer";
pub const INSTANCE_ACCELERATOR_COUNT: &str = "karpenter.k8s.aws/instance-accelerator-count";
pub const INSTANCE_TENANCY: &str = "karpenter.k8s.aws/instance-tenancy";
pub const NITRO_SANDBOX: &str = "karpenter.k8s.aws/nitro-sandbox";
pub const CAPACITY_RESERVATION_ID: &str = "karpenter.k8s.aws/capacity-reservation-id";
pub const CAPACITY_RESERVATION_TYPE: &str = "karpenter.k8s.aws/capacity-reservation-type";
pub const CAPACITY_RESERVATION_INTERRUPTIBLE: &str = "karpenter.k8s.aws/capacity-reservation-interruptible";
pub const PLACEMENT_GROUP_ID: &str = "karpenter.k8s.aws/placement-group-id";
pub const PLACEMENT_GROUP_PARTITION: &str = "karpenter.k8s.aws/placement-group-partition";
pub const EC2_NODE_CLASS: &str = "karpenter.k8s.aws/ec2nodeclass";
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";

// ---- labels of karpenter.kwok.sh
pub const KWOK_INSTANCE_SIZE: &str = "karpenter.kwok.sh/instance-size";
pub const KWOK_INSTANCE_FAMILY: &str = "karpenter.kwok.sh/instance-family";
pub const KWOK_INSTANCE_CPU: &str = "karpenter.kwok.sh/instance-cpu";
pub const KWOK_INSTANCE_MEMORY: &str = "karpenter.kwok.sh/instance-memory";
pub const KWOK_NODE_CLASS: &str = "karpenter.kwok.sh/kwoknodeclass";

/// Label of a node that no load balancer sends anything to.
pub const EXCLUDE_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

// ---- annotations
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
pub const NODEPOOL_HASH: &str = "karpenter.sh/nodepool-hash";
pub const NODEPOOL_HASH_VERSION: &str = "karpenter.sh/nodepool-hash-version";
pub const TERMINATION_TIMESTAMP: &str = "karpenter.sh/nodeclaim-termination-timestamp";
pub const MIN_VALUES_RELAXED: &str = "karpenter.sh/nodeclaim-min-values-relaxed";
pub const PRICE_OVERLAY_APPLIED: &str = "karpenter.sh/price-overlay-applied";
pub const CAPACITY_OVERLAY_APPLIED: &str = "karpenter.sh/capacity-overlay-applied";
pub const BUFFER_FAKE_POD: &str = "karpenter.sh/capacity-buffer-fake-pod";
pub const BUFFER_NAME: &str = "karpenter.sh/capacity-buffer-name";
pub const BUFFER_NAMESPACE: &str = "karpenter.sh/capacity-buffer-namespace";
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

pub const EC2_NODE_CLASS_HASH: &str = "karpenter.k8s.aws/ec2nodeclass-hash";
pub const EC2_NODE_CLASS_HASH_VERSION: &str = "karpenter.k8s.aws/ec2nodeclass-hash-version";
pub const INSTANCE_PROFILE_NAME: &str = "karpenter.k8s.aws/instance-profile-name";

// ---- taints
pub const TAINT_DISRUPTED: &str = "karpenter.sh/disrupted";
pub const TAINT_UNREGISTERED: &str = "karpenter.sh/unregistered";
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
pub const TAINT_NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
pub const TAINT_CLOUD_UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
pub const TAINT_READINESS_PREFIX: &str = "readiness.k8s.io/";

// ---- finalizers
pub const FINALIZER_TERMINATION: &str = "karpenter.sh/termination";
pub const FINALIZER_EC2_NODE_CLASS: &str = "karpenter.k8s.aws/termination";

// ---- ours
/// Annotation of a NodePool: what a saving has to be worth before nodes that are used go.
pub const CONSOLIDATION: &str = "packwright.dev/consolidation";
/// Key in a NodePool's `limits`: an hourly spend cap in dollars.
pub const LIMIT_USD_PER_HOUR: &str = "packwright.dev/usd-per-hour";
/// Key in a NodePool's `limits`: a number of nodes.
pub const LIMIT_NODES: &str = "nodes";
/// Annotation of a pod: what moving it costs, in dollars.
pub const EVICTION_COST_USD: &str = "packwright.dev/eviction-cost-usd";
/// Annotation of a planned NodeClaim: its offers in order of preference, `type/zone[/reservation]` separated by commas.
pub const OFFERS: &str = "packwright.dev/offers";
/// Taint of a node that is reserved for the planned pods of its claim, and key of the tolerations of those pods. The value
/// names the claim.
pub const PLANNED: &str = "packwright.dev/planned";
/// Annotation of a NodeClaim: the pods that its node is for, as JSON.
pub const PLANNED_PODS: &str = "packwright.dev/planned-pods";
/// Annotation of a NodeClaim that comes for others: which claims go once it and those that come with it are initialized, as JSON.
pub const REPLACES: &str = "packwright.dev/replaces";
/// Annotation of a NodeClaim and tag of instances: the request by which instances were launched for this claim and others.
pub const LAUNCH: &str = "packwright.dev/launch";
/// Annotation of a kwok node: the uid of its NodeClaim.
pub const BORN_OF: &str = "packwright.dev/born-of";
/// Annotation of a node class whose nodes kwok plays: offerings that cannot be had, `type/zone/capacity type` separated by commas,
/// with `*` for any.
pub const KWOK_UNAVAILABLE: &str = "packwright.dev/kwok-unavailable";
/// Annotation of a node class whose nodes kwok plays: every launch fails with this text.
pub const KWOK_LAUNCH_ERROR: &str = "packwright.dev/kwok-launch-error";
/// Annotation of a node that we cordoned, not a person: since when.
pub const CORDONED_AT: &str = "packwright.dev/cordoned-at";
/// Annotation of a node with our taint: since when.
pub const RESERVED_AT: &str = "packwright.dev/reserved-at";
/// Annotation of a reserved node whose pods come from nodes that it replaces: since when those are gone.
pub const DRAINED_AT: &str = "packwright.dev/drained-at";
/// Annotation of a pod or namespace, `"true"`: its pods are not changed, so no node is reserved for them.
pub const DO_NOT_RESERVE: &str = "packwright.dev/do-not-reserve";

/// Labels that may be undefined on a NodePool because every new node gets a value for them at launch.
pub const WELL_KNOWN: [&str; 43] = [
    NODEPOOL,
    ZONE,
    REGION,
    INSTANCE_TYPE,
    ARCH,
    OS,
    CAPACITY_TYPE,
    WINDOWS_BUILD,
    INSTANCE_HYPERVISOR,
    INSTANCE_ENCRYPTION_IN_TRANSIT,
    INSTANCE_CATEGORY,
    INSTANCE_CAPABILITY_FLEX,
    INSTANCE_FAMILY,
    INSTANCE_GENERATION,
    INSTANCE_SIZE,
    INSTANCE_LOCAL_NVME,
    INSTANCE_CPU,
    INSTANCE_CPU_MANUFACTURER,
    INSTANCE_CPU_CLOCK_MHZ,
    INSTANCE_MEMORY,
    INSTANCE_EBS_BANDWIDTH,
    INSTANCE_NETWORK_BANDWIDTH,
    INSTANCE_GPU_NAME,
    INSTANCE_GPU_MANUFACTURER,
    INSTANCE_GPU_COUNT,
    INSTANCE_GPU_MEMORY,
    INSTANCE_ACCELERATOR_NAME,
    INSTANCE_ACCELERATOR_MANUFACTURER,
    INSTANCE_ACCELERATOR_COUNT,
    INSTANCE_TENANCY,
    NITRO_SANDBOX,
    CAPACITY_RESERVATION_ID,
    CAPACITY_RESERVATION_TYPE,
    CAPACITY_RESERVATION_INTERRUPTIBLE,
    PLACEMENT_GROUP_ID,
    PLACEMENT_GROUP_PARTITION,
    EC2_NODE_CLASS,
    ZONE_ID,
    KWOK_INSTANCE_SIZE,
    KWOK_INSTANCE_FAMILY,
    KWOK_INSTANCE_CPU,
    KWOK_INSTANCE_MEMORY,
    KWOK_NODE_CLASS,
];

#[must_use]
pub fn is_well_known(key: &str) -> bool {
    WELL_KNOWN.contains(&key)
}

/// The stable name of a deprecated or provider-specific alias; any other key unchanged.
#[must_use]
pub fn normalize(key: &str) -> &str {
    match key {
        "failure-domain.beta.kubernetes.io/zone" | "topology.ebs.csi.aws.com/zone" => ZONE,
        "failure-domain.beta.kubernetes.io/region" => REGION,
        "beta.kubernetes.io/arch" => ARCH,
        "beta.kubernetes.io/os" => OS,
        "beta.kubernetes.io/instance-type" => INSTANCE_TYPE,
        other => other,
    }
}

/// Whether users may not set this label: the domain karpenter.sh and its subdomains except well-known keys, and the hostname.
#[must_use]
pub fn is_restricted(key: &str) -> bool {
    if is_well_known(key) {
        return false;
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    key == HOSTNAME || domain == "karpenter.sh" || domain.ends_with(".karpenter.sh")
}

/// The well-known labels of karpenter.k8s.aws: the only ones of that domain that users may set or constrain.
pub fn provider_labels() -> impl Iterator<Item = &'static str> {
    WELL_KNOWN.into_iter().filter(|key| key.starts_with("karpenter.k8s.aws/"))
}
