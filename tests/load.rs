//! Manifests -> Snapshot, end to end.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use packwright::catalog::{Catalog, Market};
use packwright::observe::snapshot::NodeStage;
use packwright::observe::{GatesByInput, LoadOptions, LoadOutcome, Objects, Snapshot, build, read_text};
use packwright::settings::Settings;

fn load(text: &str) -> LoadOutcome {
    load_with(text, GatesByInput::TurnOn)
}

fn load_with(text: &str, gates: GatesByInput) -> LoadOutcome {
    let (mut raw, mut errors) = (Vec::new(), Vec::new());
    read_text("in.yaml", text, &mut raw, &mut errors);
    assert_eq!(errors, []);
    let (market, _) = Market::offline("us-east-1").expect("a known region");
    let options = LoadOptions {
        settings: Settings::default(),
        region: Arc::from("us-east-1"),
        taken_at: "2026-01-01T00:00:00Z".parse().expect("a timestamp"),
        catalog: Catalog::Ec2(Box::new(market)),
        assumptions: vec!["of the market".to_owned()],
        gates,
    };
    build(Objects::collect(raw), options)
}

fn errors(outcome: &LoadOutcome) -> Vec<String> {
    outcome.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_malformed_object_is_one_error_and_the_rest_is_loaded() {
    let outcome = load(
        "{apiVersion: v1, kind: Pod, metadata: {name: good}, spec: {containers: [{name: c, image: i}]}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: [{name: c, image: i, ports: x}]}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: shop}, spec: {containers: \
         [{name: c, image: i, resources: {requests: {cpu: 1x}}}]}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: skipped}}\n---\n\
         {apiVersion: v1, kind: Pod, spec: {}}\n",
    );
    assert_eq!(outcome.snapshot.pods.len(), 1);
    assert_eq!(outcome.skipped["ConfigMap"], 1);
    assert_eq!(
        errors(&outcome),
        [
            "in.yaml, document 2: Pod default/bad: spec.containers[0].ports: expected a list, found 'x'",
            "in.yaml, document 3: Pod shop/odd: spec.containers[0].resources.requests.cpu: '1x' is not a quantity: expected a \
         number with an optional suffix, such as 100m, 1.5, 2Gi or 1e3",
            "in.yaml, document 5: Pod: metadata.name: expected a name, found nothing",
        ]
    );
}

#[test]
fn pools_have_types_and_nodes_have_prices() {
    let outcome = load(
        "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: general}\nspec:\n  limits: {cpu: 10, nodes: 3, \
         packwright.dev/usd-per-hour: 1.5}\n  template:\n    spec:\n      nodeClassRef: {group: karpenter.k8s.aws, kind: \
         EC2NodeClass, name: default}\n      requirements: []\n---\n\
         apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n  labels: {karpenter.sh/nodepool: general, \
         node.kubernetes.io/instance-type: m5.large, topology.kubernetes.io/zone: us-east-1a, \
         karpenter.sh/capacity-type: on-demand}\nspec: {unschedulable: true}\n",
    );
    assert_eq!(errors(&outcome), Vec::<String>::new());
    let pool = &outcome.snapshot.node_pools[0];
    assert!(pool.instance_types.len() > 500 && pool.instance_types.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(pool.unusable, None);
    assert_eq!(pool.limits.nodes, Some(3));
    assert_eq!(pool.limits.usd_per_hour.map(|cap| cap.0), Some(1_500_000));
    assert!(outcome.snapshot.assumptions[0].starts_with("EC2NodeClass default is not in the input"));
    let node = &outcome.snapshot.nodes[0];
    assert_eq!((node.stage, node.price.map(|price| price.0)), (NodeStage::Initialized, Some(96_000)));
    assert_eq!(node.taints.len(), 1);
}

#[test]
fn pods_of_deleting_nodes_are_displaced_unless_something_holds_them() {
    let pod = |name: &str, extra: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}{extra}}}, \
             spec: {{nodeName: n1, containers: [{{name: c, image: i}}]}}, status: {{phase: Running}}}}\n"
        )
    };
    let outcome = load(
        &[
            "{apiVersion: v1, kind: Node, metadata: {name: n1, deletionTimestamp: 2026-01-01T00:00:00Z}}\n".to_owned(),
            pod("free", ""),
            pod("held", ", annotations: {karpenter.sh/do-not-disrupt: 'true'}"),
            pod("budget", ""),
            pod(
                "daemon",
                ", ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: d, uid: u, controller: true}]",
            ),
            "---\n{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {maxUnavailable: 0, \
             selector: {matchLabels: {app: budget}}}}\n"
                .to_owned(),
        ]
        .concat(),
    );
    assert_eq!(errors(&outcome), Vec::<String>::new());
    let pending: Vec<&str> = outcome.snapshot.pending().map(|(_, pod)| &*pod.key.name).collect();
    assert_eq!(pending, ["free"]);
}

