//! Messages of the interruption queue: events of EventBridge, as SQS hands them over.
//!
//! Source: karpenter-provider-aws `pkg/controllers/interruption/messages` (karpenter-aws 5).

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cloud::InterruptionKind as Kind;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What happens to the instances; `None`: nothing that concerns nodes.
    pub kind: Option<Kind>,
    /// `i-...`, each once.
    pub instances: Vec<String>,
    /// The capacity reservation that takes its instances back.
    pub reservation: Option<String>,
    /// When EventBridge was told.
    pub at: Timestamp,
}

/// Why a body is no message; such a message is counted, and removed from the queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is not an event of EventBridge.
    #[error("found no event of EventBridge: {0}")]
    Malformed(String),
    /// It is one that concerns nodes, and says not which.
    #[error("{detail_type}: {reason}")]
    Detail {
        /// Of the event.
        detail_type: String,
        /// What is missing.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Event {
    #[serde(default)]
    version: String,
    source: String,
    detail_type: String,
    time: Timestamp,
    #[serde(default)]
    detail: Map<String, Value>,
}

/// Reads the body of a message.
///
/// # Errors
/// It is not JSON of an event, or an event about instances without their ids.
pub fn parse(body: &str) -> Result<Message, MessageError> {
    let event: Event = serde_json::from_str(body).map_err(|error| MessageError::Malformed(error.to_string()))?;
    let nothing = || Message { kind: None, instances: Vec::new(), reservation: None, at: event.time };
    if event.version != "0" {
        return Ok(nothing());
    }
    let detail = &event.detail;
    let one = |kind| -> Result<Message, MessageError> {
        let id = text(detail, "instance-id").ok_or_else(|| event.lacks("detail.instance-id, the id of an instance"))?;
        let reservation = text(detail, "capacity-reservation-id").map(str::to_owned);
        Ok(Message { kind: Some(kind), instances: vec![id.to_owned()], reservation, at: event.time })
    };
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning") => one(Kind::SpotInterrupted),
        ("aws.ec2", "EC2 Instance Rebalance Recommendation") => one(Kind::RebalanceRecommendation),
        ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning") => {
            one(Kind::CapacityReservationInterrupted)
        }
        ("aws.ec2", "EC2 Instance State-change Notification") => {
            let state = text(detail, "state").ok_or_else(|| event.lacks("detail.state, the state of an instance"))?;
            match state.to_ascii_lowercase().as_str() {
                "stopping" | "stopped" => one(Kind::InstanceStopped),
                "shutting-down" | "terminated" => one(Kind::InstanceTerminated),
                _ => Ok(nothing()),
            }
        }
        ("aws.health", "AWS Health Event") => {
            let is = |key: &str, value: &str| text(detail, key) == Some(value);
            if !is("service", "EC2") || !is("eventTypeCategory", "scheduledChange") {
                return Ok(nothing());
            }
            let entities = detail.get("affectedEntities").and_then(Value::as_array);
            let entities = entities.ok_or_else(|| event.lacks("detail.affectedEntities, a list"))?;
            let ids = entities.iter().filter_map(|entity| entity.get("entityValue")?.as_str());
            let mut instances: Vec<String> = ids.filter(|id| id.starts_with("i-")).map(str::to_owned).collect();
            instances.sort();
            instances.dedup();
            Ok(Message { kind: Some(Kind::ScheduledChange), instances, reservation: None, at: event.time })
        }
        _ => Ok(nothing()),
    }
}

impl Event {
    fn lacks(&self, what: &str) -> MessageError {
        MessageError::Detail { detail_type: self.detail_type.clone(), reason: format!("expected {what}, found none") }
    }
}

fn text<'d>(detail: &'d Map<String, Value>, key: &str) -> Option<&'d str> {
    detail.get(key)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(source: &str, detail_type: &str, detail: &Value) -> String {
        json!({
            "version": "0", "id": "1", "account": "123456789012", "region": "us-east-1", "time": "2026-01-02T03:04:05Z",
            "source": source, "detail-type": detail_type, "resources": [], "detail": detail
        })
        .to_string()
    }

    #[test]
    fn each_kind_of_the_reference_is_read() {
        let id = "i-0123456789abcdef0";
        for (source, detail_type, detail, kind) in [
            (
                "aws.ec2",
                "EC2 Spot Instance Interruption Warning",
                json!({"instance-id": id, "instance-action": "terminate"}),
                Some(Kind::SpotInterrupted),
            ),
            (
                "aws.ec2",
                "EC2 Instance Rebalance Recommendation",
                json!({"instance-id": id}),
                Some(Kind::RebalanceRecommendation),
            ),
            (
                "aws.ec2",
                "EC2 Instance State-change Notification",
                json!({"instance-id": id, "state": "stopping"}),
                Some(Kind::InstanceStopped),
            ),
            (
                "aws.ec2",
                "EC2 Instance State-change Notification",
                json!({"instance-id": id, "state": "shutting-down"}),
                Some(Kind::InstanceTerminated),
            ),
            ("aws.ec2", "EC2 Instance State-change Notification", json!({"instance-id": id, "state": "running"}), None),
            (
                "aws.ec2",
                "EC2 Capacity Reservation Instance Interruption Warning",
                json!({"instance-id": id, "capacity-reservation-id": "cr-1"}),
                Some(Kind::CapacityReservationInterrupted),
            ),
            (
                "aws.health",
                "AWS Health Event",
                json!({"service": "EC2", "eventTypeCategory": "scheduledChange", "affectedEntities": [{"entityValue": id}, {"entityValue": id}]}),
                Some(Kind::ScheduledChange),
            ),
            ("aws.health", "AWS Health Event", json!({"service": "EC2", "eventTypeCategory": "issue"}), None),
            ("aws.ec2", "EC2 Fleet Progress", json!({}), None),
            ("aws.s3", "EC2 Spot Instance Interruption Warning", json!({"instance-id": id}), None),
        ] {
            let message = parse(&event(source, detail_type, &detail)).unwrap();
            assert_eq!(message.kind, kind, "{detail_type} {detail}");
            assert_eq!(message.instances, kind.map(|_| id.to_owned()).into_iter().collect::<Vec<_>>(), "{detail_type}");
            assert_eq!(message.at.to_string(), "2026-01-02T03:04:05Z");
        }
    }

    #[test]
    fn what_is_malformed_says_why() {
        for body in ["", "{}", "[1]", "null", r#"{"source": "aws.ec2"}"#, "\u{0}"] {
            assert!(matches!(parse(body), Err(MessageError::Malformed(_))), "{body}");
        }
        let error = parse(&event("aws.ec2", "EC2 Spot Instance Interruption Warning", &json!({}))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "EC2 Spot Instance Interruption Warning: expected detail.instance-id, the id of an instance, found none"
        );
        let other_version =
            event("aws.ec2", "EC2 Spot Instance Interruption Warning", &json!({})).replace("\"0\"", "\"1\"");
        assert_eq!(parse(&other_version).unwrap().kind, None);
    }
}
