//! What is tried out: as small a machine as the pools of a class may launch.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt as _;

use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_pool::NodePool;
use crate::catalog::{Catalog, InstanceType, NodeClassFacts, Offering};
use crate::cloud::ec2::images;
use crate::observe::objects::{ObjectKey, Objects, Sourced};
use crate::observe::{Origin, market};
use crate::settings::Settings;
use crate::units::MicroUsd;

/// Types that are sold nearly everywhere, of both architectures.
const EVERYWHERE: [&str; 2] = ["m5.large", "m6g.large"];

/// A type, an image that it boots, and a subnet where it is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub instance_type: String,
    pub image_id: String,
    pub subnet_id: String,
}

/// The cheapest that a pool of the class allows; one that is sold nearly everywhere where there is no such pool yet. `None` where the
/// class has no images or no subnets.
pub(super) fn choose(class: &Arc<EC2NodeClass>, pools: Vec<NodePool>, catalog: &Catalog) -> Option<Machine> {
    let status = class.status.as_ref()?;
    let subnet_of = |zone: &str| status.subnets.iter().find(|subnet| subnet.zone == zone);
    let mut cheapest: Option<(MicroUsd, Machine)> = None;
    for (kind, offering) in offered(class, pools, catalog) {
        let (Some(image), Some(subnet)) = (images::of_type(&status.amis, &kind), subnet_of(&offering.zone)) else {
            continue;
        };
        if cheapest.as_ref().is_none_or(|(price, _)| offering.price < *price) {
            let (instance_type, image_id, subnet_id) = (kind.name.to_string(), image.to_string(), subnet.id.clone());
            cheapest = Some((offering.price, Machine { instance_type, image_id, subnet_id }));
        }
    }
    if let Some((_, machine)) = cheapest {
        return Some(machine);
    }
    let subnet_id = status.subnets.first()?.id.clone();
    let facts = NodeClassFacts::from_ec2(class).unwrap_or_default();
    let types = catalog.instance_types(&facts, &Settings::default());
    // not the image of machines with GPUs, whose snapshot is larger than the volumes of a class for others
    let mut plain = EVERYWHERE.iter().filter_map(|name| types.iter().find(|kind| *kind.name == **name));
    if let Some((kind, image)) = plain.find_map(|kind| Some((kind, images::of_type(&status.amis, kind)?))) {
        return Some(Machine { instance_type: kind.name.to_string(), image_id: image.to_string(), subnet_id });
    }
    let image = status.amis.first()?;
    Some(Machine { instance_type: EVERYWHERE[0].to_owned(), image_id: image.id.clone(), subnet_id })
}

/// What the pools of a class can buy, but for what is paid for already.
fn offered(class: &Arc<EC2NodeClass>, pools: Vec<NodePool>, catalog: &Catalog) -> Vec<(InstanceType, Offering)> {
    let mut objects = Objects::default();
    let key = |name: String| ObjectKey { namespace: Arc::from(""), name: name.into() };
    let sourced = |object| Sourced { origin: Origin::default(), object };
    objects
        .ec2_node_classes
        .insert(key(class.name_any()), Sourced { origin: Origin::default(), object: class.clone() });
    for pool in pools {
        objects.node_pools.insert(key(pool.name_any()), sourced(Arc::new(pool)));
    }
    let offered = market(&objects, catalog, &Settings::default());
    let of_class = offered.pools.iter().filter(|pool| *pool.node_class.name == *class.name_any());
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for pool in of_class {
        let fits = |kind: &&InstanceType| kind.requirements.intersects(&pool.requirements).is_ok();
        for kind in pool.instance_types.iter().filter(fits) {
            let is_bought =
                |of: &&Offering| of.available && of.reservation.is_none() && of.satisfies(&pool.requirements);
            let cheapest = kind.offerings.iter().filter(is_bought).min_by_key(|of| of.price);
            if let Some(offering) = cheapest.filter(|_| seen.insert(kind.name.clone())) {
                found.push((kind.clone(), offering.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::labels;
    use crate::catalog::Market;

    fn class() -> Arc<EC2NodeClass> {
        let ami = |id: &str, arch: &str| json!({"id": id, "requirements": [{"key": labels::ARCH, "operator": "In", "values": [arch]}]});
        let class = json!({
            "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
            "spec": {"amiFamily": "AL2023", "role": "r", "subnetSelectorTerms": [{"id": "subnet-b"}],
                "securityGroupSelectorTerms": [{"id": "sg-1"}]},
            "status": {"subnets": [{"id": "subnet-b", "zone": "us-east-1b"}],
                "amis": [ami("ami-amd64", "amd64"), ami("ami-arm64", "arm64")]},
        });
        Arc::new(serde_json::from_value(class).unwrap())
    }

    fn pool(requirements: &serde_json::Value) -> NodePool {
        let class = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
        let spec = json!({"template": {"spec": {"nodeClassRef": class, "requirements": requirements}}});
        serde_json::from_value(json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool",
            "metadata": {"name": "default"}, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn what_is_tried_is_what_pools_may_launch() {
        let catalog = Catalog::Ec2(Box::new(Market::offline("us-east-1").unwrap().0));
        let machine = |pools: Vec<NodePool>| {
            let found = choose(&class(), pools, &catalog).unwrap();
            (found.instance_type, found.image_id, found.subnet_id)
        };
        let in_b = |kind: &str, image: &str| (kind.to_owned(), image.to_owned(), "subnet-b".to_owned());
        assert_eq!(machine(Vec::new()), in_b("m5.large", "ami-amd64"), "no pool asks for anything");
        let arm = json!([{"key": labels::INSTANCE_TYPE, "operator": "In", "values": ["c7g.4xlarge", "c7g.2xlarge"]}]);
        assert_eq!(machine(vec![pool(&arm)]), in_b("c7g.2xlarge", "ami-arm64"));
        let elsewhere = json!([{"key": labels::ZONE, "operator": "In", "values": ["us-east-1a"]}]);
        assert_eq!(machine(vec![pool(&elsewhere)]), in_b("m5.large", "ami-amd64"), "it can launch nothing");
    }

    #[test]
    fn without_a_pool_the_image_of_plain_machines_is_tried() {
        let mut class = EC2NodeClass::clone(&class());
        let of_gpus = json!({"id": "ami-nvidia", "requirements": [
            {"key": labels::ARCH, "operator": "In", "values": ["amd64"]},
            {"key": labels::INSTANCE_GPU_COUNT, "operator": "Exists"}]});
        class.status.as_mut().unwrap().amis.insert(0, serde_json::from_value(of_gpus).unwrap());
        let catalog = Catalog::Ec2(Box::new(Market::offline("us-east-1").unwrap().0));
        assert_eq!(choose(&Arc::new(class), Vec::new(), &catalog).unwrap().image_id, "ami-amd64");
    }
}
