//! Rights that are missing, and a shadow, which needs none but to read.

use kube::api::Api;
use packwright::api::ec2_node_class::EC2NodeClass;
use packwright::api::node_pool::NodePool;
use packwright::aws::calls::only_reads;

use super::whole::{World, in_world};

/// Status, reason and message of a condition of the class of the exercise.
async fn condition(world: &World<'_>, name: &str) -> Option<(String, String, String)> {
    let class = Api::<EC2NodeClass>::all(world.client.clone()).get_opt("default").await.unwrap()?;
    let found = class.status?.conditions.into_iter().find(|of| of.type_ == name)?;
    Some((found.status, found.reason, found.message))
}

#[test]
fn a_class_names_the_right_that_is_missing() {
    in_world(async |world| {
        let forbid = |actions: &[&str]| {
            world.account.proxy.faults().forbidden = actions.iter().map(|action| (*action).to_owned()).collect();
        };
        let until = async |name: &str, status: &str| {
            let what = format!("{name}={status}");
            world.until(&what, async |_| condition(world, name).await.filter(|(found, ..)| found == status)).await
        };
        // a change of the spec is looked at at once
        let change = |tag: &str| {
            let patch = format!(r#"{{"spec": {{"tags": {{"try": "{tag}"}}}}}}"#);
            world.cluster.kubectl(&["patch", "ec2nodeclass", "default", "--type=merge", "--patch", &patch]);
        };
        forbid(&["RunInstances"]);
        let _controller = world.controller();
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        let (_, reason, message) = until("ValidationSucceeded", "False").await;
        assert_eq!(reason, "RunInstancesAuthCheckFailed");
        assert!(message.contains("ec2:RunInstances"), "{message}");
        until("Ready", "False").await;

        // a fleet is tried with a launch template that is there: the policy asks for its tags
        forbid(&["CreateFleet"]);
        change("fleet");
        let what = "a condition that says that fleets may not be made";
        world
            .until(what, async |_| {
                let (status, reason, _) = condition(world, "ValidationSucceeded").await?;
                (status == "False" && reason == "CreateFleetAuthCheckFailed").then_some(())
            })
            .await;
        let made = world.account.proxy.changes();
        let fleets = made.iter().filter(|(query, _)| query.call().action == "CreateFleet").count();
        assert!(
            fleets > 0 && world.account.proxy.count("CreateFleet") == 0,
            "only dry runs, the first of which went well"
        );

        forbid(&["DescribeSubnets"]);
        change("subnets");
        let what = "a condition that says that subnets may not be looked up";
        world
            .until(what, async |_| {
                let (status, _, message) = condition(world, "SubnetsReady").await?;
                (status != "True" && message.contains("DescribeSubnets: UnauthorizedOperation")).then_some(())
            })
            .await;

        forbid(&[]);
        change("nothing");
        until("Ready", "True").await;
        world.clear().await;
    });
}

#[test]
fn a_shadow_decides_and_only_asks() {
    in_world(async |world| {
        let first = world.controller();
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=0"]);
        // a shadow looks up no classes and says nothing of pools
        world
            .until("a pool that is ready", async |_| {
                let pool = Api::<NodePool>::all(world.client.clone()).get("default").await.unwrap();
                let mut conditions = pool.status.iter().flat_map(|status| &status.conditions);
                conditions.any(|of| of.type_ == "Ready" && of.status == "True").then_some(())
            })
            .await;
        first.kill();
        let (calls, logged) = (world.account.proxy.calls().len(), world.log().len());
        let shadow = world.shadow();
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=5"]);
        let seen = world
            .until("what it would do", async |seen| {
                let log = world.log();
                let has_decided = log[logged..].lines().any(|line| line.contains("would create nodeclaim"));
                let has_prices = world.account.proxy.calls()[calls..].iter().any(|call| call.action == "GetProducts");
                (has_decided && has_prices).then_some(seen)
            })
            .await;
        assert!(seen.claims.is_empty(), "it creates none");
        let changing: Vec<_> =
            world.account.proxy.calls().into_iter().skip(calls).filter(|call| !only_reads(&call.action)).collect();
        assert_eq!(changing, []);
        shadow.kill();
        let _third = world.controller();
        world.clear().await;
    });
}
