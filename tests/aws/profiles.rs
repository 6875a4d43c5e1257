//! Instance profiles: those of users, for which the controller needs no right of IAM.

use std::fs;

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
