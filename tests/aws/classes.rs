//! What is looked up for node classes, and what is left of them.

use std::collections::BTreeSet;
use std::slice::from_ref;

use aws_sdk_ec2::types::{RequestLaunchTemplateData, ResourceType, Tag as Ec2Tag, TagSpecification};
use aws_sdk_iam::types::{InstanceProfile, Tag};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::Api;
use packwright::api::ec2_node_class::{EC2NodeClass, EC2NodeClassStatus};
use packwright::api::labels;
use packwright::api::node_claim::NodeClaim;
use packwright::aws::{Mode, tidy_profiles};
use packwright::cloud::ec2::ClusterFacts;
use serde_json::{Value, json};

use super::account::{Account, REGION, ROLE};
use super::policy;
use super::proxy::PARTITION;
use super::whole::{KUBERNETES, in_world};

#[test]
fn instance_profiles_of_an_earlier_role_go_and_those_in_use_stay() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let account = Account::new(KUBERNETES).await;
        let of_class = format!("/karpenter/{REGION}/test/class-uid/");
        let of_class = &*of_class;
        for (name, path) in
            [("current", of_class), ("before", of_class), ("earlier", of_class), ("used", of_class), ("mine", "/")]
        {
            let iam = &account.aws.iam;
            iam.create_instance_profile().instance_profile_name(name).path(path).send().await.unwrap();
            iam.add_role_to_instance_profile().instance_profile_name(name).role_name(ROLE).send().await.unwrap();
        }
        let read = |value: Value| serde_json::from_value::<EC2NodeClass>(value).unwrap();
        let class = read(json!({
            "metadata": {"name": "default", "uid": "class-uid"},
            "spec": {"role": "another", "subnetSelectorTerms": [], "securityGroupSelectorTerms": []},
            "status": {"instanceProfile": "current"},
        }));
        let claim: NodeClaim = serde_json::from_value(json!({
            "metadata": {"name": "claim", "annotations": {labels::INSTANCE_PROFILE_NAME: "used"}},
            "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}},
        }))
        .unwrap();
        let cluster = ClusterFacts { name: "test".into(), region: REGION.into(), ..ClusterFacts::default() };
        let aws = account.clients(Mode::Acts).await;
        let now = Timestamp::now();
        let tidy = async |at| tidy_profiles(&aws, &cluster, from_ref(&class), from_ref(&claim), at).await;
        assert_eq!(tidy(now).await, Ok(0), "they are young");
        let later = now + SignedDuration::from_hours(2);
        account.proxy.faults().forbidden.insert("DeleteInstanceProfile".to_owned());
        let refused = tidy(later).await.unwrap_err();
        assert!(["before", "earlier"].iter().all(|name| refused.contains(name)), "both were tried: {refused}");
        account.proxy.faults().forbidden.clear();
        assert_eq!(tidy(later).await, Ok(2));
        let left = account.aws.iam.list_instance_profiles().send().await.unwrap();
        let left: BTreeSet<&str> = left.instance_profiles().iter().map(InstanceProfile::instance_profile_name).collect();
        assert_eq!(left, BTreeSet::from(["current", "mine", "used"]));
        policy::allows(&account.proxy.calls());
    });
}

/// By the controller itself: it looks for profiles once it begins, and for launch templates after a minute.
#[test]
fn what_a_class_left_behind_goes() {
    in_world(async |world| {
        let account = &world.account;
        let aws = account.clients(Mode::Acts).await;
        let iam = aws.iam;
        let mut templates = Vec::new();
        for number in [1, 2] {
            let tags = [
                ("kubernetes.io/cluster/test", "owned"),
                ("eks:eks-cluster-name", "test"),
                ("karpenter.sh/nodepool", "default"),
                ("karpenter.k8s.aws/ec2nodeclass", "gone"),
            ];
            let tags = tags.map(|(key, value)| Ec2Tag::builder().key(key).value(value).build());
            let tags = TagSpecification::builder().set_tags(Some(tags.to_vec()));
            let call = aws.ec2.create_launch_template().launch_template_name(format!("karpenter.k8s.aws/{number}"));
            let call = call.tag_specifications(tags.resource_type(ResourceType::LaunchTemplate).build());
            let image = RequestLaunchTemplateData::builder().image_id("ami-1").build();
            let made = call.launch_template_data(image).send().await.unwrap();
            templates.push(made.launch_template().unwrap().launch_template_id().unwrap().to_owned());
        }
        account.proxy.faults().undeletable.insert(templates[0].clone());
        let tags = [
            ("kubernetes.io/cluster/test", "owned"),
            ("eks:eks-cluster-name", "test"),
            ("topology.kubernetes.io/region", REGION),
            ("karpenter.k8s.aws/ec2nodeclass", "gone"),
        ];
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build().unwrap());
        let path = format!("/karpenter/{REGION}/test/uid-of-a-class-that-is-gone/");
        let call = iam.create_instance_profile().instance_profile_name("left-behind").path(path);
        call.set_tags(Some(tags.to_vec())).send().await.unwrap();
        iam.add_role_to_instance_profile().instance_profile_name("left-behind").role_name(ROLE).send().await.unwrap();
        account.proxy.faults().old_profiles = true;
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world
            .until("the end of the profile that was left behind", async |_| {
                let left = account.aws.iam.list_instance_profiles().send().await.unwrap();
                let names: Vec<&str> =
                    left.instance_profiles().iter().map(InstanceProfile::instance_profile_name).collect();
                (names.len() == 1 && names[0].starts_with("test_")).then_some(())
            })
            .await;
        world.settled(5).await;
        world
            .until("the end of the launch template that may be deleted", async |_| {
                let there = account.aws.ec2.describe_launch_templates().send().await.unwrap();
                let ids: Vec<&str> = there.launch_templates().iter().filter_map(|of| of.launch_template_id()).collect();
                assert!(ids.contains(&&*templates[0]));
                (!ids.contains(&&*templates[1])).then_some(())
            })
            .await;
        world.clear().await;
    });
}

