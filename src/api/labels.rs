//! Every label, annotation, taint and finalizer name, once.
//!
//! Source: karpenter `pkg/apis/v1/labels.go`, karpenter-provider-aws `pkg/apis/v1/labels.go`, Kubernetes well-known labels.

// ---- labels of Kubernetes
/// The name of the node; pods may spread over it, and not select it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// `amd64` or `arm64`.
pub const ARCH: &str = "kubernetes.io/arch";
/// `linux` or `windows`.
pub const OS: &str = "kubernetes.io/os";
/// `m5.large`.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// `us-east-1a`.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// `us-east-1`.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The build of Windows of the image.
pub const WINDOWS_BUILD: &str = "node.kubernetes.io/windows-build";
/// Of pods of a Deployment: which revision they are of.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Of pods of a StatefulSet: their name.
pub const STATEFUL_SET_POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Of pods of a StatefulSet: their number.
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

// ---- labels of karpenter.sh
/// The NodePool of a node.
pub const NODEPOOL: &str = "karpenter.sh/nodepool";
/// `spot`, `on-demand` or `reserved`.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// `"true"` once the node has joined and its claim knows.
pub const REGISTERED: &str = "karpenter.sh/registered";
/// `"true"` once the node is ready for pods.
pub const INITIALIZED: &str = "karpenter.sh/initialized";
/// `"true"` on a Node that comes: its taints are its own, those of the claim are not added.
pub const DO_NOT_SYNC_TAINTS: &str = "karpenter.sh/do-not-sync-taints";

pub const CAPACITY_ON_DEMAND: &str = "on-demand";
pub const CAPACITY_SPOT: &str = "spot";
pub const CAPACITY_RESERVED: &str = "reserved";

// ---- labels of karpenter.k8s.aws
/// `nitro`, `xen`; empty for metal.
pub const INSTANCE_HYPERVISOR: &str = "karpenter.k8s.aws/instance-hypervisor";
/// `"true"` or `"false"`: whether traffic between instances is encrypted.
pub const INSTANCE_ENCRYPTION_IN_TRANSIT: &str = "karpenter.k8s.aws/instance-encryption-in-transit-supported";
/// `c`, `m`, `r`, `g` ...
pub const INSTANCE_CATEGORY: &str = "karpenter.k8s.aws/instance-category";
/// `"true"` for flex families.
pub const INSTANCE_CAPABILITY_FLEX: &str = "karpenter.k8s.aws/instance-capability-flex";
/// `m5`.
pub const INSTANCE_FAMILY: &str = "karpenter.k8s.aws/instance-family";
/// A number.
pub const INSTANCE_GENERATION: &str = "karpenter.k8s.aws/instance-generation";
/// `large`.
pub const INSTANCE_SIZE: &str = "karpenter.k8s.aws/instance-size";
/// GB of local NVMe disks.
pub const INSTANCE_LOCAL_NVME: &str = "karpenter.k8s.aws/instance-local-nvme";
/// vCPUs.
pub const INSTANCE_CPU: &str = "karpenter.k8s.aws/instance-cpu";
/// `intel`, `amd`, `aws`.
pub const INSTANCE_CPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-cpu-manufacturer";
/// MHz that the CPU sustains.
pub const INSTANCE_CPU_CLOCK_MHZ: &str = "karpenter.k8s.aws/instance-cpu-sustained-clock-speed-mhz";
/// MiB.
pub const INSTANCE_MEMORY: &str = "karpenter.k8s.aws/instance-memory";
/// Mbit/s to EBS.
pub const INSTANCE_EBS_BANDWIDTH: &str = "karpenter.k8s.aws/instance-ebs-bandwidth";
/// Mbit/s of the network.
pub const INSTANCE_NETWORK_BANDWIDTH: &str = "karpenter.k8s.aws/instance-network-bandwidth";
/// `a10g`, `t4` ...
pub const INSTANCE_GPU_NAME: &str = "karpenter.k8s.aws/instance-gpu-name";
/// `nvidia`, `amd`.
pub const INSTANCE_GPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-gpu-manufacturer";
/// GPUs.
pub const INSTANCE_GPU_COUNT: &str = "karpenter.k8s.aws/instance-gpu-count";
/// MiB of each GPU.
pub const INSTANCE_GPU_MEMORY: &str = "karpenter.k8s.aws/instance-gpu-memory";
/// `inferentia`, `trainium` ...
pub const INSTANCE_ACCELERATOR_NAME: &str = "karpenter.k8s.aws/instance-accelerator-name";
/// `aws`, `habana`.
pub const INSTANCE_ACCELERATOR_MANUFACTURER: &str = "karpenter.k8s.aws/instance-accelerator-manufacturer";
/// Accelerators.
pub const INSTANCE_ACCELERATOR_COUNT: &str = "karpenter.k8s.aws/instance-accelerator-count";
/// `default` or `dedicated`.
pub const INSTANCE_TENANCY: &str = "karpenter.k8s.aws/instance-tenancy";
/// Whether the instance can hold Nitro enclaves.
pub const NITRO_SANDBOX: &str = "karpenter.k8s.aws/nitro-sandbox";
/// The capacity reservation that a node uses.
pub const CAPACITY_RESERVATION_ID: &str = "karpenter.k8s.aws/capacity-reservation-id";
/// `default` or `capacity-block`.
pub const CAPACITY_RESERVATION_TYPE: &str = "karpenter.k8s.aws/capacity-reservation-type";
/// `"true"`: the reservation may take its instance back.
pub const CAPACITY_RESERVATION_INTERRUPTIBLE: &str = "karpenter.k8s.aws/capacity-reservation-interruptible";
/// The placement group of the node class.
pub const PLACEMENT_GROUP_ID: &str = "karpenter.k8s.aws/placement-group-id";
/// The partition of it that a node is in.
pub const PLACEMENT_GROUP_PARTITION: &str = "karpenter.k8s.aws/placement-group-partition";
/// The node class of a node.
pub const EC2_NODE_CLASS: &str = "karpenter.k8s.aws/ec2nodeclass";
/// `use1-az1`.
pub const ZONE_ID: &str = "topology.k8s.aws/zone-id";

