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
        let mut key = Self { name, domains: Vec::new(), names: Vec::new() };
        let mut by_value: HashMap<&'a str, usize> = HashMap::new();
        let mut by_shape: Vec<Option<Vec<Option<usize>>>> = vec![None; cluster.shapes.len()];
        for slot in &cluster.slots {
            let mut found: BTreeSet<Option<usize>> = BTreeSet::new();
            let mut own: Option<usize> = None;
            for &shape in &slot.shapes {
                let values = by_shape[shape].get_or_insert_with(|| {
                    let mut domain = |value: &'a str| {
                        *by_value.entry(value).or_insert_with(|| {
                            key.names.push(value);
                            key.names.len() - 1
                        })
                    };
                    match cluster.shapes[shape].label(name) {
                        Known::Absent => vec![None],
                        Known::Value(value) => vec![Some(domain(value))],
                        Known::OneOf(values) => values.iter().map(|value| Some(domain(value))).collect(),
                        // a domain that no other slot has; of a label that nothing is known of it may be absent too
                        Known::Fresh | Known::Unknown => Vec::new(),
                    }
                });
                if values.is_empty() {
                    let own = *own.get_or_insert_with(|| {
                        key.names.push(slot.name);
                        key.names.len() - 1
                    });
                    let is_there = cluster.shapes[shape].label(name) == Known::Fresh;
                    found.extend([Some(own), None].into_iter().take(if is_there { 1 } else { 2 }));
                } else {
                    found.extend(values.iter().copied());
                }
            }
            key.domains.push(Domain::from_values(&found));
        }
        key
    }
}

impl Domain {
    fn from_values(values: &BTreeSet<Option<usize>>) -> Self {
        let domains: Vec<usize> = values.iter().copied().flatten().collect();
        match (domains.as_slice(), values.contains(&None)) {
            ([], _) => Self::Absent,
            ([domain], false) => Self::At(*domain),
            (_, absent) => Self::Open { domains, absent },
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
