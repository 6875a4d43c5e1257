//! Domains: for each topology key, which of its values every slot has.
//!
//! A launch whose offers differ in a key is open there: its domain is decided by the cloud. The hostname of a launch is a
//! domain of its own, whatever it is called.

use std::collections::{BTreeSet, HashMap};

use super::cluster::Cluster;
use super::shape::Known;
use super::violation::{Report, Rule, Violation};

/// The domain of one slot under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Domain {
    /// The node lacks the key.
    Absent,
    At(usize),
    /// One of these, or perhaps none (`absent`).
    Open {
        domains: Vec<usize>,
        absent: bool,
    },
}

/// One topology key.
pub(super) struct Key<'a> {
    pub name: &'a str,
    /// By slot.
    pub domains: Vec<Domain>,
    /// Names of the domains; of a launch's hostname the launch.
    pub names: Vec<&'a str>,
}

/// Topology keys by index, made when first asked for.
#[derive(Default)]
pub(super) struct Keys<'a> {
    index: HashMap<&'a str, usize>,
    pub all: Vec<Key<'a>>,
}

impl<'a> Keys<'a> {
    pub(super) fn intern(&mut self, name: &'a str, cluster: &Cluster<'a>) -> usize {
        if let Some(&key) = self.index.get(name) {
            return key;
        }
        self.all.push(Key::survey(name, cluster));
        self.index.insert(name, self.all.len() - 1);
        self.all.len() - 1
    }
}

impl<'a> Key<'a> {
    fn survey(name: &'a str, cluster: &Cluster<'a>) -> Self {
        let mut key = Self { name, domains: Vec::with_capacity(cluster.slots.len()), names: Vec::new() };
        let mut by_value: HashMap<&'a str, usize> = HashMap::new();
        let mut by_kind: Vec<Option<OfKind>> = Vec::new();
        by_kind.resize_with(cluster.kinds, || None);
        for slot in &cluster.slots {
            let of_kind = by_kind[slot.kind].get_or_insert_with(|| {
                let labels = slot.shapes.iter().map(|&shape| cluster.shapes[shape].label(name));
                OfKind::survey(labels, |value| {
                    *by_value.entry(value).or_insert_with(|| {
                        key.names.push(value);
                        key.names.len() - 1
                    })
                })
            });
            let domain = if of_kind.has_own {
                key.names.push(slot.name);
                Domain::from_values(of_kind.domains.iter().copied().chain([key.names.len() - 1]), of_kind.absent)
            } else {
                Domain::from_values(of_kind.domains.iter().copied(), of_kind.absent)
            };
            key.domains.push(domain);
        }
        key
    }
}

/// What the slots of a kind have in common under a key.
#[derive(Default)]
struct OfKind {
    domains: BTreeSet<usize>,
    /// Some shape may lack the key.
    absent: bool,
    /// Some shape is in a domain that no other slot has.
    has_own: bool,
}

impl OfKind {
    fn survey<'a>(labels: impl Iterator<Item = Known<'a>>, mut domain: impl FnMut(&'a str) -> usize) -> Self {
        let mut all = Self::default();
        for label in labels {
            match label {
                Known::Absent => all.absent = true,
                Known::Value(value) => drop(all.domains.insert(domain(value))),
                Known::OneOf(values) => all.domains.extend(values.iter().map(|value| domain(value))),
                Known::Fresh => all.has_own = true,
                // nothing is known of it: it may be absent too
                Known::Unknown => (all.has_own, all.absent) = (true, true),
            }
        }
        all
    }
}

impl Domain {
    /// `absent`: the slot may have none of them.
    fn from_values(mut values: impl Iterator<Item = usize>, absent: bool) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(domain), None) if !absent => Self::At(domain),
            (Some(first), second) => {
                Self::Open { domains: [first].into_iter().chain(second).chain(values).collect(), absent }
            }
        }
    }

    /// Every domain that the slot may be in.
    pub(super) fn possible(&self) -> &[usize] {
        match self {
            Self::Absent => &[],
            Self::At(domain) => std::slice::from_ref(domain),
            Self::Open { domains, .. } => domains,
        }
    }
}

/// The launches whose open keys have been reported, so that each is reported once.
#[derive(Default)]
pub(super) struct OpenDomains(BTreeSet<(usize, usize)>);

impl OpenDomains {
    /// Reports that a pod of this slot is touched by a key that the launch leaves open.
    pub(super) fn report(&mut self, slot: usize, key: usize, keys: &Keys<'_>, cluster: &Cluster<'_>, to: &mut Report) {
        if self.0.insert((slot, key)) {
            let key = &keys.all[key];
            let names: Vec<&str> = key.domains[slot].possible().iter().map(|&domain| key.names[domain]).collect();
            let text = format!(
                "a constraint on {} touches the launch's pods, and its offers leave it open: {}",
                key.name,
                names.join(", ")
            );
            to.push(Violation::new(Rule::OpenDomain, text).node(cluster.slots[slot].name));
        }
    }
}
