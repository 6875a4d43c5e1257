//! From an `EC2NodeClass` to the facts that the catalogue needs.

use std::sync::Arc;

use serde_json::Value;

use super::{AmiFamily, BlockDevice, NetworkInterface, NodeClassFacts, Threshold, Zone};
use crate::api::ec2_node_class::{
    AMIFamily, EC2NodeClass, EC2NodeClassSpec, InterfaceType, KubeletConfiguration, Switch,
};
use crate::api::validate::FieldError;
use crate::resources::Resources;
use crate::units::quantity::Quantity;

const GIB: i64 = 1 << 30;

impl NodeClassFacts {
    /// Reads the fields that the catalogue needs. A status without subnets means every zone. Reservations stay empty:
    /// [`super::reservations`] finds them, as the status does not say how many instances are free. So does the placement group, which the
    /// market knows.
    ///
    /// # Errors
    /// Every field that cannot be read, in the order of the fields; expressions in the kubelet's configuration (the
    /// feature gate `NodeClassCEL`) are not supported.
    pub fn from_ec2(class: &EC2NodeClass) -> Result<Self, Vec<FieldError>> {
        let spec = &class.spec;
        let mut reader = Reader::default();
        let nothing = KubeletConfiguration::new();
        let kubelet = spec.kubelet.as_ref().unwrap_or(&nothing);
        let subnets = class.status.as_ref().map_or(&[][..], |status| &status.subnets);
        let facts = Self {
            ami_family: family(spec.resolved_ami_family()),
            max_pods: reader.count(kubelet, "maxPods"),
            pods_per_core: reader.count(kubelet, "podsPerCore"),
            kube_reserved: reader.amounts(kubelet, "kubeReserved"),
            system_reserved: reader.amounts(kubelet, "systemReserved"),
            eviction_memory: reader.threshold(kubelet, "memory.available"),
            eviction_nodefs: reader.threshold(kubelet, "nodefs.available"),
            block_devices: reader.block_devices(spec),
            instance_store_raid0: spec.instance_store_policy.is_some(),
            network_interfaces: spec.network_interfaces.iter().map(network_interface).collect(),
            connection_tracking: spec.connection_tracking.is_some(),
            nested_virtualization: spec
                .cpu_options
                .as_ref()
                .is_some_and(|options| options.nested_virtualization == Some(Switch::Enabled)),
            zones: (!subnets.is_empty()).then(|| {
                let mut zones: Vec<Zone> = subnets
                    .iter()
                    .map(|s| Zone { name: Arc::from(s.zone.as_str()), id: s.zone_id.as_deref().map(Arc::from) })
                    .collect();
                zones.sort();
                zones.dedup_by(|a, b| a.name == b.name);
                zones
            }),
            reservations: Vec::new(),
            placement_group: None,
            images: class.status.iter().flat_map(|status| &status.amis).map(Into::into).collect(),
            hash: spec.static_hash().into(),
        };
        if reader.errors.is_empty() { Ok(facts) } else { Err(reader.errors) }
    }
}

fn family(family: AMIFamily) -> AmiFamily {
    match family {
        AMIFamily::AL2 => AmiFamily::Al2,
        AMIFamily::AL2023 => AmiFamily::Al2023,
        AMIFamily::Bottlerocket => AmiFamily::Bottlerocket,
        AMIFamily::Custom => AmiFamily::Custom,
        AMIFamily::Windows2019 => AmiFamily::Windows2019,
        AMIFamily::Windows2022 => AmiFamily::Windows2022,
        AMIFamily::Windows2025 => AmiFamily::Windows2025,
    }
}

fn network_interface(interface: &crate::api::ec2_node_class::NetworkInterface) -> NetworkInterface {
    // negative indices are refused by the CRD; here they become one that no type has
    NetworkInterface {
        card: u32::try_from(interface.network_card_index).unwrap_or(u32::MAX),
        device: u32::try_from(interface.device_index).unwrap_or(u32::MAX),
        efa_only: interface.interface_type == InterfaceType::EfaOnly,
    }
}

/// Reads values and collects what cannot be read.
#[derive(Default)]
struct Reader {
    errors: Vec<FieldError>,
}

