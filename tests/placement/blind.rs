//! Clusters as somebody would see them who does not know a rule.

use std::sync::Arc;

use packwright::observe::Snapshot;
use packwright::observe::snapshot::{PodSpec, Toleration, TolerationOperator};
use packwright::plan::check::Rule;
use packwright::resources::Resources;

/// The same pods and nodes, with nothing that the rule looks at.
pub fn to(rule: Rule, snapshot: &Snapshot) -> Snapshot {
    let mut seen = snapshot.clone();
    for pod in &mut seen.pods {
        let mut template = (*pod.template).clone();
        forget(rule, &mut template.spec);
        pod.template = Arc::new(template);
    }
    seen
}

fn forget(rule: Rule, spec: &mut PodSpec) {
    match rule {
        Rule::Resources => spec.requests = Resources::new(),
        Rule::Taints => {
            let everything =
                Toleration { key: "".into(), operator: TolerationOperator::Exists, value: "".into(), effect: None };
            spec.tolerations = vec![everything];
        }
        Rule::NodeAffinity => {
            spec.node_selector.clear();
            spec.node_affinity.clear();
        }
        Rule::HostPorts => spec.host_ports.clear(),
        Rule::VolumeTopology => spec.volumes.iter_mut().for_each(|volume| volume.topology.clear()),
        Rule::VolumeLimits => spec.volumes.iter_mut().for_each(|volume| volume.driver = None),
        Rule::PodAffinity => spec.pod_affinity.clear(),
        Rule::PodAntiAffinity => spec.pod_anti_affinity.clear(),
        Rule::TopologySpread => spec.topology_spread.clear(),
        other => panic!("{other} is no rule about where a pod may be bound"),
    }
}
