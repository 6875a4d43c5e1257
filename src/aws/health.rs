//! Instances that EC2 says are impaired, or for which maintenance is scheduled: asked every minute, with or without a queue.
//!
//! Source: the reference's `interruption.instancestatus` (karpenter-aws 5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::types::{EventCode, InstanceStatus, InstanceStatusSummary, SummaryStatus};
use metrics::counter;
use tracing::{info, warn};

use super::Leads;
use super::connect::Aws;
use super::instances::KnownInstances;
use super::told::{Teller, tell_interruption};
use super::words::{error, named};
use crate::cloud::InterruptionKind;
use crate::cloud::ec2::errors::AwsError;

const EVERY: Duration = Duration::from_secs(60);
/// As many ids as a call takes.
const MOST_IDS: usize = 100;
/// With these an event begins that is over.
const DONE: [&str; 2] = ["[Completed]", "[Canceled]"];
/// Those of the reference.
const CODES: [EventCode; 5] = [
    EventCode::InstanceReboot,
    EventCode::InstanceRetirement,
    EventCode::InstanceStop,
    EventCode::SystemMaintenance,
    EventCode::SystemReboot,
];
/// A check must have failed for so long.
const IMPAIRED_FOR: Duration = Duration::from_secs(120);

/// Id and category of instances that are not well.
type Counted = BTreeSet<(String, &'static str)>;

/// Each is counted once, as the reference does: not again as long as every look finds it.
struct Counting {
    before: Counted,
    now: Counted,
}

impl Counting {
    /// Whether it is to be counted.
    fn note(&mut self, id: &str, category: &'static str) -> bool {
        let found = (id.to_owned(), category);
        let is_new = !self.before.contains(&found);
        self.now.insert(found) && is_new
    }
}

/// Does not end, unless the right is missing.
pub(super) async fn watch(aws: Aws, known: Arc<KnownInstances>, teller: Teller, leads: Leads) {
    let mut before = Counted::new();
    loop {
        tokio::time::sleep(EVERY).await;
        if !leads() {
            continue;
        }
        let mut counted = Counting { before: std::mem::take(&mut before), now: Counted::new() };
        for ids in known.ids().chunks(MOST_IDS) {
            match look(&aws, ids.to_vec(), (&known, &mut counted), &teller).await {
                Ok(()) => {}
                Err(error) if error.code == "UnauthorizedOperation" => {
                    warn!(
                        controller = "interruption.instancestatus",
                        "the right ec2:DescribeInstanceStatus is missing"
                    );
                    return;
                }
                Err(error) => warn!(controller = "interruption.instancestatus", "DescribeInstanceStatus: {error}"),
            }
        }
        before = counted.now;
    }
}

/// Tells of those that are to go. Where some are not there, EC2 refuses the call: the others are asked for again.
async fn look(
    aws: &Aws,
    mut ids: Vec<String>,
    (known, counted): (&KnownInstances, &mut Counting),
    teller: &Teller,
) -> Result<(), AwsError> {
    while !ids.is_empty() {
        let call = aws.ec2.describe_instance_status().set_instance_ids(Some(ids.clone()));
        let mut pages = call.into_paginator().items().send();
        let refusal = loop {
            match pages.try_next().await {
                Ok(Some(status)) => tell(&status, known, counted, teller),
                Ok(None) => return Ok(()),
                Err(failed) => break error("DescribeInstanceStatus", &failed),
            }
        };
        let gone = named(&ids, &refusal.message);
        if refusal.code != "InvalidInstanceID.NotFound" || gone.is_empty() {
            return Err(refusal);
        }
        ids.retain(|id| !gone.contains(id));
    }
    Ok(())
}

fn tell(status: &InstanceStatus, known: &KnownInstances, counted: &mut Counting, teller: &Teller) {
    let Some((category, kind)) = unhealthy(status) else { return };
    let Some(id) = status.instance_id() else { return };
    let Some(instance) = known.get(id) else { return };
    if counted.note(id, category) {
        counter!("karpenter_interruption_instance_status_unhealthy_total", "category" => category).increment(1);
    }
    info!(
        controller = "interruption.instancestatus",
        category,
        "provider-id" = &*instance.provider_id,
        "instance is unhealthy"
    );
    // it is told again in a minute: nobody has to wait
    drop(tell_interruption(teller, instance.provider_id, kind));
}

/// Why an instance is to go, if it is, and how.
fn unhealthy(status: &InstanceStatus) -> Option<(&'static str, InterruptionKind)> {
    let is_impaired = |of: Option<&InstanceStatusSummary>| {
        of.is_some_and(|of| {
            let since = of.details().iter().filter_map(|detail| detail.impaired_since()?.to_millis().ok()).min();
            of.status() == Some(&SummaryStatus::Impaired) && since.is_some_and(is_long_ago)
        })
    };
    if is_impaired(status.instance_status()) {
        return Some(("InstanceStatus", InterruptionKind::InstanceImpaired));
    }
    if is_impaired(status.system_status()) {
        return Some(("SystemStatus", InterruptionKind::InstanceImpaired));
    }
    let mut events = status.events().iter().filter(|event| {
        let text = event.description().unwrap_or_default();
        let is_known = event.code().is_some_and(|code| CODES.contains(code));
        is_known && !DONE.iter().any(|done| text.starts_with(done))
    });
    events.next().map(|_| ("EventStatus", InterruptionKind::ScheduledChange))
}

fn is_long_ago(millis: i64) -> bool {
    let now = jiff::Timestamp::now().as_millisecond();
    Duration::from_millis(u64::try_from(now - millis).unwrap_or(0)) >= IMPAIRED_FOR
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::primitives::DateTime;
    use aws_sdk_ec2::types::{InstanceStatusDetails, InstanceStatusEvent};

    use super::*;

    fn impaired_since(seconds: i64) -> InstanceStatusSummary {
        let since = DateTime::from_secs(jiff::Timestamp::now().as_second() - seconds);
        let detail = InstanceStatusDetails::builder().impaired_since(since).build();
        InstanceStatusSummary::builder().status(SummaryStatus::Impaired).details(detail).build()
    }

    #[test]
    fn an_instance_is_counted_once_for_as_long_as_it_is_not_well() {
        let mut counting = Counting { before: Counted::new(), now: Counted::new() };
        assert!(counting.note("i-1", "InstanceStatus"));
        assert!(counting.note("i-1", "SystemStatus"), "another category");
        let mut next = Counting { before: counting.now, now: Counted::new() };
        assert!(!next.note("i-1", "InstanceStatus"));
        let mut last = Counting { before: Counted::new(), now: Counted::new() };
        assert!(last.note("i-1", "InstanceStatus"), "it was well in between");
    }

    #[test]
    fn what_is_impaired_for_long_goes_at_once_and_what_is_to_be_maintained_is_drained() {
        let instance = |seconds| InstanceStatus::builder().instance_status(impaired_since(seconds)).build();
        assert_eq!(unhealthy(&instance(30)), None);
        assert_eq!(unhealthy(&instance(300)), Some(("InstanceStatus", InterruptionKind::InstanceImpaired)));
        let system = InstanceStatus::builder().system_status(impaired_since(300)).build();
        assert_eq!(unhealthy(&system), Some(("SystemStatus", InterruptionKind::InstanceImpaired)));
        let event = |code: EventCode, text: &str| {
            let event = InstanceStatusEvent::builder().code(code).description(text).build();
            unhealthy(&InstanceStatus::builder().events(event).build())
        };
        let drained = Some(("EventStatus", InterruptionKind::ScheduledChange));
        assert_eq!(event(EventCode::InstanceRetirement, "The instance is running on degraded hardware"), drained);
        assert_eq!(event(EventCode::InstanceRetirement, "[Completed] It was"), None);
        assert_eq!(event(EventCode::from("something-new"), ""), None);
    }
}
