use serde_json::{Value, json};

use super::*;
use crate::observe::input::Origin;
use crate::observe::read::RawObject;

fn object(kind: &str, name: &str, rest: &Value) -> Value {
    let api_version = if kind == "StorageClass" { "storage.k8s.io/v1" } else { "v1" };
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    for (key, value) in rest.as_object().unwrap() {
        match (key.as_str(), value) {
            ("metadata", Value::Object(more)) => object["metadata"].as_object_mut().unwrap().extend(more.clone()),
            _ => object[key] = value.clone(),
        }
    }
    object
}

/// Driver and topology of the volume behind claim `c`, or why the pod waits.
fn claim(manifests: &[Value]) -> Result<String, String> {
    let raw = manifests.iter().map(|value| RawObject { origin: Origin::default(), value: value.clone() });
    let objects = Objects::collect(raw);
    assert_eq!(objects.errors, []);
    let spec = json!({"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
    let spec: PodSpec = serde_json::from_value(spec).unwrap();
    let (volumes, refusal) = Storage::new(&objects).of_pod(&Arc::from("default"), "p", &spec, &[]).unwrap();
    if let Some(refusal) = refusal {
        return Err(refusal.to_string());
    }
    let topology: Vec<String> = volumes[0].topology.iter().map(|term| term.0.to_string()).collect();
    Ok(format!("{}: {}", volumes[0].driver.as_deref().unwrap_or("-"), topology.join(" or ")))
}

fn bound() -> Value {
    let completed = json!({"annotations": {"pv.kubernetes.io/bind-completed": "yes"}});
    object("PersistentVolumeClaim", "c", &json!({"metadata": completed, "spec": {"volumeName": "v"}}))
}

fn late_class(rest: &Value) -> Value {
    let mut class = object("StorageClass", "late", &json!({"provisioner": "ebs.csi.aws.com"}));
    class["volumeBindingMode"] = json!("WaitForFirstConsumer");
    class.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    class
}

fn zone(key: &str, zones: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": "In", "values": zones}]})
}

#[test]
fn a_bound_volume_pins_its_zone() {
    let volume = |spec: &Value| object("PersistentVolume", "v", &json!({"spec": spec}));
    let required = |terms: Value| json!({"required": {"nodeSelectorTerms": terms}});
    let csi = json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"});
    let one = zone("topology.ebs.csi.aws.com/zone", &["a"]);
    let two = zone("topology.kubernetes.io/zone", &["b"]);
    assert_eq!(
        claim(&[bound(), volume(&json!({"csi": csi, "nodeAffinity": required(json!([one, two]))}))]).unwrap(),
        "ebs.csi.aws.com: topology.kubernetes.io/zone In [a] or topology.kubernetes.io/zone In [b]"
    );
    // the host of a local volume is no place for a new node
    let host = zone("kubernetes.io/hostname", &["n1"]);
    let local = json!({"local": {"path": "/d"}, "nodeAffinity": required(json!([host]))});
    assert_eq!(claim(&[bound(), volume(&local)]).unwrap(), "-: ");
    // volumes made before CSI carry labels and name a plugin
    let labels = json!({"labels": {"failure-domain.beta.kubernetes.io/zone": "a__b"}});
    let old = json!({"metadata": labels, "spec": {"awsElasticBlockStore": {"volumeID": "vol-1"}}});
    assert_eq!(
        claim(&[bound(), object("PersistentVolume", "v", &old)]).unwrap(),
        "ebs.csi.aws.com: topology.kubernetes.io/zone In [a, b]"
    );
}

#[test]
fn an_unbound_claim_goes_where_its_class_allows() {
    let unbound = |spec: &Value| object("PersistentVolumeClaim", "c", &json!({"spec": spec}));
    let named = unbound(&json!({"storageClassName": "late"}));
    assert_eq!(claim(&[named.clone(), late_class(&json!({}))]).unwrap(), "ebs.csi.aws.com: ");
    let zones = json!([{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["a", "b"]}]}]);
    assert_eq!(
        claim(&[named, late_class(&json!({"allowedTopologies": zones}))]).unwrap(),
        "ebs.csi.aws.com: topology.kubernetes.io/zone In [a, b]"
    );
    // no class named: the default one; an empty name means none
    let default = json!({"name": "late", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}});
    let default = late_class(&json!({"metadata": default}));
    assert_eq!(claim(&[unbound(&json!({})), default.clone()]).unwrap(), "ebs.csi.aws.com: ");
    assert_eq!(
        claim(&[unbound(&json!({"storageClassName": ""})), default]).unwrap_err(),
        "persistent volume claim default/c is unbound and has no storage class"
    );
}

#[test]
fn a_pod_waits_for_what_is_missing() {
    let with = |rest: Value| object("PersistentVolumeClaim", "c", &rest);
    let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let immediate = object("StorageClass", "now", &json!({"provisioner": "x"}));
    for (manifests, expected) in [
        (vec![], "claim default/c does not exist"),
        (vec![with(json!({"metadata": deleted}))], "claim default/c is being deleted"),
        (vec![with(json!({"status": {"phase": "Lost"}}))], "claim default/c has lost its volume"),
        (vec![with(json!({"spec": {"volumeName": "v"}}))], "claim default/c is not yet bound to its volume v"),
        (vec![bound()], "persistent volume v of claim default/c does not exist"),
        (
            vec![bound(), object("PersistentVolume", "v", &json!({"metadata": deleted}))],
            "persistent volume v of claim default/c is being deleted",
        ),
        (vec![with(json!({"spec": {}}))], "claim default/c is unbound and has no storage class"),
        (
            vec![with(json!({"spec": {"storageClassName": "gone"}}))],
            "storage class gone of claim default/c does not exist",
        ),
        (
            vec![with(json!({"spec": {"storageClassName": "now"}})), immediate],
            "claim default/c is unbound, and its storage class binds immediately",
        ),
    ] {
        let error = claim(&manifests).unwrap_err();
        assert!(error.ends_with(expected), "{error}: expected {expected}");
    }
}