#[test]
fn claims_wait_for_what_is_missing_and_volumes_pin_zones() {
    let pod = |name: &str, claim: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: i}}], \
             volumes: [{{name: v, persistentVolumeClaim: {{claimName: {claim}}}}}]}}}}\n"
        )
    };
    let outcome = load(
        &[
            "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: ebs}, provisioner: kubernetes.io/aws-ebs, \
             volumeBindingMode: WaitForFirstConsumer, allowedTopologies: [{matchLabelExpressions: \
             [{key: topology.ebs.csi.aws.com/zone, values: [us-east-1a]}]}]}\n---\n\
             {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: late}, spec: {storageClassName: ebs, \
             accessModes: [ReadWriteOncePod]}}\n---\n\
             {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: lost}, status: {phase: Lost}, spec: {}}\n"
                .to_owned(),
            pod("a", "late"),
            pod("b", "lost"),
            pod("c", "none"),
        ]
        .concat(),
    );
    assert_eq!(errors(&outcome), Vec::<String>::new());
    let pods = &outcome.snapshot.pods;
    let volume = &pods[0].template.spec.volumes[0];
    assert_eq!(volume.driver.as_deref(), Some("ebs.csi.aws.com"));
    assert!(volume.single_pod);
    assert_eq!(volume.topology[0].0.to_string(), "topology.kubernetes.io/zone In [us-east-1a]");
    assert_eq!(pods[1].refused.as_deref(), Some("persistent volume claim default/lost has lost its volume"));
    assert_eq!(pods[2].refused.as_deref(), Some("persistent volume claim default/none does not exist"));
}

#[test]
fn generated_names_are_numbered_past_those_that_exist() {
    let pod = |name: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{{name}}}, spec: {{containers: [{{name: c, image: i}}]}}}}\n"
        )
    };
    let generated = pod("generateName: x-");
    let outcome =
        load(&[&*pod("name: x-2"), &*generated, &*generated, &*pod("generateName: y-"), &*generated].concat());
    let names: Vec<&str> = outcome.snapshot.pods.iter().map(|pod| &*pod.key.name).collect();
    assert_eq!(names, ["x-1", "x-2", "x-3", "x-4", "y-1"]);
}

fn pool(name: &str, kind: &str, extra: &str) -> String {
    let group = if kind == "KWOKNodeClass" { "karpenter.kwok.sh" } else { "karpenter.k8s.aws" };
    format!(
        "---\n{{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {{name: {name}}}, spec: {{{extra}template: {{spec: \
         {{nodeClassRef: {{group: {group}, kind: {kind}, name: default}}, requirements: []}}}}}}}}\n"
    )
}

#[test]
fn the_market_is_assumed_only_where_a_pool_buys_on_it() {
    let kwok = load(&pool("a", "KWOKNodeClass", ""));
    assert_eq!(kwok.snapshot.assumptions, ["KWOKNodeClass default is not in the input: it is taken to be ready"]);
    assert_eq!(kwok.snapshot.node_pools[0].instance_types.len(), 144);
    let both = load(&[pool("a", "KWOKNodeClass", ""), pool("b", "EC2NodeClass", "")].concat());
    assert_eq!(both.snapshot.assumptions.last().map(String::as_str), Some("of the market"));
    assert!(both.snapshot.node_pools[1].instance_types.len() > 500);
}

const BUFFER: &str = "---\n{apiVersion: autoscaling.x-k8s.io/v1beta1, kind: CapacityBuffer, metadata: {name: room}, spec: \
                      {scalableRef: {apiGroup: apps, kind: Deployment, name: web}, percentage: 50}}\n---\n\
                      {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3, selector: \
                      {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}}}\n";
const OVERLAY: &str = "---\n{apiVersion: karpenter.sh/v1alpha1, kind: NodeOverlay, metadata: {name: dear}, spec: \
                       {requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [c-1x-amd64-linux]}], \
                       price: '9.5'}}\n";

