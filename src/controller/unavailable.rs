//! Offerings that could not be had a moment ago: they are neither asked for nor planned on for a while.
//!
//! Source: the reference's cache of unavailable offerings. A process that does not know of them is told again by the cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::turn::later;
use crate::catalog::InstanceType;
use crate::cloud::OfferingName;
use crate::observe::snapshot::NodePool;

/// For so long.
const AVOIDED: Duration = Duration::from_secs(3 * 60);
/// What is reserved is paid for, and free as soon as an instance there ends: the cloud says each minute how much is.
const RESERVED_AVOIDED: Duration = Duration::from_secs(60);

/// Until when.
#[derive(Debug, Default)]
pub(super) struct Unavailable(BTreeMap<OfferingName, Timestamp>);

impl Unavailable {
    pub fn note(&mut self, offerings: &[OfferingName], now: Timestamp) {
        let until =
            |name: &OfferingName| later(now, if name.reservation.is_some() { RESERVED_AVOIDED } else { AVOIDED });
        self.0.extend(offerings.iter().map(|name| (name.clone(), until(name))));
    }

    pub fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, until| *until > now);
    }

    pub fn names(&self) -> BTreeSet<OfferingName> {
        self.0.keys().cloned().collect()
    }
}

/// Takes them off what pools can launch.
pub(super) fn mark(names: &BTreeSet<OfferingName>, pools: &mut [NodePool]) {
    for pool in pools {
        mark_types(names, &pool.node_class.name, &mut pool.instance_types);
    }
}

/// Takes those that concern a node class off a list of its types, which is sorted by name.
pub(super) fn mark_types(names: &BTreeSet<OfferingName>, class: &str, types: &mut Arc<Vec<InstanceType>>) {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for name in names.iter().filter(|name| name.concerns(class)) {
        let Ok(kind) = types.binary_search_by(|kind| kind.name.cmp(&name.instance_type)) else { continue };
        let mut offerings = types[kind].offerings.iter();
        let is_meant = |offering: &_| name.is_of(&types[kind], offering);
        found.extend(offerings.position(is_meant).map(|offering| (kind, offering)));
    }
    if found.is_empty() {
        return;
    }
    let types = Arc::make_mut(types);
    for (kind, offering) in found {
        types[kind].offerings[offering].available = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CapacityType, kwok};

    fn name(class: Option<&str>) -> OfferingName {
        OfferingName {
            instance_type: "c-1x-amd64-linux".into(),
            zone: "test-zone-b".into(),
            capacity_type: CapacityType::Spot,
            reservation: None,
            class: class.map(Arc::from),
        }
    }

    /// What a class cannot have.
    fn gone(names: &BTreeSet<OfferingName>, class: &str) -> Vec<OfferingName> {
        let mut types = Arc::new(kwok::instance_types());
        mark_types(names, class, &mut types);
        let gone = |kind: &InstanceType| kind.offerings.iter().filter(|of| !of.available).cloned().collect::<Vec<_>>();
        types.iter().flat_map(|kind| gone(kind).into_iter().map(|of| OfferingName::of(kind, &of))).collect()
    }

    #[test]
    fn what_one_class_cannot_have_is_left_to_others() {
        let (now, mut unavailable) = (Timestamp::UNIX_EPOCH, Unavailable::default());
        unavailable.note(&[name(Some("narrow"))], now);
        assert_eq!(gone(&unavailable.names(), "narrow"), [name(None)]);
        assert_eq!(gone(&unavailable.names(), "wide"), []);
        unavailable.note(&[name(None)], now);
        assert_eq!(gone(&unavailable.names(), "wide"), [name(None)], "nobody can have it");
    }

    #[test]
    fn a_reservation_that_was_full_is_asked_for_again_after_a_minute() {
        let (now, mut unavailable) = (Timestamp::UNIX_EPOCH, Unavailable::default());
        let reserved =
            OfferingName { capacity_type: CapacityType::Reserved, reservation: Some("cr-1".into()), ..name(None) };
        unavailable.note(&[reserved.clone(), name(None)], now);
        unavailable.forget(now + Duration::from_secs(59));
        assert!(unavailable.names().contains(&reserved));
        unavailable.forget(now + Duration::from_secs(60));
        assert_eq!(unavailable.names(), BTreeSet::from([name(None)]));
    }

    #[test]
    fn an_offering_is_avoided_for_three_minutes_and_no_other_is() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut unavailable = Unavailable::default();
        unavailable.note(&[name(None)], now);
        assert_eq!(gone(&unavailable.names(), "default"), [name(None)]);
        unavailable.forget(now + AVOIDED - Duration::from_secs(1));
        assert_eq!(unavailable.names().len(), 1);
        unavailable.forget(now + AVOIDED);
        assert!(unavailable.names().is_empty());
    }
}
