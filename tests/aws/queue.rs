//! Many messages at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use super::account::Account;
use super::joiner::running;
use super::whole::in_world;

const MESSAGES: usize = 10_000;

/// Messages that are in the queue, delivered or not.
pub async fn left(account: &Account) -> usize {
    let call = account.aws.sqs.get_queue_attributes().queue_url(&account.queue_url);
    let answer = call.attribute_names(QueueAttributeName::All).send().await.unwrap();
    let attributes = answer.attributes().unwrap();
    let number = |name| attributes.get(&name).map_or(0, |text: &String| text.parse::<usize>().unwrap());
    number(QueueAttributeName::ApproximateNumberOfMessages)
        + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
}

/// One in ten is malformed. The others are about instances that the controller has: every other one of these is interrupted, again and
/// again, and the rest is only told that it might be.
#[test]
fn ten_thousand_messages_are_handled_and_each_interrupted_instance_is_replaced() {
    in_world(async |world| {
        let account = &world.account;
        let (_joiner, first) = (world.joiner(), world.controller());
        world.cluster.kubectl(&["apply", "-f", "examples/getting-started"]);
        world.stays_as_it_is();
        world.cluster.kubectl(&["scale", "deployment", "inflate", "--replicas=45"]);
        world.settled(45).await;
        first.kill();
        let there = async || -> BTreeSet<String> {
            running(&account.aws).await.iter().filter_map(|of| of.instance_id().map(str::to_owned)).collect()
        };
        let ids: Vec<String> = there().await.into_iter().collect();
        let (interrupted, warned): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(number, _)| number % 2 == 0);
        let body = |number: usize| {
            let of = (number / 10) % ids.len();
            let (kind, more) = match number % 10 {
                0 => return "{\"detail\": 3".to_owned(),
                _ if of % 2 == 1 => ("EC2 Instance Rebalance Recommendation", json!({})),
                1..=5 => ("EC2 Spot Instance Interruption Warning", json!({"instance-action": "terminate"})),
                _ => ("EC2 Instance State-change Notification", json!({"state": "stopping"})),
            };
            let mut detail = json!({"instance-id": ids[of]});
            detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let message = json!({"version": "0", "source": "aws.ec2", "detail-type": kind, "time": "2026-01-01T00:00:00Z", "detail": detail});
            message.to_string()
        };
        account.proxy.faults().queue = Some(((0..MESSAGES).map(body).collect(), BTreeMap::new()));
        let left = || {
            let faults = account.proxy.faults();
            faults.queue.as_ref().map_or(0, |(waiting, delivered)| waiting.len() + delivered.len())
        };
        let before = account.proxy.count("ReceiveMessage");
        let _second = world.controller();
        let began = world
            .until("the first call", async |_| (account.proxy.count("ReceiveMessage") > before).then(Instant::now))
            .await;
        world.until("an empty queue", async |_| (left() == 0).then_some(())).await;
        println!("{MESSAGES} messages about {} instances: {:.1} s", ids.len(), began.elapsed().as_secs_f64());
        world
            .until("the end of what was interrupted", async |_| {
                let there = there().await;
                interrupted.iter().all(|(_, id)| !there.contains(*id)).then_some(())
            })
            .await;
        account.proxy.faults().queue = None; // an empty one would answer at once, again and again
        world.settled(45).await;
        let there = there().await;
        assert!(warned.iter().all(|(_, id)| there.contains(*id)), "what was only warned stays");
        let ended = account.proxy.changes();
        let ended = ended.iter().filter(|(query, _)| query.call().action == "TerminateInstances");
        let ended: BTreeSet<&String> =
            ended.flat_map(|(query, _)| query.fields.values()).filter(|of| of.starts_with("i-")).collect();
        assert_eq!(ended, interrupted.iter().map(|(_, id)| *id).collect(), "these were ended, and no others");
        world.clear().await;
    });
}