#[test]
fn kinds_behind_a_gate_turn_it_on_or_are_ignored() {
    let manifests = [BUFFER, OVERLAY, &pool("fixed", "KWOKNodeClass", "replicas: 2, ")].concat();
    let price = |outcome: &LoadOutcome| {
        let types = &outcome.snapshot.node_pools[0].instance_types;
        types.iter().find(|t| &*t.name == "c-1x-amd64-linux").expect("a kwok type").offerings[0].price.0
    };
    let buffers = |outcome: &LoadOutcome| outcome.snapshot.pods.iter().filter(|pod| pod.buffer).count();

    let on = load_with(&manifests, GatesByInput::TurnOn);
    assert_eq!(errors(&on), Vec::<String>::new());
    assert_eq!((price(&on), buffers(&on)), (9_500_000, 2));
    let gates = on.snapshot.settings.feature_gates;
    assert!(gates.node_overlay && gates.capacity_buffer && gates.static_capacity);
    assert_eq!(
        on.notes,
        [
            "feature gate NodeOverlay is turned on, because the input has NodeOverlays",
            "feature gate CapacityBuffer is turned on, because the input has CapacityBuffers",
            "feature gate StaticCapacity is turned on, because the input has static NodePools",
            "NodePool fixed is static: it keeps its 2 nodes and gets no others",
        ]
    );

    let off = load_with(&manifests, GatesByInput::AsConfigured);
    assert_eq!((price(&off) < 100_000, buffers(&off)), (true, 0));
    assert_eq!(off.snapshot.settings.feature_gates, Settings::default().feature_gates);
    assert_eq!(off.notes[0], "the NodeOverlays of the input are ignored: the feature gate NodeOverlay is off");
    assert_eq!(off.notes.len(), 4);
}

#[test]
fn each_pool_that_is_not_used_says_why_once() {
    let outcome = load(
        &[
            pool("fine", "EC2NodeClass", ""),
            pool("odd", "GCENodeClass", ""),
            pool("nothing", "EC2NodeClass", "").replace(
                "requirements: []",
                "requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [m5.larg]}]",
            ),
            pool("intel", "EC2NodeClass", "").replace(
                "requirements: []",
                "requirements: [{key: kubernetes.io/arch, operator: In, values: [x86_64]}]",
            ),
            pool("broken", "EC2NodeClass", "weight: 1000, "),
            "---\n{apiVersion: karpenter.k8s.aws/v1, kind: EC2NodeClass, metadata: {name: waiting}, spec: {role: r, \
             subnetSelectorTerms: [{id: subnet-1}], securityGroupSelectorTerms: [{id: sg-1}], amiSelectorTerms: [{alias: \
             al2023@latest}]}, status: {conditions: [{type: Ready, status: 'False', reason: SubnetsNotFound, message: no \
             subnets, lastTransitionTime: 2026-01-01T00:00:00Z}]}}\n"
                .to_owned(),
            pool("unready", "EC2NodeClass", "").replace("name: default", "name: waiting"),
        ]
        .concat(),
    );
    let of = |name: &str| {
        let prefix = format!("NodePool {name} ");
        outcome.notes.iter().filter(|note| note.starts_with(&prefix)).map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(of("fine"), Vec::<&str>::new());
    assert_eq!(
        of("odd"),
        [
            "NodePool odd is not used: its spec.template.spec.nodeClassRef.kind is invalid: expected EC2NodeClass, found \
          'GCENodeClass'"
        ]
    );
    let mistyped = of("nothing")[0];
    assert!(
        mistyped.starts_with(
            "NodePool nothing is not used: no instance type satisfies its requirements: \
             node.kubernetes.io/instance-type In [m5.larg]: types have "
        ) && mistyped.contains(" other values, such as m5.large"),
        "{mistyped}"
    );
    assert_eq!(
        of("intel"),
        [
            "NodePool intel is not used: no instance type satisfies its requirements: kubernetes.io/arch In [x86_64]: types \
          have amd64, arm64"
        ]
    );
    assert_eq!(
        of("unready"),
        ["NodePool unready is not used: its EC2NodeClass waiting cannot be used: it is not ready: no subnets"]
    );
    assert!(
        of("broken")[0].starts_with("NodePool broken is not used: its spec.weight is invalid: "),
        "{:?}",
        of("broken")
    );
    assert_eq!(outcome.errors.len(), 2, "{:?}", errors(&outcome));
}

#[test]
fn a_limit_of_what_no_type_has_is_noted_with_what_may_be_meant() {
    let text =
        pool("mistyped", "EC2NodeClass", "limits: {cpus: '100', memory: 1Ti, nvidia.com/gpu: '0', nodes: '5'}, ");
    assert_eq!(
        load(&text).notes,
        ["NodePool mistyped: spec.limits.cpus never binds: no instance type has that resource (did you mean cpu?)"]
    );
}

#[test]
fn daemon_pods_request_their_limits_and_the_namespaces_defaults() {
    let outcome = load(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: l, namespace: kube}, spec: {limits: [{type: Container, \
         default: {memory: 64Mi}, defaultRequest: {cpu: 50m}}, {type: Pod, max: {cpu: 9}}]}}\n---\n\
         {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d, namespace: kube}, spec: {selector: {matchLabels: {app: \
         a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: i, resources: {limits: {cpu: 200m}}}, {name: b, image: i}]}}}}\n",
    );
    assert_eq!(errors(&outcome), Vec::<String>::new());
    let spec = &outcome.snapshot.daemon_sets[0].template.spec;
    // a: its limit of cpu, the default memory; b: both defaults
    assert_eq!(spec.requests.to_string(), "cpu 250m, memory 128Mi, pods 1");
    assert!(spec.tolerations.iter().any(|toleration| &*toleration.key == "node.kubernetes.io/unschedulable"));
}