impl Reader {
    fn refuse(&mut self, field: &str, message: &dyn ToString) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.to_string() });
    }

    fn count(&mut self, kubelet: &KubeletConfiguration, key: &str) -> Option<u32> {
        let value = kubelet.get(key).filter(|value| !value.is_null())?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        if count.is_none() {
            self.refuse(
                &format!("spec.kubelet.{key}"),
                &format!("found {value}: expected a whole number, not negative"),
            );
        }
        count
    }

    fn amounts(&mut self, kubelet: &KubeletConfiguration, key: &str) -> Resources {
        let mut resources = Resources::new();
        for (name, value) in kubelet.get(key).and_then(Value::as_object).into_iter().flatten() {
            match Resources::parse_amount(name, &plain(value)) {
                Ok(amount) if amount >= 0 => resources.set(name.as_str(), amount),
                Ok(_) => self.refuse(&format!("spec.kubelet.{key}.{name}"), &"must not be negative"),
                Err(error) => self.refuse(&format!("spec.kubelet.{key}.{name}"), &error),
            }
        }
        resources
    }

    fn threshold(&mut self, kubelet: &KubeletConfiguration, signal: &str) -> Option<Threshold> {
        let value = kubelet.get("evictionHard")?.as_object()?.get(signal)?;
        match Threshold::parse(&plain(value)) {
            Ok(threshold) => Some(threshold),
            Err(error) => {
                self.refuse(&format!("spec.kubelet.evictionHard[{signal}]"), &error);
                None
            }
        }
    }

    fn block_devices(&mut self, spec: &EC2NodeClassSpec) -> Vec<BlockDevice> {
        let mut devices = Vec::new();
        for (i, mapping) in spec.block_device_mappings.iter().enumerate() {
            let size =
                mapping.ebs.as_ref().and_then(|ebs| ebs.volume_size.as_ref()).map(|size| size.parse::<Quantity>());
            let size_bytes = match size {
                None => None,
                Some(Ok(size)) => Some(whole_gib(size.value())),
                Some(Err(error)) => {
                    self.refuse(&format!("spec.blockDeviceMappings[{i}].ebs.volumeSize"), &error);
                    None
                }
            };
            devices.push(BlockDevice {
                device_name: mapping.device_name.clone().unwrap_or_default(),
                root: mapping.root_volume == Some(true),
                size_bytes,
            });
        }
        devices
    }
}

/// EBS volumes come in whole GiB.
fn whole_gib(bytes: i64) -> i64 {
    (bytes / GIB + i64::from(bytes % GIB > 0)).saturating_mul(GIB)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{CPU, MEMORY};

    fn class(spec: &Value, status: &Value) -> EC2NodeClass {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
            "spec": spec, "status": status
        }))
        .unwrap()
    }

    #[test]
    fn every_field_that_matters_is_read() {
        let class = class(
            &serde_json::json!({
                "role": "node", "subnetSelectorTerms": [], "securityGroupSelectorTerms": [],
                "amiSelectorTerms": [{"alias": "bottlerocket@latest"}],
                "kubelet": {"maxPods": 50, "podsPerCore": 4, "kubeReserved": {"cpu": "200m"},
                    "systemReserved": {"memory": "100Mi"}, "evictionHard": {"memory.available": "5%"}},
                "blockDeviceMappings": [{"deviceName": "/dev/xvdb", "rootVolume": true, "ebs": {"volumeSize": "100G"}}],
                "instanceStorePolicy": "RAID0",
                "networkInterfaces": [{"networkCardIndex": 0, "deviceIndex": 1, "interfaceType": "efa-only"}]
            }),
            &serde_json::json!({"subnets": [
                {"id": "subnet-2", "zone": "us-east-1b"}, {"id": "subnet-1", "zone": "us-east-1a", "zoneID": "use1-az6"},
                {"id": "subnet-3", "zone": "us-east-1b"}], "conditions": []}),
        );
        let facts = NodeClassFacts::from_ec2(&class).unwrap();
        assert_eq!(facts.ami_family, AmiFamily::Bottlerocket);
        assert_eq!((facts.max_pods, facts.pods_per_core), (Some(50), Some(4)));
        assert_eq!((facts.kube_reserved.get(CPU), facts.system_reserved.get(MEMORY)), (200, 100 << 20));
        assert_eq!((facts.eviction_memory, facts.eviction_nodefs), (Some(Threshold::MicroPercent(5_000_000)), None));
        // 100e9 bytes are 93.13 GiB
        let device = BlockDevice { device_name: "/dev/xvdb".to_owned(), root: true, size_bytes: Some(94 * GIB) };
        assert_eq!(facts.block_devices, [device]);
        assert!(facts.instance_store_raid0);
        assert_eq!(facts.network_interfaces, [NetworkInterface { card: 0, device: 1, efa_only: true }]);
        let zones = facts.zones.unwrap();
        assert_eq!(zones.iter().map(ToString::to_string).collect::<Vec<_>>(), ["us-east-1a", "us-east-1b"]);
        assert_eq!(zones[0].id.as_deref(), Some("use1-az6"));
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        let class = class(
            &serde_json::json!({"subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "kubelet": {
                "maxPods": "vcpus * 10", "kubeReserved": {"cpu": "lots"}, "evictionHard": {"memory.available": "x%"}}}),
            &serde_json::json!({}),
        );
        let errors = NodeClassFacts::from_ec2(&class).unwrap_err();
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            ["spec.kubelet.maxPods", "spec.kubelet.kubeReserved.cpu", "spec.kubelet.evictionHard[memory.available]"]
        );
    }
}
