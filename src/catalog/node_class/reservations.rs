//! Capacity reservations: what `aws ec2 describe-capacity-reservations` prints, and which of them a node class may use.
//!
//! The status of a node class names its reservations without saying how many instances are free; the file says that.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::ReservationFacts;
use crate::api::ec2_node_class::{
    CapacityReservation, CapacityReservationSelectorTerm, EC2NodeClass, InstanceMatchCriteria, ReservationState,
    ReservationType,
};
use crate::api::reading;

/// The active reservations of a file, or those that an account has told of, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reservations {
    all: BTreeMap<Arc<str>, Recorded>,
    /// They are what classes have selected in an account: which class has which its status says, and nothing else.
    are_selected: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Recorded {
    facts: ReservationFacts,
    owner_id: String,
    criteria: InstanceMatchCriteria,
    tags: BTreeMap<String, String>,
}

/// Why a file gives no reservations; each says what was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationFileError {
    #[error("not JSON (line {line}, column {column}): expected the JSON of 'aws ec2 describe-capacity-reservations'")]
    Json { line: usize, column: usize },
    #[error(
        "no capacity reservations: expected the JSON of 'aws ec2 describe-capacity-reservations', an object with the \
         list CapacityReservations"
    )]
    Shape,
    #[error("CapacityReservations[{index}]: {reason}")]
    Entry { index: usize, reason: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    capacity_reservation_id: String,
    #[serde(default)]
    owner_id: String,
    instance_type: String,
    availability_zone: String,
    available_instance_count: u32,
    state: String,
    #[serde(default = "open")]
    instance_match_criteria: InstanceMatchCriteria,
    #[serde(default)]
    reservation_type: ReservationType,
    #[serde(default)]
    interruptible: bool,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

fn open() -> InstanceMatchCriteria {
    InstanceMatchCriteria::Open
}

impl Reservations {
    /// Reads the JSON of `aws ec2 describe-capacity-reservations`. Only active reservations count.
    ///
    /// # Errors
    /// The text is not JSON, has no list of reservations, or one of them lacks a field.
    pub fn parse(text: &str) -> Result<Self, ReservationFileError> {
        let mut document: Value = serde_json::from_str(text)
            .map_err(|error| ReservationFileError::Json { line: error.line(), column: error.column() })?;
        let list = match &mut document {
            Value::Object(fields) => fields.get_mut("CapacityReservations").map(Value::take),
            Value::Array(_) => Some(document.take()),
            _ => None,
        };
        let Some(Value::Array(entries)) = list else { return Err(ReservationFileError::Shape) };
        let mut reservations = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let entry = reading::read::<Entry>(entry)
                .map_err(|error| ReservationFileError::Entry { index, reason: error.to_string() })?
                .object;
            if entry.state == "active" {
                let recorded = Recorded::of(entry);
                reservations.insert(recorded.facts.id.clone(), recorded);
            }
        }
        Ok(Self { all: reservations, are_selected: false })
    }

    /// As an account says of those that classes have selected already: the status of a class names them.
    #[must_use]
    pub fn of_account(facts: impl IntoIterator<Item = ReservationFacts>) -> Self {
        let recorded = |facts: ReservationFacts| {
            let criteria = InstanceMatchCriteria::Targeted;
            (facts.id.clone(), Recorded { facts, owner_id: String::new(), criteria, tags: BTreeMap::new() })
        };
        Self { all: facts.into_iter().map(recorded).collect(), are_selected: true }
    }

    /// All of them, by id.
    #[must_use]
    pub fn facts(&self) -> Vec<ReservationFacts> {
        self.all.values().map(|recorded| recorded.facts.clone()).collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Recorded {
    fn of(entry: Entry) -> Self {
        Self {
            facts: ReservationFacts {
                id: Arc::from(entry.capacity_reservation_id),
                zone: Arc::from(entry.availability_zone),
                instance_type: Arc::from(entry.instance_type),
                kind: label(entry.reservation_type),
                interruptible: entry.interruptible,
                free: entry.available_instance_count,
            },
            owner_id: entry.owner_id,
            criteria: entry.instance_match_criteria,
            tags: entry.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        }
    }

    /// Whether every field that the term sets matches; the tag value `*` matches any.
    fn matches(&self, term: &CapacityReservationSelectorTerm) -> bool {
        term.id.as_ref().is_none_or(|id| **id == *self.facts.id)
            && term.owner_id.as_ref().is_none_or(|owner| *owner == self.owner_id)
            && term.instance_match_criteria.is_none_or(|criteria| criteria == self.criteria)
            && term
                .tags
                .iter()
                .all(|(key, wanted)| self.tags.get(key).is_some_and(|own| wanted == "*" || wanted == own))
    }
}

/// The reservations that a node class may launch into, by id: those of its status, or before a controller has written
/// one those of a file that its terms select; and in one sentence what is missing, if something is.
#[must_use]
pub fn of_class(class: &EC2NodeClass, known: Option<&Reservations>) -> (Vec<ReservationFacts>, Option<String>) {
    let of_status = class.status.as_ref().map_or(&[][..], |status| &status.capacity_reservations);
    let terms = &class.spec.capacity_reservation_selector_terms;
    let Some(known) = known else {
        let missing = (!of_status.is_empty() || !terms.is_empty()).then(|| {
            "its capacity reservations are not used, because it is not known how many instances are free; \
             --capacity-reservations says it"
                .to_owned()
        });
        return (Vec::new(), missing);
    };
    if of_status.is_empty() && known.are_selected {
        return (Vec::new(), None);
    }
    if of_status.is_empty() {
        let selected = known.all.values().filter(|recorded| terms.iter().any(|term| recorded.matches(term)));
        return (selected.map(|recorded| recorded.facts.clone()).collect(), None);
    }
    let mut unknown = Vec::new();
    let mut found = Vec::new();
    for reservation in of_status.iter().filter(|reservation| reservation.state == ReservationState::Active) {
        match known.all.get(reservation.id.as_str()) {
            Some(recorded) => found.push(facts_of(reservation, recorded.facts.free)),
            None => unknown.push(reservation.id.as_str()),
        }
    }
    let missing =
        (!unknown.is_empty()).then(|| format!("not among the active capacity reservations: {}", unknown.join(", ")));
    (found, missing)
}

fn facts_of(reservation: &CapacityReservation, free: u32) -> ReservationFacts {
    ReservationFacts {
        id: Arc::from(reservation.id.as_str()),
        zone: Arc::from(reservation.availability_zone.as_str()),
        instance_type: Arc::from(reservation.instance_type.as_str()),
        kind: label(reservation.reservation_type),
        interruptible: reservation.interruptible,
        free,
    }
}

fn label(kind: ReservationType) -> Arc<str> {
    Arc::from(match kind {
        ReservationType::Default => "default",
        ReservationType::CapacityBlock => "capacity-block",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Reservations {
        let entry = |id: &str, state: &str, owner: &str, tags: Value| {
            json!({"CapacityReservationId": id, "OwnerId": owner, "InstanceType": "m5.large", "State": state,
                "AvailabilityZone": "us-east-1a", "TotalInstanceCount": 9, "AvailableInstanceCount": 3,
                "InstanceMatchCriteria": "targeted", "Tags": tags})
        };
        let list = json!({"CapacityReservations": [
            entry("cr-1", "active", "111111111111", json!([{"Key": "team", "Value": "a"}])),
            entry("cr-2", "active", "222222222222", json!([{"Key": "team", "Value": "b"}])),
            entry("cr-3", "expired", "111111111111", json!([])),
        ]});
        Reservations::parse(&list.to_string()).unwrap()
    }

    fn class(terms: &Value, status: &Value) -> EC2NodeClass {
        serde_json::from_value(json!({"metadata": {"name": "c"}, "status": {"capacityReservations": status}, "spec": {
            "subnetSelectorTerms": [], "securityGroupSelectorTerms": [], "capacityReservationSelectorTerms": terms}}))
        .unwrap()
    }

    fn ids(class: &EC2NodeClass) -> (String, Option<String>) {
        let (found, missing) = of_class(class, Some(&file()));
        (found.iter().map(|facts| facts.id.to_string()).collect::<Vec<_>>().join(" "), missing)
    }

    #[test]
    fn terms_select_by_id_owner_tags_and_criteria() {
        for (terms, expected) in [
            (json!([{"id": "cr-2"}]), "cr-2"),
            (json!([{"id": "cr-3"}]), ""),
            (json!([{"tags": {"team": "*"}}]), "cr-1 cr-2"),
            (json!([{"tags": {"team": "a"}}]), "cr-1"),
            (json!([{"tags": {"team": "*"}, "ownerID": "222222222222"}]), "cr-2"),
            (json!([{"instanceMatchCriteria": "open"}]), ""),
            (json!([{"instanceMatchCriteria": "targeted"}, {"id": "cr-1"}]), "cr-1 cr-2"),
            (json!([]), ""),
        ] {
            assert_eq!(ids(&class(&terms, &json!([]))), (expected.to_owned(), None), "{terms}");
        }
    }

    #[test]
    fn the_status_says_which_and_the_file_how_many() {
        let of = |id: &str, state: &str| {
            json!({"id": id, "availabilityZone": "us-east-1b", "instanceType": "m5.large", "ownerID": "111111111111",
                "instanceMatchCriteria": "open", "reservationType": "capacity-block", "state": state})
        };
        let class = class(
            &json!([{"id": "cr-2"}]),
            &json!([of("cr-1", "active"), of("cr-2", "expiring"), of("cr-9", "active")]),
        );
        let missing = "not among the active capacity reservations: cr-9".to_owned();
        assert_eq!(ids(&class), ("cr-1".to_owned(), Some(missing)));
        let (found, _) = of_class(&class, Some(&file()));
        assert_eq!((found[0].free, &*found[0].zone, &*found[0].kind), (3, "us-east-1b", "capacity-block"));
        let (found, missing) = of_class(&class, None);
        assert!(found.is_empty() && missing.unwrap().contains("--capacity-reservations"));
    }

    /// What an account tells of has no owner, tags or criteria: other classes have selected it.
    #[test]
    fn in_an_account_a_class_has_what_its_status_names() {
        let of_account = Reservations::of_account(file().facts());
        let of = |terms: &Value, status: &Value| -> Vec<String> {
            let (found, missing) = of_class(&class(terms, status), Some(&of_account));
            assert_eq!(missing, None);
            found.iter().map(|facts| facts.id.to_string()).collect()
        };
        let named = json!([{"id": "cr-1", "availabilityZone": "us-east-1b", "instanceType": "m5.large",
            "ownerID": "111111111111", "instanceMatchCriteria": "targeted", "reservationType": "default", "state": "active"}]);
        let nothing: [&str; 0] = [];
        for terms in [json!([{"instanceMatchCriteria": "targeted"}]), json!([{"id": "cr-2"}])] {
            assert_eq!(of(&terms, &json!([])), nothing, "{terms}");
            assert_eq!(of(&terms, &named), ["cr-1"], "{terms}");
        }
    }

    #[test]
    fn other_documents_are_refused() {
        assert_eq!(Reservations::parse("{}"), Err(ReservationFileError::Shape));
        assert_eq!(Reservations::parse("cr-1"), Err(ReservationFileError::Json { line: 1, column: 1 }));
        let error = Reservations::parse(r#"[{"CapacityReservationId": "cr-1"}]"#).unwrap_err().to_string();
        assert_eq!(error, "CapacityReservations[0]: InstanceType: expected a value, found nothing");
        assert!(Reservations::parse("[]").unwrap().is_empty());
    }
}
