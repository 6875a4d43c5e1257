//! NodePools of the generated instances.

use serde_json::{Value, json};

use super::list;

/// What may be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pools {
    OnDemand,
    Spot,
    UpTo8,
    OneGeneration,
    EverySize,
}

impl Pools {
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::UpTo8 => "up-to-8",
            Self::OneGeneration => "one-generation",
            Self::EverySize => "every-size",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::OnDemand => "c, m and r up to 32 vCPU on demand",
            Self::Spot => "c, m and r up to 32 vCPU, spot too",
            Self::UpTo8 => "c, m and r up to 8 vCPU on demand",
            Self::OneGeneration => "the sixth generation of c, m and r on demand",
            Self::EverySize => "c, m and r of every size on demand",
        }
    }

    pub fn manifests(self) -> Value {
        let mut requirements = vec![
            json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}),
            json!({"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]}),
        ];
        let capacity_types = if self == Self::Spot { vec!["spot", "on-demand"] } else { vec!["on-demand"] };
        requirements.push(json!({"key": "karpenter.sh/capacity-type", "operator": "In", "values": capacity_types}));
        requirements.extend(match self {
            Self::OnDemand | Self::Spot => {
                Some(json!({"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["33"]}))
            }
            Self::UpTo8 => Some(json!({"key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["9"]})),
            Self::OneGeneration => {
                Some(json!({"key": "karpenter.k8s.aws/instance-generation", "operator": "In", "values": ["6"]}))
            }
            Self::EverySize => None,
        });
        list(&[pool("general", &requirements, None), node_class()])
    }
}

pub fn pool(name: &str, requirements: &[Value], cpu_limit: Option<u64>) -> Value {
    let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "bench"});
    let template = json!({"spec": {"requirements": requirements, "nodeClassRef": class}});
    let mut spec = json!({"template": template});
    if let Some(cpu) = cpu_limit {
        spec["limits"] = json!({"cpu": cpu.to_string()});
    }
    json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec})
}

pub fn node_class() -> Value {
    json!({
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "bench"},
        "spec": {
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": "bench",
            "subnetSelectorTerms": [{"tags": {"bench": "yes"}}],
            "securityGroupSelectorTerms": [{"tags": {"bench": "yes"}}],
        },
    })
}