#[test]
fn a_snapshot_survives_json() {
    let outcome = load(
        &[
            pool("general", "EC2NodeClass", "limits: {cpu: 10}, "),
            pool("kwok", "KWOKNodeClass", "").replace(
                "requirements: []",
                "requirements: [{key: karpenter.kwok.sh/instance-cpu, operator: Gt, values: ['4'], minValues: 2}, \
                 {key: team, operator: NotIn, values: [a]}]",
            ),
            BUFFER.to_owned(),
            OVERLAY.to_owned(),
            "---\n{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {team: b}}, status: {capacity: {cpu: 4}}}\n".to_owned(),
        ]
        .concat(),
    );
    let text = serde_json::to_string(&outcome.snapshot).expect("a Snapshot is JSON");
    let back: Snapshot = serde_json::from_str(&text).expect("its own JSON");
    assert_eq!(back, *outcome.snapshot);
    assert_eq!(serde_json::to_string(&back).expect("JSON again"), text);
}

#[test]
fn stdin_is_read_like_a_file() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packwright"));
    let mut child = command
        .args(["plan", "-f", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let manifests = [BUFFER, &pool("kwok", "KWOKNodeClass", "")].concat();
    child.stdin.take().expect("a pipe").write_all(manifests.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["summary"]["pods_placed"], 5);
    let notes = report["notes"].as_array().expect("notes");
    assert!(
        notes
            .iter()
            .any(|note| note.as_str().is_some_and(|n| n.starts_with("feature gate CapacityBuffer is turned on")))
    );
}

/// Figures on 2 cores in this profile are far below; the bounds leave room for a busy machine and still catch a loop
/// that is quadratic.
#[test]
fn large_inputs_load_quickly() {
    let pods: Vec<String> = (0..8_152)
        .map(|i| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p-{i}\n  labels:\n    app: a{}\nspec:\n  containers:\n  \
                 - name: c\n    image: pause\n    resources:\n      requests:\n        cpu: {}m\n        memory: 1Gi\n",
                i % 100,
                100 + i % 7
            )
        })
        .collect();
    let start = Instant::now();
    assert_eq!(load(&pods.concat()).snapshot.pods.len(), 8_152);
    let manifests = start.elapsed();
    let deployments: Vec<String> = (0..112)
        .map(|i| {
            format!(
                "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d{i}}}, spec: {{replicas: 893, selector: \
                 {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: \
                 c, image: i}}]}}}}}}}}\n"
            )
        })
        .collect();
    let start = Instant::now();
    assert_eq!(load(&deployments.concat()).snapshot.pods.len(), 100_016);
    let replicas = start.elapsed();
    println!("8,152 manifests in {manifests:?}; 100,016 replicas in {replicas:?}");
    assert!(manifests.as_secs() < 10 && replicas.as_secs() < 10);
}

