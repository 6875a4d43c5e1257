use serde_json::{Value, json};

use super::*;
use crate::observe::objects::Objects;
use crate::observe::snapshot::LabelSelector;
use crate::settings::Settings;

/// The template of a pod spec in namespace `shop` with labels `app=web, rev=2`, and its refusal.
fn read(spec: Value) -> Result<TemplateAndRefusal, FieldError> {
    read_labelled(spec, &[("app", "web"), ("rev", "2")])
}

fn read_labelled(spec: Value, own: &[(&str, &str)]) -> Result<TemplateAndRefusal, FieldError> {
    let spec: core::PodSpec = serde_json::from_value(spec).expect("a pod spec");
    let (objects, settings) = (Objects::default(), Settings::default());
    let mut cluster = Cluster::read(&objects, &settings, &mut Vec::new());
    let own = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let source = PodSource {
        namespace: &Arc::from("shop"),
        name: "p",
        labels: Some(&own),
        annotations: None,
        spec: &spec,
        status: None,
        admitted: false,
    };
    read_template(source, &mut cluster)
}

fn template(spec: Value) -> PodSpec {
    read(spec).unwrap().0.spec
}

fn node_affinity(terms: &Value) -> Value {
    json!({"containers": [], "affinity": {"nodeAffinity":
        {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

fn expression(key: &str, operator: &str) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator}]})
}

#[test]
fn labels_that_binding_adds_make_no_other_pod() {
    let bound = [("app", "web"), ("rev", "2"), (labels::ZONE, "a"), (labels::REGION, "r")];
    let spec = json!({"containers": []});
    assert_eq!(read_labelled(spec.clone(), &bound).unwrap(), read(spec).unwrap());
}

#[test]
fn affinity_terms_are_ored_and_empty_ones_left_out() {
    let spec = template(node_affinity(&json!([expression("a", "Exists"), {}, expression("b", "DoesNotExist")])));
    let shown: Vec<String> = spec.node_affinity.iter().map(|term| term.0.to_string()).collect();
    assert_eq!(shown, ["a Exists", "b DoesNotExist"]);
}

#[test]
fn pods_that_no_plan_can_place_say_why() {
    let fields = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]);
    for (spec, expected) in [
        (json!({"containers": []}), None),
        (json!({"containers": [], "nodeSelector": {"karpenter.sh/nodepool": "a"}}), None),
        (
            json!({"containers": [], "nodeSelector": {"kubernetes.io/hostname": "n"}}),
            Some("its nodeSelector uses the restricted label kubernetes.io/hostname"),
        ),
        (
            node_affinity(&json!([expression("karpenter.sh/custom", "Exists")])),
            Some("its node affinity uses the restricted label karpenter.sh/custom"),
        ),
        (node_affinity(&fields), Some("its node affinity uses matchFields, which is not supported")),
        (node_affinity(&json!([{}, {}])), Some("its node affinity has only empty terms, which match no node")),
        (
            json!({"containers": [], "resourceClaims": [{"name": "gpu"}]}),
            Some("it has resource claims, and Dynamic Resource Allocation is not supported"),
        ),
    ] {
        assert_eq!(read(spec.clone()).unwrap().1.as_deref(), expected, "{spec}");
    }
}

#[test]
fn pods_that_avoid_every_node_pool_are_recognised() {
    let avoids = |terms| avoids_node_pools(&read(node_affinity(&terms)).unwrap().0);
    let away = || expression("karpenter.sh/nodepool", "DoesNotExist");
    assert!(avoids(json!([away()])));
    assert!(!avoids(json!([away(), expression("a", "Exists")])), "the other term allows it");
    assert!(!avoids(json!([expression("karpenter.sh/nodepool", "Exists")])));
}

