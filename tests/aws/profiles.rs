//! Instance profiles: those of users, for which the controller needs no right of IAM, and those of Karpenter's.

use std::fs;

use aws_sdk_iam::types::Tag;
use kube::api::Api;
use packwright::api::ec2_node_class::EC2NodeClass;
use packwright::aws::Mode;
use packwright::cloud::ec2::ClusterFacts;
use packwright::cloud::ec2::instance_profile::legacy_name;

use super::account::{REGION, ROLE};
use super::whole::in_world;

/// Every call of IAM that the controller makes.
const CALLS: [&str; 7] = [
    "GetInstanceProfile",
    "ListInstanceProfiles",
    "CreateInstanceProfile",
    "TagInstanceProfile",
    "AddRoleToInstanceProfile",
    "RemoveRoleFromInstanceProfile",
    "DeleteInstanceProfile",
];

#[test]
fn a_class_that_names_its_profile_needs_no_right_of_iam() {
    in_world(async |world| {
        let (account, cluster) = (&world.account, world.cluster);
        account.aws.iam.create_instance_profile().instance_profile_name("mine").send().await.unwrap();
        account.proxy.faults().forbidden = CALLS.map(str::to_owned).into();
        let class = fs::read_to_string("examples/getting-started/node-class.yaml").unwrap();
        let of_mine = class.replace("role: PackwrightNodeRole-my-cluster", "instanceProfile: mine");
        assert_ne!(class, of_mine);
        let file = cluster.folder.join("class-of-mine.yaml");
        fs::write(&file, of_mine).unwrap();
        cluster.kubectl(&["apply", "-f", file.to_str().unwrap()]);
        for file in ["node-pool.yaml", "inflate.yaml"] {
            cluster.kubectl(&["apply", "-f", &format!("examples/getting-started/{file}")]);
        }
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world.settled(5).await;
        let made = account.proxy.changes();
        let templates = made.iter().filter(|(query, _)| query.call().action == "CreateLaunchTemplate");
        let profiles: Vec<&str> =
            templates.map(|(query, _)| query.field("LaunchTemplateData.IamInstanceProfile.Name")).collect();
        assert!(!profiles.is_empty() && profiles.iter().all(|name| *name == "mine"), "{profiles:?}");
        account.aws.iam.delete_instance_profile().instance_profile_name("mine").send().await.unwrap();
        world.clear().await; // the class among all else
        assert_eq!(account.proxy.count("GetInstanceProfile"), 0);
    });
}

#[test]
fn a_profile_that_karpenter_made_before_they_had_paths_goes_with_its_class() {
    in_world(async |world| {
        let iam = world.account.clients(Mode::Acts).await.iam;
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        let classes: Api<EC2NodeClass> = Api::all(world.client.clone());
        let class = classes.get("default").await.unwrap();
        let cluster = ClusterFacts { name: "test".into(), region: REGION.into(), ..ClusterFacts::default() };
        let name = legacy_name(&cluster, &class);
        let tags = [
            ("kubernetes.io/cluster/test", "owned"),
            ("topology.kubernetes.io/region", REGION),
            ("eks:eks-cluster-name", "test"),
            ("karpenter.k8s.aws/ec2nodeclass", "default"),
        ];
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build().unwrap());
        iam.create_instance_profile().instance_profile_name(&name).set_tags(Some(tags.to_vec())).send().await.unwrap();
        iam.add_role_to_instance_profile().instance_profile_name(&name).role_name(ROLE).send().await.unwrap();
        let _controller = world.controller();
        world
            .until("a class with a profile of its own", async |_| {
                let status = classes.get("default").await.unwrap().status?;
                status.instance_profile.filter(|own| *own != name)
            })
            .await;
        world.clear().await; // no profile is left
    });
}
