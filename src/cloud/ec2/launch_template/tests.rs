use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::api::ec2_node_class::VolumeType;
use crate::cloud::LaunchError;
use crate::cloud::ec2::fixtures::{claim, class, cluster, option, template, types};
use crate::cloud::ec2::node_template::Tenancy;

/// The launch templates of a launch: groups with the names of their options, and contents.
fn templates(spec: &Value, more: &Value, options: &[&str]) -> Vec<(Group, Vec<String>, LaunchTemplate)> {
    let class = class(spec, &json!({}));
    let (types, template) = (types(&class), template(&class, more));
    let places: Vec<_> = options.iter().map(|text| option(&types, text)).collect();
    let offerings: Vec<_> = places.iter().map(|&(kind, of)| (&types[kind], &types[kind].offerings[of])).collect();
    let found = groups(&template, &offerings).unwrap();
    let named = |places: &[usize]| places.iter().map(|place| options[*place].to_owned()).collect();
    found
        .into_iter()
        .map(|(group, places)| {
            let launch = LaunchTemplate::of(&cluster(), &template, &group).unwrap();
            (group, named(&places), launch)
        })
        .collect()
}

fn one(spec: &Value, more: &Value, options: &[&str]) -> Content {
    let mut found = templates(spec, more, options);
    assert_eq!(found.len(), 1);
    found.remove(0).2.content
}

const SPOT: &str = "m5.large/us-east-1a/spot";

#[test]
fn a_template_has_what_the_class_says_by_default() {
    let content = one(&json!({}), &json!({}), &[SPOT]);
    assert_eq!(content.image_id, "ami-amd");
    assert_eq!(content.instance_profile, "prod_profile");
    let expected = ImdsOptions {
        endpoint: Switchable::Enabled,
        ipv6: Some(Switchable::Disabled),
        hops: 1,
        tokens_required: true,
        tags: Switchable::Disabled,
    };
    assert_eq!(content.metadata, expected);
    let root = &content.block_devices[0];
    let ebs = root.ebs.as_ref().unwrap();
    assert_eq!((root.device.as_deref(), ebs.size_gib, ebs.kind), (Some("/dev/xvda"), Some(20), Some(VolumeType::Gp3)));
    let interface = Interface { security_groups: vec!["sg-1".to_owned(), "sg-2".to_owned()], ..Interface::default() };
    assert_eq!(content.interfaces, [interface]);
    assert_eq!(content.capacity_reservation, CapacityReservation::None);
    assert_eq!((content.detailed_monitoring, content.enclaves, content.market), (false, false, None));
    assert_eq!(content.placement.tenancy, Tenancy::Default);
    let tagged: Vec<&str> = content.tags.iter().map(|of| of.resource_type).collect();
    assert_eq!(tagged, ["network-interface", "spot-instances-request"]);
    assert_eq!(content.own_tags["karpenter.sh/nodepool"], "general");
    let user_data = String::from_utf8(STANDARD.decode(content.user_data.unwrap()).unwrap()).unwrap();
    assert!(user_data.contains("NodeConfig") && user_data.contains("capacity-type=spot"), "{user_data}");
}

#[test]
fn what_the_class_says_is_in_it() {
    let spec = json!({
        "detailedMonitoring": true, "associatePublicIPAddress": true, "ipPrefixCount": 2,
        "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "optional", "httpPutResponseHopLimit": 3},
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": "100G", "iops": 4000, "throughput": 200,
            "encrypted": true, "kmsKeyID": "key", "deleteOnTermination": false, "volumeType": "io2"}}],
        "placementGroupSelector": {"id": "pg-1"}, "cpuOptions": {"nestedVirtualization": "disabled"},
        "connectionTracking": {"udpTimeout": 45}, "tags": {"team": "x"},
    });
    let partition = json!({"requirements": [
        {"key": "karpenter.k8s.aws/placement-group-partition", "operator": "In", "values": ["2"]}]});
    let content = one(&spec, &partition, &["m5.large/us-east-1a/on-demand"]);
    assert!(content.detailed_monitoring && !content.metadata.tokens_required);
    assert_eq!(content.metadata.hops, 3);
    let ebs = content.block_devices[0].ebs.as_ref().unwrap();
    assert_eq!((ebs.size_gib, ebs.iops, ebs.throughput), (Some(94), Some(4_000), Some(200)), "93.13 GiB");
    assert_eq!((ebs.kms_key_id.as_deref(), ebs.delete_on_termination), (Some("key"), Some(false)));
    assert_eq!((content.placement.group_id.as_deref(), content.placement.partition), (Some("pg-1"), Some(2)));
    let interface = &content.interfaces[0];
    assert_eq!((interface.public_ip, interface.ipv4_prefixes, interface.ipv6_prefixes), (Some(true), Some(2), None));
    assert_eq!(interface.connection_tracking.unwrap().udp, Some(45));
    assert_eq!(content.nested_virtualization, Some(Switchable::Disabled));
    assert_eq!((content.own_tags["team"].as_str(), content.tags.len()), ("x", 1));
}

