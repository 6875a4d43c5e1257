//! The interruption queue: long polls, and messages that are deleted once nothing is left to do about them.
//!
//! Source: the reference's `interruption` controller (karpenter-aws 5): ten messages at a time, a wait of 20 s, metrics under its names.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message as SqsMessage, MessageSystemAttributeName};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use metrics::{Counter, counter, histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

use super::Leads;
use super::connect::Aws;
use super::instances::KnownInstances;
use super::told::{Teller, tell, tell_interruption};
use super::words::reason;
use crate::cloud::ec2::messages::{Message, parse};
use crate::cloud::{Answer, InterruptionKind};
use crate::controller::Event;

const MESSAGES: i32 = 10;
const WAIT_SECONDS: i32 = 20;
/// A message that is not deleted is delivered again after so long.
const VISIBILITY: Duration = Duration::from_secs(30);
/// An answer of the controller is waited for so long: before the message comes again.
const PATIENCE: Duration = Duration::from_secs(25);
/// Who polls at once: with 50 ms for an answer that is 1,600 messages a second; idle ones cost nothing.
const POLLERS: usize = 4;
/// Batches whose end is waited for.
const UNDER_WAY: usize = 200;
/// Labels of messages that nothing is done about: of those that cannot be read, and of those that are about nothing of ours.
const MALFORMED: &str = "malformed";
const NO_OP: &str = "no_op";
/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Reads the queue of a cluster.
pub(super) struct Queue {
    pub aws: Aws,
    /// `INTERRUPTION_QUEUE`.
    pub name: String,
    pub known: Arc<KnownInstances>,
    pub teller: Teller,
    pub leads: Leads,
}

