//! Manifests -> Snapshot, end to end.

use std::sync::Arc;
use std::time::Instant;

use packwright::catalog::{Catalog, Market};
use packwright::observe::snapshot::NodeStage;
use packwright::observe::{LoadOptions, LoadOutcome, Objects, build, read_text};
use packwright::settings::Settings;

fn load(text: &str) -> LoadOutcome {
    let (mut raw, mut errors) = (Vec::new(), Vec::new());
    read_text("in.yaml", text, &mut raw, &mut errors);
    assert_eq!(errors, []);
    let (market, _) = Market::offline("us-east-1").expect("a known region");
    let options = LoadOptions {
        settings: Settings::default(),
        region: Arc::from("us-east-1"),
        taken_at: "2026-01-01T00:00:00Z".parse().expect("a timestamp"),
        catalog: Catalog::Ec2(Box::new(market)),
        assumptions: Vec::new(),
    };
    build(Objects::collect(raw), options)
}

fn errors(outcome: &LoadOutcome) -> Vec<String> {
    outcome.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_malformed_object_is_one_error_and_the_rest_is_loaded() {
    let outcome = load(
        "{apiVersion: v1, kind: Pod, metadata: {name: good}, spec: {containers: [{name: c}]}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: [{name: c, ports: x}]}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: odd, namespace: shop}, spec: {containers: \
         [{name: c, resources: {requests: {cpu: 1x}}}]}}\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: skipped}}\n---\n\
         {apiVersion: v1, kind: Pod, spec: {}}\n",
    );
    assert_eq!(outcome.snapshot.pods.len(), 1);
    assert_eq!(outcome.skipped["ConfigMap"], 1);
    assert_eq!(
        errors(&outcome),
        [
            "in.yaml, document 2: Pod default/bad: spec.containers[0].ports: invalid type: string \"x\", expected a sequence",
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
             spec: {{nodeName: n1, containers: [{{name: c}}]}}, status: {{phase: Running}}}}\n"
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
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c}}], \
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

/// Figures on 2 cores in this profile are far below; the bounds leave room for a busy machine and still catch a loop
/// that is quadratic.
#[test]
fn large_inputs_load_quickly() {
    let pods: String = (0..8_152)
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
    assert_eq!(load(&pods).snapshot.pods.len(), 8_152);
    let manifests = start.elapsed();
    let deployments: String = (0..112)
        .map(|i| {
            format!(
                "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d{i}}}, spec: {{replicas: 893, selector: \
                 {{}}, template: {{spec: {{containers: [{{name: c}}]}}}}}}}}\n"
            )
        })
        .collect();
    let start = Instant::now();
    assert_eq!(load(&deployments).snapshot.pods.len(), 100_016);
    let replicas = start.elapsed();
    println!("8,152 manifests in {manifests:?}; 100,016 replicas in {replicas:?}");
    assert!(manifests.as_secs() < 10 && replicas.as_secs() < 10);
}
