//! One requirement for each label key, and whether two such sets are compatible.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Requirement;
use crate::api::labels;
use crate::api::requirement::NodeSelectorRequirementWithMinValues;

/// Requirements by label key; keys are normalised ([`labels::normalize`]), one entry a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirements(BTreeMap<Arc<str>, Requirement>);

/// Whether keys that only the right-hand side names may be undefined on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undefined {
    /// A new node: well-known labels get their value at launch, so they may be undefined until then.
    AllowWellKnown,
    /// A node that exists: what it does not carry, it does not have.
    Refuse,
}

/// The first key, in key order, on which two sets of requirements cannot both hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub key: Arc<str>,
    pub wanted: Requirement,
    /// What the other side has under that key; `None` where it has nothing.
    pub offered: Option<Requirement>,
}

impl Requirements {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn from_labels<'a, K, V>(labels: impl IntoIterator<Item = (&'a K, &'a V)>) -> Self
    where
        K: AsRef<str> + 'a + ?Sized,
        V: AsRef<str> + 'a + ?Sized,
    {
        let mut set = Self::new();
        for (key, value) in labels {
            set.add(key.as_ref(), Requirement::one_of([value.as_ref()]));
        }
        set
    }

    /// As [`Self::from_labels`], without copying their text where the keys are written as usual.
    #[must_use]
    pub fn sharing_labels(labels: &BTreeMap<Arc<str>, Arc<str>>) -> Self {
        if labels.keys().any(|key| *labels::normalize(key) != **key) {
            return Self::from_labels(labels);
        }
        Self::from_distinct(labels.iter().map(|(key, value)| (key.clone(), Requirement::only(value.clone()))))
    }

    /// From keys that are normalised and distinct; quickest where they are sorted.
    pub(crate) fn from_distinct(entries: impl IntoIterator<Item = (Arc<str>, Requirement)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Adds a requirement, intersecting it with what the key already has.
    pub fn add(&mut self, key: &str, requirement: Requirement) {
        match self.0.get_mut(labels::normalize(key)) {
            Some(existing) => *existing = existing.intersection(&requirement),
            None => {
                self.0.insert(Arc::from(labels::normalize(key)), requirement);
            }
        }
    }

    /// Adds every requirement of `other`, intersecting key by key.
    pub fn add_all(&mut self, other: &Self) {
        for (key, requirement) in other {
            match self.0.get_mut(key) {
                Some(existing) => *existing = existing.intersection(requirement),
                None => {
                    self.0.insert(key.clone(), requirement.clone());
                }
            }
        }
    }

    /// Sets a key to exactly this requirement, forgetting what it had.
    pub fn replace(&mut self, key: &str, requirement: Requirement) {
        self.0.insert(Arc::from(labels::normalize(key)), requirement);
    }

    pub fn remove(&mut self, key: &str) -> Option<Requirement> {
        self.0.remove(labels::normalize(key))
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Requirement> {
        self.0.get(labels::normalize(key))
    }

    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn iter(&self) -> btree_map::Iter<'_, Arc<str>, Requirement> {
        self.0.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels that have exactly one value.
    pub fn single_values(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().filter_map(|(key, requirement)| requirement.single_value().map(|value| (key, value)))
    }

    /// The requirements as the API writes them: one entry for each operator that a key needs, in key order.
    #[must_use]
    pub fn to_entries(&self) -> Vec<NodeSelectorRequirementWithMinValues> {
        let entries = self.0.iter().flat_map(|(key, requirement)| {
            let min_values = requirement.min_values.map(i64::from);
            let entry = move |(operator, values)| NodeSelectorRequirementWithMinValues {
                key: key.to_string(),
                operator,
                values,
                min_values,
            };
            requirement.to_operators().into_iter().map(entry)
        });
        entries.collect()
    }

    /// karpenter's `Compatible`: every key that `wanted` names must exist here, unless `wanted` is satisfied by its
    /// absence or `undefined` allows it, and every shared key must have a value in common.
    ///
    /// # Errors
    /// The first conflict in key order.
    pub fn compatible(&self, wanted: &Self, undefined: Undefined) -> Result<(), Box<Conflict>> {
        let missing = wanted.0.iter().find(|(key, requirement)| {
            let defined_later = undefined == Undefined::AllowWellKnown && labels::is_well_known(key);
            !(self.0.contains_key(*key) || requirement.allows_absence() || defined_later)
        });
        match missing {
            Some((key, requirement)) => {
                Err(Box::new(Conflict { key: key.clone(), wanted: requirement.clone(), offered: None }))
            }
            None => self.intersects(wanted),
        }
    }

    /// karpenter's `Intersects`: only keys that both sides name are compared.
    ///
    /// # Errors
    /// The first conflict in key order.
    pub fn intersects(&self, wanted: &Self) -> Result<(), Box<Conflict>> {
        for (key, requirement) in wanted {
            if let Some(existing) = self.0.get(key)
                && !existing.intersects(requirement)
            {
                return Err(Box::new(Conflict {
                    key: key.clone(),
                    wanted: requirement.clone(),
                    offered: Some(existing.clone()),
                }));
            }
        }
        Ok(())
    }

    /// Whether a node that carries exactly these labels satisfies every requirement.
    #[must_use]
    pub fn satisfied_by<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(key, requirement)| match label(key) {
            Some(value) => requirement.allows(value),
            None => requirement.allows_absence(),
        })
    }
}

impl<'a> IntoIterator for &'a Requirements {
    type Item = (&'a Arc<str>, &'a Requirement);
    type IntoIter = btree_map::Iter<'a, Arc<str>, Requirement>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: AsRef<str>> FromIterator<(K, Requirement)> for Requirements {
    fn from_iter<I: IntoIterator<Item = (K, Requirement)>>(entries: I) -> Self {
        let mut set = Self::new();
        for (key, requirement) in entries {
            set.add(key.as_ref(), requirement);
        }
        set
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, requirement)) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{key} {requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.offered {
            Some(offered) => write!(f, "{} {} (offered: {offered})", self.key, self.wanted),
            None => write!(f, "{} {} (the label is not defined)", self.key, self.wanted),
        }
    }
}
