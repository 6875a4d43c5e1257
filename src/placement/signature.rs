//! What pods of one owner have in common, so that one that does not exist yet is known when it comes.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};
use serde_json::{Value, json};

use super::planned::digest;
use super::tolerations::is_ours;
use crate::api::labels;
use crate::observe::COPIED_FROM_NODES;

/// A hash of everything in a pod that decides where it may run, except what differs from one replica to the next and what
/// binding or we add: the node and labels copied from it, our tolerations, the names of its volume claims.
#[must_use]
pub fn signature(pod: &Pod) -> String {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let own = [labels::STATEFUL_SET_POD_NAME, labels::POD_INDEX, "batch.kubernetes.io/job-completion-index"];
    let is_own = |key: &str| own.contains(&key) || COPIED_FROM_NODES.contains(&key);
    let pod_labels: Vec<_> = pod.metadata.labels.iter().flatten().filter(|(key, _)| !is_own(key)).collect();
    let tolerations: Vec<&Toleration> = spec.tolerations.iter().flatten().filter(|found| !is_ours(found)).collect();
    let decisive = json!({
        "namespace": pod.metadata.namespace,
        "labels": pod_labels,
        "containers": spec.containers.iter().map(container).collect::<Vec<_>>(),
        "initContainers": spec.init_containers.iter().flatten().map(container).collect::<Vec<_>>(),
        "resources": spec.resources,
        "overhead": spec.overhead,
        "tolerations": tolerations,
        "nodeSelector": spec.node_selector,
        "affinity": spec.affinity,
        "topologySpreadConstraints": spec.topology_spread_constraints,
        "priority": spec.priority,
        "hostNetwork": spec.host_network,
        "schedulerName": spec.scheduler_name,
    });
    digest(&decisive.to_string())
}

fn container(container: &Container) -> Value {
    let host_ports: Vec<_> =
        container.ports.iter().flatten().filter(|port| port.host_port.is_some_and(|number| number != 0)).collect();
    json!({
        "name": container.name,
        "resources": container.resources,
        "restartPolicy": container.restart_policy,
        "hostPorts": host_ports,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &Value) -> String {
        signature(&serde_json::from_value(json!({"metadata": {"namespace": "shop"}, "spec": spec})).unwrap())
    }

    fn spec(cpu: &str, more: &Value) -> Value {
        let mut spec = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    }

    #[test]
    fn what_binding_and_we_add_does_not_count() {
        let plain = of(&spec("1", &json!({})));
        let ours = json!({"key": labels::PLANNED, "operator": "Equal", "value": "claim", "effect": "NoSchedule"});
        let bound = spec("1", &json!({"nodeName": "n", "tolerations": [ours]}));
        let meta = json!({"namespace": "shop", "labels": {labels::ZONE: "a", labels::REGION: "r"}});
        assert_eq!(signature(&serde_json::from_value(json!({"metadata": meta, "spec": bound})).unwrap()), plain);
    }

    #[test]
    fn what_decides_where_a_pod_runs_counts() {
        let plain = of(&spec("1", &json!({})));
        for other in [
            spec("2", &json!({})),
            spec("1", &json!({"nodeSelector": {"a": "b"}})),
            spec("1", &json!({"tolerations": [{"key": "a", "operator": "Exists"}]})),
        ] {
            assert_ne!(of(&other), plain, "{other}");
        }
    }
}