/// Of two ids EC2 refuses to say anything where one of them is gone.
#[test]
fn a_reservation_that_is_gone_takes_no_other_away() {
    in_world(async |world| {
        let account = &world.account;
        account.proxy.faults().reservations =
            [("cr-here".to_owned(), ("m5.large".to_owned(), format!("{REGION}a"), 0))].into();
        account.proxy.faults().placement_groups.insert("racks".to_owned(), ("pg-racks".to_owned(), 3));
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        let spec = r#"{"spec": {"placementGroupSelector": {"id": "pg-other"},
            "capacityReservationSelectorTerms": [{"id": "cr-gone"}, {"id": "cr-here"}]}}"#;
        let change =
            |spec: &str| world.cluster.kubectl(&["patch", "ec2nodeclass", "default", "--type=merge", "--patch", spec]);
        change(spec);
        let _controller = world.controller();
        let classes: Api<EC2NodeClass> = Api::all(world.client.clone());
        let status = async |what: &str, of: &str, wanted: &str| {
            world
                .until(what, async |_| {
                    let status = classes.get("default").await.unwrap().status?;
                    let is_it = |known: &&Condition| known.type_ == of && known.status == wanted;
                    status.conditions.iter().any(|known| is_it(&known)).then_some(status.clone())
                })
                .await
        };
        let found = status("a placement group that is not there", "PlacementGroupReady", "False").await;
        let ids = |of: &EC2NodeClassStatus| of.capacity_reservations.iter().map(|of| of.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found), ["cr-here"]);
        change(r#"{"spec": {"placementGroupSelector": {"name": "racks", "id": null}}}"#);
        let found = status("a class that is ready", "Ready", "True").await;
        assert_eq!(ids(&found), ["cr-here"]);
        world.clear().await;
    });
}

/// And the parameters of a version are asked for once.
#[test]
fn nodes_in_a_placement_group_say_which_partition_ec2_has_chosen() {
    in_world(async |world| {
        let account = &world.account;
        account.proxy.faults().placement_groups.insert("racks".to_owned(), ("pg-racks".to_owned(), 3));
        account.publish_version(KUBERNETES, "v20260101");
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started/node-class.yaml"]);
        let spec = r#"{"spec": {"placementGroupSelector": {"id": "pg-racks"}, "amiSelectorTerms": [{"alias": "al2023@v20260101"}]}}"#;
        world.cluster.kubectl(&["patch", "ec2nodeclass", "default", "--type=merge", "--patch", spec]);
        let (_joiner, _controller) = (world.joiner(), world.controller());
        for file in ["node-pool.yaml", "inflate.yaml"] {
            world.cluster.kubectl(&["apply", "-f", &format!("examples/getting-started/{file}")]); // the class stays as it is
        }
        world.settled(5).await;
        let partition = PARTITION.to_string();
        world
            .until("labels of the partition", async |seen| {
                let has = |node: &k8s_openapi::api::core::v1::Node| {
                    let of = node.labels();
                    of.get(labels::PLACEMENT_GROUP_ID).is_some_and(|id| id == "pg-racks")
                        && of.get(labels::PLACEMENT_GROUP_PARTITION) == Some(&partition)
                };
                (!seen.nodes.is_empty() && seen.nodes.iter().all(has)).then_some(())
            })
            .await;
        let profile = world.until("claims that name their profile", async |seen| {
            let named = seen.claims.iter().map(|claim| claim.annotations().get(labels::INSTANCE_PROFILE_NAME).cloned());
            named.collect::<Option<BTreeSet<String>>>()
        });
        assert!(profile.await.iter().all(|name| name.starts_with("test_")));
        assert_eq!(account.proxy.count("GetParameter"), 5);
        world.clear().await;
    });
}
