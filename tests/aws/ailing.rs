//! Instances that are not well, as EC2 says.

use std::collections::BTreeSet;

use super::joiner::running;
use super::proxy::Ailment;
use super::whole::in_world;

/// They are looked at every minute.
#[test]
fn instances_that_are_impaired_or_to_be_retired_are_replaced() {
    in_world(async |world| {
        let (_joiner, _controller) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.stays_as_it_is();
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=35"]);
        world.settled(35).await;
        let logged = world.log().len();
        let aws = &world.account.aws;
        let ids: Vec<String> = running(aws).await.iter().filter_map(|of| of.instance_id().map(str::to_owned)).collect();
        let [impaired, of_late, retired, rebooted] = [0, 1, 2, 3].map(|number| ids[number].clone());
        world.account.proxy.faults().ailments = [
            (impaired.clone(), Ailment::Impaired),
            (of_late.clone(), Ailment::ImpairedOfLate),
            (retired.clone(), Ailment::Retirement),
            (rebooted.clone(), Ailment::RebootOver),
        ]
        .into();
        let there = async || -> BTreeSet<String> {
            running(aws).await.iter().filter_map(|of| of.instance_id().map(str::to_owned)).collect()
        };
        let what = "the end of the instances that are impaired or to be retired";
        world
            .until(what, async |_| {
                let there = there().await;
                (!there.contains(&impaired) && !there.contains(&retired)).then_some(())
            })
            .await;
        let there = there().await;
        assert!(there.contains(&of_late) && there.contains(&rebooted), "these are not, or not any more");
        world.settled(35).await;
        let log = world.log();
        let said = |id: &str, category: &str| {
            log[logged..]
                .lines()
                .any(|line| [id, category, "instance is unhealthy"].iter().all(|part| line.contains(part)))
        };
        assert!(said(&impaired, "InstanceStatus") && said(&retired, "EventStatus"));
        world.clear().await;
    });
}
