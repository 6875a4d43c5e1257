//! Until an account has said what there is, nothing is bought.

use serde_json::json;

use super::rig::{Rig, pod};
use super::zonal_shifting::{ZONES, class, in_zones};
use crate::api::labels;
use crate::catalog::{Catalog, Market};
use crate::cloud::Provider;
use crate::controller::{ControllerSettings, Event};

#[test]
fn launches_wait_for_the_first_answers_of_an_account() {
    let mut settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
    settings.decision.feature_gates.static_capacity = true;
    let known = || Catalog::Ec2(Box::new(Market::offline("us-east-1").unwrap().0));
    let tell = |rig: &mut Rig, catalog: Catalog| rig.observe(Event::Catalog(Box::new(catalog)));
    let mut fixed = in_zones("fixed", &ZONES.map(|(zone, _)| zone));
    fixed["spec"]["replicas"] = json!(2);

    let class_ref = json!({"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"});
    let left = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": "left", "labels": {labels::NODEPOOL: "default"}, "annotations": {labels::PLANNED_PODS: "{}"},
            "finalizers": [labels::FINALIZER_TERMINATION]},
        "spec": {"requirements": [], "nodeClassRef": class_ref},
    });

    let mut rig = Rig::new(settings, Vec::new());
    tell(&mut rig, known().awaiting_account());
    for object in [class(), in_zones("default", &ZONES.map(|(zone, _)| zone)), fixed, left, pod("web", "1")] {
        rig.put(object);
    }
    rig.pass(40);
    let launches = |rig: &Rig| rig.requests.iter().filter(|request| request.starts_with("launch")).count();
    assert_eq!((rig.names("NodeClaim"), launches(&rig)), (vec!["left".to_owned()], 0), "{:?}", rig.requests);
    tell(&mut rig, known());
    rig.pass(5);
    assert!(launches(&rig) >= 3, "{:?}", rig.requests);
}
