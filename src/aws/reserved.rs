//! What is free of the capacity reservations that classes select: as EC2 has said last, less what launches have taken since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::catalog::node_class::ReservationFacts;

/// One count for each reservation, whichever classes select it.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    /// By id.
    all: BTreeMap<Arc<str>, Known>,
    /// The ids that a class selects, by its name.
    selected: BTreeMap<String, BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
struct Known {
    facts: ReservationFacts,
    /// What was asked before says nothing new: when it was asked for, or when a launch has taken of it.
    as_of: Instant,
}

impl Reserved {
    /// What EC2 has answered for a class, and when it was asked. Whether anything has changed.
    pub fn learn(&mut self, class: &str, asked: Instant, found: Vec<ReservationFacts>) -> bool {
        let ids: BTreeSet<Arc<str>> = found.iter().map(|of| of.id.clone()).collect();
        let mut has_changed = false;
        for facts in found {
            match self.all.get_mut(&facts.id) {
                Some(known) if known.as_of > asked => {}
                Some(known) => {
                    has_changed |= known.facts != facts;
                    *known = Known { facts, as_of: asked };
                }
                None => {
                    has_changed = true;
                    self.all.insert(facts.id.clone(), Known { facts, as_of: asked });
                }
            }
        }
        self.selected.insert(class.to_owned(), ids);
        self.forget_unselected() || has_changed
    }

    /// The class is gone. Whether anything has changed.
    pub fn forget(&mut self, class: &str) -> bool {
        self.selected.remove(class).is_some() && self.forget_unselected()
    }

    fn forget_unselected(&mut self) -> bool {
        let before = self.all.len();
        self.all.retain(|id, _| self.selected.values().any(|ids| ids.contains(id)));
        self.all.len() != before
    }

    /// Launches that were answered now have taken so much, by id: it is not free any more, before EC2 is asked again.
    pub fn take(&mut self, taken: &BTreeMap<Arc<str>, u32>, now: Instant) {
        for (id, count) in taken {
            if let Some(known) = self.all.get_mut(id) {
                known.facts.free = known.facts.free.saturating_sub(*count);
                known.as_of = now;
            }
        }
    }

    /// All that classes select.
    pub fn facts(&self) -> impl Iterator<Item = &ReservationFacts> {
        self.all.values().map(|known| &known.facts)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reservation(id: &str, free: u32) -> ReservationFacts {
        ReservationFacts {
            id: id.into(),
            zone: "a".into(),
            instance_type: "m5.large".into(),
            kind: "default".into(),
            interruptible: false,
            free,
        }
    }

    fn free(reserved: &Reserved) -> Vec<(&str, u32)> {
        reserved.facts().map(|of| (&*of.id, of.free)).collect()
    }

    #[test]
    fn what_launches_have_taken_is_free_again_once_ec2_was_asked_and_says_so() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut reserved = Reserved::default();
        let first = || vec![reservation("cr-1", 3), reservation("cr-2", 1)];
        assert!(reserved.learn("a", at(0), first()));
        assert!(!reserved.learn("a", at(0), first()), "the class was looked at, but EC2 was not asked");
        reserved.take(&BTreeMap::from([("cr-1".into(), 2), ("cr-2".into(), 2), ("cr-3".into(), 1)]), at(10));
        assert_eq!(free(&reserved), [("cr-1", 1), ("cr-2", 0)]);
        assert!(!reserved.learn("a", at(0), first()), "the answer of before the launch");
        assert!(!reserved.learn("a", at(9), first()), "it was asked before the launch was answered");
        assert_eq!(free(&reserved), [("cr-1", 1), ("cr-2", 0)]);
        assert!(reserved.learn("a", at(11), first()));
        assert_eq!(free(&reserved), [("cr-1", 3), ("cr-2", 1)]);
    }

    #[test]
    fn of_classes_that_select_one_reservation_the_last_answer_counts() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut reserved = Reserved::default();
        reserved.learn("z", at(0), vec![reservation("cr-1", 3)]);
        reserved.learn("a", at(1), vec![reservation("cr-1", 2)]);
        assert!(!reserved.learn("z", at(0), vec![reservation("cr-1", 3)]));
        assert_eq!(free(&reserved), [("cr-1", 2)]);
    }

    #[test]
    fn what_no_class_selects_any_more_is_forgotten() {
        let now = Instant::now();
        let mut reserved = Reserved::default();
        reserved.learn("a", now, vec![reservation("cr-1", 3)]);
        reserved.learn("z", now, vec![reservation("cr-1", 3), reservation("cr-2", 1)]);
        assert!(reserved.forget("z"));
        assert_eq!(free(&reserved), [("cr-1", 3)], "another class selects it");
        assert!(!reserved.forget("z"));
        assert!(reserved.learn("a", now, Vec::new()));
        assert_eq!(free(&reserved), []);
    }
}