#[test]
fn a_mistaken_kind_is_an_error_and_a_foreign_one_is_skipped() {
    let object = |api_version: &str, kind: &str| {
        format!("---\n{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}}}\n")
    };
    for (api_version, kind, expected) in [
        ("apps/v1", "Deploymnt", "unknown kind of apps/v1; did you mean Deployment?"),
        ("v1", "pod", "unknown kind of v1; did you mean Pod?"),
        ("karpenter.sh/v1", "Nodepool", "unknown kind of karpenter.sh/v1; did you mean NodePool?"),
        ("v1", "Deployment", "Deployment is a kind of apps/v1, found 'v1'"),
        ("karpenter.sh/v1alpha5", "Provisioner", "Provisioner was replaced by NodePool of karpenter.sh/v1"),
        ("karpenter.sh/v1alpha5", "Machine", "Machine was replaced by NodeClaim of karpenter.sh/v1"),
        (
            "karpenter.k8s.aws/v1alpha1",
            "AWSNodeTemplate",
            "AWSNodeTemplate was replaced by EC2NodeClass of karpenter.k8s.aws/v1",
        ),
    ] {
        let outcome = load(&object(api_version, kind));
        assert_eq!(errors(&outcome), [format!("in.yaml: {kind} x: kind: {expected}")]);
        assert!(outcome.skipped.is_empty());
    }
    for (api_version, kind) in [
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "ServiceAccount"),
        ("v1", "ResourceQuota"),
        ("v1", "Event"),
        ("v1", "Endpoints"),
        ("v1", "Binding"),
        ("v1", "ComponentStatus"),
        ("apps/v1", "ControllerRevision"),
        ("policy/v1", "Eviction"),
        ("policy/v1beta1", "PodSecurityPolicy"),
        ("storage.k8s.io/v1", "CSIDriver"),
        ("storage.k8s.io/v1", "CSIStorageCapacity"),
        ("storage.k8s.io/v1", "VolumeAttributesClass"),
        ("serving.knative.dev/v1", "Service"),
        ("example.com/v1", "Deploymnt"),
    ] {
        let outcome = load(&object(api_version, kind));
        assert_eq!((errors(&outcome).len(), outcome.skipped.len()), (0, 1), "{kind}");
    }
}

#[test]
fn a_node_class_of_another_provider_makes_its_pool_unusable() {
    let foreign = pool("default", "EC2NodeClass", "").replace("karpenter.k8s.aws", "karpenter.aws");
    let outcome = load(&[foreign, pool("fine", "EC2NodeClass", "")].concat());
    assert_eq!(
        errors(&outcome),
        ["in.yaml, document 1: NodePool default: spec.template.spec.nodeClassRef.group: expected karpenter.k8s.aws \
          (EC2NodeClass) or karpenter.kwok.sh (KWOKNodeClass), found 'karpenter.aws'"]
    );
    let unusable: Vec<bool> = outcome.snapshot.node_pools.iter().map(|pool| pool.unusable.is_some()).collect();
    assert_eq!(unusable, [true, false]);
    // the class that nothing usable names is not assumed
    let assumed = outcome.snapshot.assumptions.iter().filter(|a| a.contains("is not in the input")).count();
    assert_eq!(assumed, 1);
}

#[test]
fn an_absent_node_class_is_compared_with_those_of_the_input() {
    let class = "---\n{apiVersion: karpenter.kwok.sh/v1alpha1, kind: KWOKNodeClass, metadata: {name: default}}\n";
    for (name, hint) in [("defualt", "did you mean default?"), ("other", "it has default")] {
        let pool = pool("a", "KWOKNodeClass", "").replace("name: default}", &format!("name: {name}}}"));
        let outcome = load(&[class, &pool].concat());
        assert_eq!(errors(&outcome), Vec::<String>::new());
        assert_eq!(
            outcome.snapshot.assumptions,
            [format!("KWOKNodeClass {name} is not in the input ({hint}): it is taken to be ready")]
        );
    }
}

#[test]
fn a_mistyped_field_is_named_before_the_one_that_is_missing() {
    let mistyped = pool("a", "EC2NodeClass", "").replace("requirements:", "requirments:");
    assert_eq!(
        errors(&load(&mistyped)),
        ["in.yaml: NodePool a: spec.template.spec.requirments: unknown field; did you mean requirements?"]
    );
    let other = pool("a", "EC2NodeClass", "limit: {}, ").replace("requirements: []", "requirements: {}");
    assert_eq!(
        errors(&load(&other)),
        [
            "in.yaml: NodePool a: spec.limit: unknown field; did you mean limits?",
            "in.yaml: NodePool a: spec.template.spec.requirements: expected a list, found an object",
        ]
    );
}
