//! Many messages at once.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use super::account::Account;
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

#[test]
fn ten_thousand_messages_are_handled() {
    in_world(async |world| {
        let account = &world.account;
        let body = |number: usize| {
            match number % 10 {
            0 => "{\"detail\": 3".to_owned(),
            _ => json!({
                "version": "0", "source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification",
                "time": "2026-01-01T00:00:00Z", "detail": {"instance-id": format!("i-{number:017x}"), "state": "stopping"}
            })
            .to_string(),
        }
        };
        account.proxy.faults().queue = Some(((0..MESSAGES).map(body).collect(), BTreeMap::new()));
        let left = || {
            let faults = account.proxy.faults();
            faults.queue.as_ref().map_or(0, |(waiting, delivered)| waiting.len() + delivered.len())
        };
        let _controller = world.controller();
        let first = world
            .until("the first call", async |_| (account.proxy.count("ReceiveMessage") > 0).then(Instant::now))
            .await;
        world.until("an empty queue", async |_| (left() == 0).then_some(())).await;
        println!("{MESSAGES} messages, one in ten malformed: {:.1} s", first.elapsed().as_secs_f64());
    });
}
