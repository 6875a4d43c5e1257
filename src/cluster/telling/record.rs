//! Events of Kubernetes, on the objects that they are about.
//!
//! Source: the reference's event reasons (karpenter-core 6.2).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::Instant;

use super::super::lease::Stand;
use crate::cloud::InterruptionKind;
use crate::controller::{GivenUp, Kept, Said, Subject, World};
use crate::observe::Protection;
use crate::observe::objects::KINDS;

/// The same is not said of an object again for so long.
const USUALLY: Duration = Duration::from_secs(2 * 60);
/// That a pod cannot be placed.
const FAILED_SCHEDULING: Duration = Duration::from_secs(5 * 60);

/// That a node is not consolidated.
const UNCONSOLIDATABLE: Duration = Duration::from_secs(15 * 60);

/// Where pods are to bind is said so often a second, and so many times at once, as the reference does: a thousand pods are a
/// thousand writes.
const NOMINATED: (u32, u32) = (5, 10);

/// With more of them, those that are over are forgotten.
const MANY: usize = 10_000;
/// More than these are not kept for an API server that takes none.
const WAITING: usize = 1_024;

pub(super) struct Events {
    sender: Sender<(Event, ObjectReference)>,
    /// By uid, reason and text, until when it is not said again.
    said: HashMap<(String, &'static str, String), Instant>,
    nominated: Bucket,
}

/// A token bucket.
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Whether one more may be said.
    fn take(&mut self, (a_second, at_once): (u32, u32), now: Instant) -> bool {
        let come = (now - self.at).as_secs_f64() * f64::from(a_second);
        (self.left, self.at) = ((self.left + come).min(f64::from(at_once)), now);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

/// What an event says.
struct Text {
    about: Subject,
    kind: EventType,
    reason: &'static str,
    note: String,
}

impl Events {
    pub fn start(client: Client, instance: String) -> Self {
        let (sender, mut queue) = channel::<(Event, ObjectReference)>(WAITING);
        let reporter = Reporter { controller: "packwright".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            while let Some((event, about)) = queue.recv().await {
                if let Err(error) = recorder.publish(&event, &about).await {
                    tracing::debug!(controller = "events", "an event was not taken: {error}");
                }
            }
        });
        let nominated = Bucket { left: f64::from(NOMINATED.1), at: Instant::now() };
        Self { sender, said: HashMap::new(), nominated }
    }

    pub fn record(&mut self, said: &Said, world: &World) {
        let now = Instant::now();
        if self.said.len() > MANY {
            self.said.retain(|_, until| *until > now);
        }
        for text in texts(said) {
            self.publish(text, world, now);
        }
    }

    fn publish(&mut self, Text { about, kind, reason, note }: Text, world: &World, now: Instant) {
        let Some(meta) = world.objects().metadata(about.kind, &about.key) else { return };
        let Some(known) = KINDS.iter().find(|known| known.name == about.kind) else { return };
        let uid = meta.uid.clone().unwrap_or_default();
        let silence = match reason {
            "FailedScheduling" => FAILED_SCHEDULING,
            "Unconsolidatable" => UNCONSOLIDATABLE,
            _ => USUALLY,
        };
        let until = self.said.entry((uid, reason, note.clone())).or_insert(now);
        if *until > now || (reason == "Nominated" && !self.nominated.take(NOMINATED, now)) {
            return;
        }
        *until = now + silence;
        let reference = ObjectReference {
            api_version: Some(known.api_version()),
            kind: Some(about.kind.to_owned()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note),
            action: reason.to_owned(),
            secondary: None,
        };
        let _ = self.sender.try_send((event, reference)); // one event less
    }
}

impl Events {
    /// On the Lease: whoever looks for the reason why nothing is done finds it there.
    pub fn record_stand(&self, stand: &Stand) {
        let Stand::Conflict { holder, namespace, name } = stand else { return };
        let about = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(name.clone()),
            namespace: Some(namespace.clone()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Warning,
            reason: "AnotherProvisioner".to_owned(),
            note: Some(format!("{holder} holds this lease, so Packwright does nothing")),
            action: "Waiting".to_owned(),
            secondary: None,
        };
        let _ = self.sender.try_send((event, about)); // one event less
    }
}

/// Reason and note as the reference has them.
fn interruption(kind: InterruptionKind) -> (&'static str, &'static str) {
    match kind {
        InterruptionKind::SpotInterrupted => ("SpotInterrupted", "Spot interruption warning was triggered"),
        InterruptionKind::RebalanceRecommendation => {
            ("SpotRebalanceRecommendation", "Spot rebalance recommendation was triggered")
        }
        InterruptionKind::ScheduledChange | InterruptionKind::InstanceImpaired => {
            ("InstanceUnhealthy", "An unhealthy warning was triggered for the instance")
        }
        InterruptionKind::InstanceStopped => ("InstanceStopping", "Instance is stopping"),
        InterruptionKind::InstanceTerminated => ("InstanceTerminating", "Instance is terminating"),
        InterruptionKind::CapacityReservationInterrupted => {
            ("CapacityReservationInterrupted", "The capacity reservation takes its instance back")
        }
    }
}

/// What the cloud does to an instance is said of its claim and of its node, each with what becomes of it.
fn texts(said: &Said) -> Vec<Text> {
    let (claim, node, kind) = match said {
        Said::Interrupted { claim, node, kind, .. } => (claim, node, *kind),
        Said::RebalanceRecommended { claim, node } => (claim, node, InterruptionKind::RebalanceRecommendation),
        _ => return text(said).into_iter().collect(),
    };
    let node = node.iter().map(|node| Subject::of_cluster("Node", node));
    let told = |about: Subject| {
        let (reason, note) = interruption(kind);
        if !kind.ends_claim() {
            return vec![Text { about, kind: EventType::Normal, reason, note: note.to_owned() }];
        }
        let ends = format!("Interruption triggered termination for the {}", about.kind);
        let warning = |reason, note| Text { about: about.clone(), kind: EventType::Warning, reason, note };
        vec![warning(reason, note.to_owned()), warning("TerminatingOnInterruption", ends)]
    };
    node.chain([Subject::of_cluster("NodeClaim", claim)]).flat_map(told).collect()
}

fn text(said: &Said) -> Option<Text> {
    let of_claim = |claim: &Arc<str>| Subject::of_cluster("NodeClaim", claim);
    let normal = |about: Subject, reason, note: String| Some(Text { about, kind: EventType::Normal, reason, note });
    let warning = |about: Subject, reason, note: String| Some(Text { about, kind: EventType::Warning, reason, note });
    let transition =
        |of: &str| format!("Status condition transitioned, Type: {of}, Status: Unknown -> True, Reason: {of}");
    match said {
        Said::FailedScheduling { pod, reason } => {
            warning(pod.clone(), "FailedScheduling", format!("Failed to schedule pod, {reason}"))
        }
        Said::Nominated { pod, target } => {
            let kind = target.kind.to_lowercase();
            normal(pod.clone(), "Nominated", format!("Pod should schedule on: {kind}/{}", target.key.name))
        }
        Said::Launched { claim, .. } => normal(of_claim(claim), "Launched", transition("Launched")),
        Said::Registered { claim, .. } => normal(of_claim(claim), "Registered", transition("Registered")),
        Said::Initialized { claim, .. } => normal(of_claim(claim), "Initialized", transition("Initialized")),
        Said::GaveUp { claim, why: GivenUp::InsufficientCapacity, reason } => {
            warning(of_claim(claim), "InsufficientCapacityError", format!("NodeClaim {claim} event: {reason}"))
        }
        Said::GaveUp { claim, why: GivenUp::NodeClassNotReady, reason } => {
            warning(of_claim(claim), "NodeClassNotReady", format!("NodeClaim {claim} event: {reason}"))
        }
        Said::LaunchFailed { claim, reason } | Said::GaveUp { claim, reason, .. } => {
            warning(of_claim(claim), "LaunchFailed", reason.clone())
        }
        Said::Disrupting { claim, reason } => {
            normal(of_claim(claim), "DisruptionTerminating", format!("Disrupting NodeClaim: {reason}"))
        }
        Said::Replacing { claim, method, .. } => {
            let note = format!("Launching NodeClaim: {}", method.label_of_reason());
            normal(of_claim(claim), "DisruptionLaunching", note)
        }
        Said::AwaitingReplacement { claim } => {
            let note = "Waiting on readiness to continue disruption".to_owned();
            normal(of_claim(claim), "DisruptionWaitingReadiness", note)
        }
        Said::NotReplaced { claim, .. } => warning(of_claim(claim), "DisruptionFailed", said.to_string()),
        Said::RepairBlocked { node, why } => {
            warning(Subject::of_cluster("Node", node), "NodeRepairBlocked", why.clone())
        }
        Said::Kept { about, kind, why } => {
            let (reason, what) = match kind {
                Kept::DisruptionBlocked => ("DisruptionBlocked", "disrupt"),
                Kept::Unconsolidatable => ("Unconsolidatable", "consolidate"),
            };
            normal(about.clone(), reason, format!("Cannot {what} {}: {why}", about.kind))
        }
        Said::UnregisteredTaintMissing { claim } => {
            warning(of_claim(claim), "UnregisteredTaintMissing", said.to_string())
        }
        Said::Inconsistent { claim, reason } => warning(of_claim(claim), "FailedConsistencyCheck", reason.clone()),
        Said::GracePeriodExpiring { claim, .. } => {
            warning(of_claim(claim), "TerminationGracePeriodExpiring", said.to_string())
        }
        Said::AwaitingVolumes { node } => {
            normal(Subject::of_cluster("Node", node), "AwaitingVolumeDetachment", said.to_string())
        }
        Said::Evicting { pod } => normal(pod.clone(), "Evicted", "Evicted pod: its node goes".to_owned()),
        Said::Deleting { pod, .. } => normal(pod.clone(), "Disrupted", said.to_string()),
        Said::Protected { pod, how: Protection::Until(_) } => {
            normal(pod.clone(), "DoNotDisruptUntil", said.to_string())
        }
        Said::Protected { pod, how: Protection::Elapsed(_) } => {
            normal(pod.clone(), "DoNotDisruptGracePeriodElapsed", said.to_string())
        }
        Said::Protected { pod, how: Protection::Invalid(_) } => {
            warning(pod.clone(), "InvalidDoNotDisruptAnnotation", said.to_string())
        }
        Said::ZonalShift { pool, zone, id, is_active } => {
            let about = Subject::of_cluster("NodePool", pool);
            if *is_active {
                let note =
                    format!("Zonal shift detected: offerings in zone {zone} ({id}) are unavailable for this NodePool");
                warning(about, "ZonalShiftActive", note)
            } else {
                let note =
                    format!("Zonal shift cleared: offerings in zone {zone} ({id}) are restored for this NodePool");
                normal(about, "ZonalShiftCleared", note)
            }
        }
        Said::NoCompatibleTypes { pool } => {
            warning(Subject::of_cluster("NodePool", pool), "NoCompatibleInstanceTypes", said.to_string())
        }
        Said::EvictionDelayed { pod, node, reason } => {
            let node = node.as_ref().map(|node| Subject::of_cluster("Node", node));
            let note = format!("Failed to drain node: {pod}: {reason}");
            warning(node.unwrap_or_else(|| pod.clone()), "FailedDraining", note)
        }
        Said::HeldBack { pool, .. } => warning(Subject::of_cluster("NodePool", pool), "LimitReached", said.to_string()),
        Said::NotGuaranteed(loss) => warning(of_claim(&loss.claim), "PlacementNotGuaranteed", loss.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cloud_does_is_said_of_the_node_and_of_the_claim() {
        let said = |said: &Said| -> Vec<String> {
            texts(said).into_iter().map(|text| format!("{} {} {:?}", text.about, text.reason, text.kind)).collect()
        };
        let interrupted = |node: Option<&str>| Said::Interrupted {
            claim: "c".into(),
            node: node.map(Into::into),
            provider_id: "aws:///a/i-1".into(),
            kind: InterruptionKind::SpotInterrupted,
        };
        assert_eq!(
            said(&interrupted(Some("n"))),
            [
                "Node n SpotInterrupted Warning",
                "Node n TerminatingOnInterruption Warning",
                "NodeClaim c SpotInterrupted Warning",
                "NodeClaim c TerminatingOnInterruption Warning",
            ]
        );
        assert_eq!(said(&interrupted(None)).len(), 2, "there is no node yet");
        let recommended = Said::RebalanceRecommended { claim: "c".into(), node: Some("n".into()) };
        let only = ["Node n SpotRebalanceRecommendation Normal", "NodeClaim c SpotRebalanceRecommendation Normal"];
        assert_eq!(said(&recommended), only, "nothing is done");
    }

    #[test]
    fn nominations_come_ten_at_once_and_five_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket { left: f64::from(NOMINATED.1), at: start };
        let mut said = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..100).filter(|_| bucket.take(NOMINATED, now)).count()
        };
        assert_eq!([said(0), said(100), said(300), said(1_300), said(60_000)], [10, 0, 1, 5, 10]);
    }
}