#[test]
fn types_that_need_other_images_pods_or_reservations_are_apart() {
    let found = templates(
        &json!({}),
        &json!({}),
        &[
            "m5.large/us-east-1a/on-demand",
            "m6g.large/us-east-1a/on-demand",
            "c5.large/us-east-1b/on-demand",
            "g4dn.xlarge/us-east-1a/on-demand",
            "m5.xlarge/us-east-1a/on-demand",
        ],
    );
    let told: Vec<(&str, i64, usize)> =
        found.iter().map(|(group, options, _)| (group.image_id.as_str(), group.max_pods, options.len())).collect();
    // m5.large and c5.large take 29 pods each, m5.xlarge takes 58
    assert_eq!(told, [("ami-amd", 29, 2), ("ami-arm", 29, 1), ("ami-gpu", 29, 1), ("ami-amd", 58, 1)]);
    assert_eq!(found[0].1, ["m5.large/us-east-1a/on-demand", "c5.large/us-east-1b/on-demand"]);
    let reserved = templates(&json!({}), &json!({}), &["m5.large/us-east-1a/cr-1", "m5.large/us-east-1b/cr-3"]);
    let targets: Vec<&CapacityReservation> =
        reserved.iter().map(|(_, _, of)| &of.content.capacity_reservation).collect();
    let only = |id: &str| CapacityReservation::Only(id.to_owned());
    assert_eq!(targets, [&only("cr-1"), &only("cr-3")]);
    let block = one(&json!({}), &json!({}), &["m5.large/us-east-1a/cr-2"]);
    assert_eq!(block.market, Some(Market::CapacityBlock));
}

#[test]
fn without_the_gate_open_reservations_are_used_as_they_come() {
    let class = class(&json!({}), &json!({}));
    let (types, template) = (types(&class), template(&class, &json!({})));
    let (kind, offering) = option(&types, SPOT);
    let found = groups(&template, &[(&types[kind], &types[kind].offerings[offering])]).unwrap();
    let mut cluster = cluster();
    cluster.reserved_capacity = false;
    let content = LaunchTemplate::of(&cluster, &template, &found[0].0).unwrap().content;
    assert_eq!(content.capacity_reservation, CapacityReservation::Open);
    cluster.region = "us-iso-east-1".into();
    assert_eq!(LaunchTemplate::of(&cluster, &template, &found[0].0).unwrap().content.metadata.ipv6, None);
}

#[test]
fn efa_gets_one_interface_on_each_card_and_the_class_may_name_its_own() {
    let wants = json!({"resources": {"requests": {"vpc.amazonaws.com/efa": "1"}}});
    let content = one(&json!({}), &wants, &["p4d.24xlarge/us-east-1a/on-demand"]);
    let places: Vec<_> = content.interfaces.iter().map(|of| (of.card.unwrap(), of.device, of.kind.unwrap())).collect();
    assert_eq!(places, [(0, 0, "efa"), (1, 1, "efa"), (2, 1, "efa"), (3, 1, "efa")]);
    assert_eq!(one(&json!({}), &json!({}), &["p4d.24xlarge/us-east-1a/on-demand"]).interfaces.len(), 1, "nobody asks");
    let own = json!({"connectionTracking": {"udpTimeout": 45}, "networkInterfaces": [
        {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"},
        {"networkCardIndex": 1, "deviceIndex": 1, "interfaceType": "efa-only"}]});
    let content = one(&own, &wants, &["p4d.24xlarge/us-east-1a/on-demand"]);
    let kinds: Vec<_> = content.interfaces.iter().map(|of| (of.kind, of.connection_tracking.is_some())).collect();
    assert_eq!(kinds, [(Some("interface"), true), (Some("efa-only"), false)]);
}

#[test]
fn ipv6_clusters_have_a_primary_address_of_it() {
    let class = class(&json!({"ipPrefixCount": 1}), &json!({}));
    let (types, template) = (types(&class), template(&class, &json!({})));
    let (kind, offering) = option(&types, SPOT);
    let found = groups(&template, &[(&types[kind], &types[kind].offerings[offering])]).unwrap();
    let mut cluster = cluster();
    cluster.dns = Some("fd00::a".into());
    let interface = &LaunchTemplate::of(&cluster, &template, &found[0].0).unwrap().content.interfaces[0];
    assert_eq!((interface.primary_ipv6, interface.ipv6_addresses), (Some(true), Some(1)));
    assert_eq!((interface.ipv4_prefixes, interface.ipv6_prefixes), (None, Some(1)));
}

#[test]
fn names_follow_the_content_alone() {
    let name = |spec: &Value, more: &Value| templates(spec, more, &[SPOT]).remove(0).2.name;
    let base = name(&json!({}), &json!({}));
    let number = base.strip_prefix("karpenter.k8s.aws/").unwrap();
    assert!(number.parse::<u64>().is_ok(), "{base}");
    assert_eq!(name(&json!({}), &json!({"resources": {"requests": {"cpu": "7"}}})), base, "pods do not count");
    assert_ne!(name(&json!({"detailedMonitoring": true}), &json!({})), base);
    assert_ne!(name(&json!({"userData": "x"}), &json!({})), base);
    assert_ne!(name(&json!({}), &json!({"taints": []})), base);
}

#[test]
fn without_an_image_for_any_type_the_class_is_to_blame() {
    let class = class(
        &json!({}),
        &json!({"amis": [
        {"id": "ami-arm", "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]}]}),
    );
    let types = types(&class);
    let (kind, offering) = option(&types, SPOT);
    let template = NodeTemplate::of(&claim(&json!({})), &class).unwrap();
    let error = groups(&template, &[(&types[kind], &types[kind].offerings[offering])]).unwrap_err();
    assert!(matches!(error, LaunchError::NodeClassNotReady(_)), "{error}");
}