impl Queue {
    /// Does not end.
    pub async fn run(self: Arc<Self>) {
        begin_counting();
        let url = loop {
            let said = match self.aws.sqs.get_queue_url().queue_name(&self.name).send().await {
                Ok(answer) => answer.queue_url.ok_or_else(|| "GetQueueUrl: expected a URL, found none".to_owned()),
                Err(error) => Err(reason("GetQueueUrl", &error)),
            };
            match said {
                Ok(url) => break url,
                Err(reason) => warn!(controller = "interruption", queue = self.name, "{reason}"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        info!(controller = "interruption", queue = self.name, "reading the interruption queue");
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        let pollers = (0..POLLERS).map(|_| self.clone().poll(url.clone(), under_way.clone()));
        futures::future::join_all(pollers).await;
    }

    async fn poll(self: Arc<Self>, url: String, under_way: Arc<Semaphore>) {
        loop {
            // nobody but the process that acts lists instances; before that it is not known which are ours
            self.known.complete().await;
            if !(self.leads)() {
                self.known.be_incomplete();
                continue;
            }
            let Ok(permit) = under_way.clone().acquire_owned().await else { return };
            let call = self.aws.sqs.receive_message().queue_url(&url).max_number_of_messages(MESSAGES);
            let call = call.wait_time_seconds(WAIT_SECONDS).visibility_timeout(seconds(VISIBILITY));
            match call.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send().await {
                Ok(answer) if answer.messages().is_empty() => {}
                // they come again, to the process that leads now
                Ok(_) if !(self.leads)() => {}
                Ok(answer) => {
                    let messages = answer.messages.unwrap_or_default();
                    tokio::spawn(self.clone().handle(url.clone(), messages, permit));
                }
                Err(error) => {
                    warn!(controller = "interruption", "{}", reason("ReceiveMessage", &error));
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Deletes those of which nothing is left to do, none waiting for another one; the others come again.
    async fn handle(self: Arc<Self>, url: String, messages: Vec<SqsMessage>, _permit: OwnedSemaphorePermit) {
        let each: FuturesUnordered<_> =
            messages.iter().map(async |message| self.is_done(message).await.then_some(message)).collect();
        // those that are done at the same time
        each.ready_chunks(messages.len())
            .for_each(async |done| self.delete(&url, done.into_iter().flatten()).await)
            .await;
    }

    async fn delete(&self, url: &str, done: impl Iterator<Item = &SqsMessage> + Clone) {
        let entry = |(number, message): (usize, &SqsMessage)| {
            let handle = message.receipt_handle()?;
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(handle).build().ok()
        };
        let entries: Vec<_> = done.clone().enumerate().filter_map(entry).collect();
        if entries.is_empty() {
            return;
        }
        match self.aws.sqs.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await {
            Ok(answer) => {
                let count = answer.successful().len() as u64;
                counter!("karpenter_interruption_deleted_messages_total").increment(count);
            }
            Err(error) => warn!(controller = "interruption", "{}", reason("DeleteMessageBatch", &error)),
        }
        for waited in done.filter_map(waited) {
            histogram!("karpenter_interruption_message_queue_duration_seconds").record(waited);
        }
    }

    /// Tells what a message says. Whether it can go.
    async fn is_done(&self, message: &SqsMessage) -> bool {
        let told = match parse(message.body().unwrap_or_default()) {
            Ok(told) => told,
            Err(error) => {
                counted(MALFORMED);
                warn!(controller = "interruption", "removing a message: {error}");
                return true;
            }
        };
        let Some(kind) = told.kind else {
            counted(NO_OP);
            return true;
        };
        counted(kind.label());
        let told = self.tell(kind, &told).into_iter().map(|heard| tokio::time::timeout(PATIENCE, heard));
        futures::future::join_all(told).await.iter().all(|heard| matches!(heard, Ok(Ok(()))))
    }

    /// Tells of the instances that are ours; whom to wait for.
    fn tell(&self, kind: InterruptionKind, told: &Message) -> Vec<tokio::sync::oneshot::Receiver<()>> {
        let ours = told.instances.iter().filter_map(|id| self.known.get(id));
        let mut waits = Vec::new();
        for instance in ours {
            let takes_capacity =
                matches!(kind, InterruptionKind::SpotInterrupted | InterruptionKind::CapacityReservationInterrupted);
            if takes_capacity {
                tell(&self.teller, Event::Cloud(Answer::Unavailable(vec![instance.offering.clone()])));
            }
            let heard = tell_interruption(&self.teller, instance.provider_id.clone(), kind);
            // of what is only said nobody has to wait for the end
            if kind.ends_claim() {
                debug!(
                    controller = "interruption",
                    messageKind = kind.label(),
                    "provider-id" = &*instance.provider_id,
                    "initiating delete from interruption message"
                );
                waits.push(heard);
            }
        }
        waits
    }
}

fn counted(kind: &'static str) {
    received(kind).increment(1);
}

fn received(kind: &'static str) -> Counter {
    counter!("karpenter_interruption_received_messages_total", "message_type" => kind)
}

/// Every series is there from the start: what a series is born with is no increase to Prometheus.
fn begin_counting() {
    let kinds = InterruptionKind::ALL.map(InterruptionKind::label);
    kinds.into_iter().chain([MALFORMED, NO_OP]).for_each(|kind| received(kind).increment(0));
}

fn seconds(of: Duration) -> i32 {
    i32::try_from(of.as_secs()).unwrap_or(i32::MAX)
}

/// How long a message was in the queue, seconds.
fn waited(message: &SqsMessage) -> Option<f64> {
    let sent = message.attributes()?.get(&MessageSystemAttributeName::SentTimestamp)?;
    let sent = UNIX_EPOCH + Duration::from_millis(sent.parse().ok()?);
    Some(SystemTime::now().duration_since(sent).unwrap_or_default().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::begin_counting;

    #[test]
    fn every_kind_of_message_has_a_series_before_the_first_message() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, begin_counting);
        let text = recorder.handle().render();
        for kind in ["spot_interrupted", "capacity_reservation_interrupted", "no_op", "malformed"] {
            let line = format!("karpenter_interruption_received_messages_total{{message_type=\"{kind}\"}} 0");
            assert!(text.contains(&line), "{line} of {text}");
        }
    }
}
