//! What no decision reads of an object: left out of what is kept of a live cluster, so that it is smaller and holds no
//! secrets of the containers.

use serde_json::{Map, Value};

/// Fields of containers (wherever they are: pods, templates) and of metadata.
const OF_CONTAINERS: [&str; 17] = [
    "args",
    "command",
    "env",
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
];
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
const STATUSES: [&str; 3] = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
const OF_METADATA: [&str; 3] = ["selfLink", "generateName", "generation"];
const OF_CONTAINER_STATUSES: [&str; 7] =
    ["containerID", "image", "imageID", "lastState", "state", "user", "volumeMounts"];
/// Annotations of pods may hold anything: those of these domains are read.
const READ_DOMAINS: [&str; 4] = ["karpenter.sh", "packwright.dev", "kubernetes.io", "karpenter.k8s.aws"];

/// Kinds whose annotations are handed on to nodes.
const HANDED_ON: [&str; 2] = ["NodePool", "NodeClaim"];

/// Removes it. The object still is what its kind asks for.
pub fn prune(object: &mut Value) {
    let handed_on = object.get("kind").and_then(Value::as_str).is_some_and(|kind| HANDED_ON.contains(&kind));
    prune_below(object, handed_on);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("userData"); // of a node class
    }
}

fn prune_below(value: &mut Value, handed_on: bool) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                prune_metadata(metadata, handed_on);
            }
            for (name, below) in fields.iter_mut() {
                match below {
                    Value::Array(items) if CONTAINERS.contains(&name.as_str()) => remove(items, &OF_CONTAINERS),
                    Value::Array(items) if STATUSES.contains(&name.as_str()) => remove(items, &OF_CONTAINER_STATUSES),
                    _ => prune_below(below, handed_on),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune_below(item, handed_on)),
        _ => {}
    }
}

fn remove(items: &mut [Value], fields: &[&str]) {
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

fn prune_metadata(metadata: &mut Map<String, Value>, handed_on: bool) {
    if let Some(fields) = metadata.get_mut("managedFields") {
        *fields = Value::Array(Vec::new()); // that there are some says that a server wrote the object
    }
    metadata.retain(|field, _| !OF_METADATA.contains(&field.as_str()));
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.retain(|key, _| {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let is_read = READ_DOMAINS.iter().any(|of| domain == *of || domain.ends_with(&format!(".{of}")));
            (is_read || handed_on) && !key.ends_with("/last-applied-configuration")
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_and_bulk_go_and_what_is_decided_by_stays() {
        let mut pod = json!({
            "kind": "Pod",
            "metadata": {
                "name": "web", "managedFields": [{}], "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}", "karpenter.sh/do-not-disrupt": "true",
                    "acme.com/token": "secret",
                },
            },
            "spec": {"containers": [{
                "name": "c", "image": "web:1", "env": [{"name": "TOKEN", "value": "secret"}], "args": ["--password=secret"],
                "resources": {"requests": {"cpu": "1"}}, "ports": [{"containerPort": 80, "hostPort": 80}],
            }]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "lastState": {"terminated": {"message": "x"}}}]},
        });
        prune(&mut pod);
        let kept = json!({
            "kind": "Pod",
            "metadata": {"name": "web", "managedFields": [], "annotations": {"karpenter.sh/do-not-disrupt": "true"}},
            "spec": {"containers": [{
                "name": "c", "image": "web:1",
                "resources": {"requests": {"cpu": "1"}}, "ports": [{"containerPort": 80, "hostPort": 80}],
            }]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "c"}]},
        });
        assert_eq!(pod, kept);
    }
}