#[test]
fn match_label_keys_of_spread_take_the_pods_own_value() {
    let spec = template(json!({"containers": [], "topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}, "matchLabelKeys": ["rev", "absent"]}]}));
    let LabelSelector::Matching(all) = &spec.topology_spread[0].selector else { panic!("a nil selector") };
    let shown: Vec<String> = all.iter().map(|r| format!("{} {}", r.key, r.requirement)).collect();
    assert_eq!(shown.join(", "), "app In [web], rev In [2]");
}

#[test]
fn tolerations_have_the_documented_defaults() {
    let spec = template(json!({"containers": [], "tolerations": [
        {"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute"}, {"key": "n", "operator": "Gt", "value": "3"}]}));
    let shown: Vec<_> = spec.tolerations.iter().map(|t| (&*t.key, t.operator, &*t.value, t.effect)).collect();
    assert_eq!(
        shown,
        [
            ("", TolerationOperator::Exists, "", None),
            ("a", TolerationOperator::Equal, "b", Some(TaintEffect::NoExecute)),
            ("n", TolerationOperator::Gt, "3", None),
        ]
    );
}

#[test]
fn host_ports_of_containers_and_sidecars_count_once() {
    let port = |number: i32| json!([{"containerPort": 80, "hostPort": number}]);
    let spec = json!({
        "containers": [{"name": "a", "image": "i", "ports": port(8080)}, {"name": "b", "image": "i", "ports": port(8080)},
            {"name": "c", "image": "i", "ports": [{"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"}]}],
        "initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always", "ports": port(9090)}, {"name": "i", "image": "i", "ports": port(7070)}],
    });
    let shown = |spec: Value| {
        let ports = template(spec).host_ports;
        ports.iter().map(|p| format!("{}:{}/{}", p.ip, p.port, p.protocol)).collect::<Vec<_>>()
    };
    assert_eq!(shown(spec), ["0.0.0.0:8080/TCP", "0.0.0.0:9090/TCP", "10.0.0.1:53/UDP"]);
    let on_host =
        json!({"hostNetwork": true, "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80}]}]});
    assert_eq!(shown(on_host), ["0.0.0.0:80/TCP"]);
}

#[test]
fn mistakes_name_the_field_and_what_was_expected() {
    let weighted = |weight: i32| {
        json!({"containers": [], "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": weight, "preference": expression("a", "Exists")}]}}})
    };
    assert_eq!(template(weighted(100)).preferred_node_affinity.len(), 1);
    for (spec, path, message) in [
        (
            weighted(0),
            "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
            "expected a number from 1 to 100, found 0",
        ),
        (
            node_affinity(&json!([expression("a", "Near")])),
            "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]\
             .matchExpressions[0].operator",
            "expected one of In, NotIn, Exists, DoesNotExist, Gt, Lt, found 'Near'",
        ),
        (
            json!({"containers": [], "tolerations": [{"key": "a", "effect": "Never"}]}),
            "tolerations[0].effect",
            "expected NoSchedule, PreferNoSchedule or NoExecute, found 'Never'",
        ),
        (
            json!({"containers": [], "tolerations": [{"value": "a"}]}),
            "tolerations[0].operator",
            "expected Exists, because the key is empty",
        ),
        (
            json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1, "hostPort": 70000}]}]}),
            "containers[0].ports[0].hostPort",
            "expected a port number, found 70000",
        ),
    ] {
        let error = read(spec).unwrap_err();
        assert_eq!((error.path.as_str(), error.message.as_str()), (path, message));
    }
}

#[test]
fn tolerations_that_following_a_plan_added_do_not_tell_pods_apart() {
    let ours = json!({"key": labels::PLANNED, "operator": "Equal", "value": "claim", "effect": "NoSchedule"});
    let theirs = json!({"key": "dedicated", "operator": "Exists"});
    let plain = template(json!({"containers": [], "tolerations": [theirs]}));
    assert_eq!(template(json!({"containers": [], "tolerations": [ours, theirs]})), plain);
    assert_eq!(plain.tolerations.len(), 1);
}