// ---- labels of karpenter.kwok.sh
/// Of types of kwok, as of EC2: the size.
pub const KWOK_INSTANCE_SIZE: &str = "karpenter.kwok.sh/instance-size";
/// The family.
pub const KWOK_INSTANCE_FAMILY: &str = "karpenter.kwok.sh/instance-family";
/// vCPUs.
pub const KWOK_INSTANCE_CPU: &str = "karpenter.kwok.sh/instance-cpu";
/// `1Ti`.
pub const KWOK_INSTANCE_MEMORY: &str = "karpenter.kwok.sh/instance-memory";
/// The node class of a node.
pub const KWOK_NODE_CLASS: &str = "karpenter.kwok.sh/kwoknodeclass";

/// Label of a node that no load balancer sends anything to.
pub const EXCLUDE_BALANCERS: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

// ---- annotations
/// Of a pod: `"true"`, or a duration from its start, keeps its node; of a Node: `"true"`.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// Of a NodePool and its claims: what of the template drift is told by.
pub const NODEPOOL_HASH: &str = "karpenter.sh/nodepool-hash";
/// By which rule that hash was made.
pub const NODEPOOL_HASH_VERSION: &str = "karpenter.sh/nodepool-hash-version";
/// Of a claim on its way out: when its grace period is over.
pub const TERMINATION_TIMESTAMP: &str = "karpenter.sh/nodeclaim-termination-timestamp";
/// Of a claim: whether `minValues` was lowered for it.
pub const MIN_VALUES_RELAXED: &str = "karpenter.sh/nodeclaim-min-values-relaxed";
/// Of a virtual pod: it stands for a part of a CapacityBuffer.
pub const BUFFER_FAKE_POD: &str = "karpenter.sh/capacity-buffer-fake-pod";
/// Of a virtual pod: which buffer.
pub const BUFFER_NAME: &str = "karpenter.sh/capacity-buffer-name";
/// Of a virtual pod: of which namespace.
pub const BUFFER_NAMESPACE: &str = "karpenter.sh/capacity-buffer-namespace";
/// Of a pod: how dear its deletion is, for the ReplicaSet and for consolidation.
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Of a pod that its node runs by itself.
pub const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Of an EC2NodeClass and its claims: what drift is told by.
pub const EC2_NODE_CLASS_HASH: &str = "karpenter.k8s.aws/ec2nodeclass-hash";
/// By which rule that hash was made.
pub const EC2_NODE_CLASS_HASH_VERSION: &str = "karpenter.k8s.aws/ec2nodeclass-hash-version";
/// Of a claim: the instance profile that it was launched with.
pub const INSTANCE_PROFILE_NAME: &str = "karpenter.k8s.aws/instance-profile-name";

// ---- taints
/// The node is to go: nothing new comes.
pub const TAINT_DISRUPTED: &str = "karpenter.sh/disrupted";
/// The node has joined, and its claim does not know yet.
pub const TAINT_UNREGISTERED: &str = "karpenter.sh/unregistered";
/// Of Kubernetes: the kubelet says that it is not ready.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Of Kubernetes: the kubelet is not heard of.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Of Kubernetes: the node is cordoned.
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Of Kubernetes: the network is not set up.
pub const TAINT_NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
/// Of the cloud controller manager: it has not looked at the node yet.
pub const TAINT_CLOUD_UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// Of the node readiness controller: what begins so counts as one that goes by itself.
pub const TAINT_READINESS_PREFIX: &str = "readiness.k8s.io/";

// ---- finalizers
/// Of NodeClaims and Nodes: they are drained and their instance ends before they go.
pub const FINALIZER_TERMINATION: &str = "karpenter.sh/termination";
/// Of an EC2NodeClass: it stays until its claims are gone.
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
