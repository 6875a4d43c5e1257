//! Requirement algebra: what values a label may take, intersected and compared.
//!
//! Follows karpenter's `pkg/scheduling` (requirements.go): a requirement is a set of label values or the complement of
//! one, with optional integer bounds and `minValues`; a [`Requirements`] holds one requirement for each label key.

mod set;

pub use set::{Conflict, Requirements, Undefined};

pub use crate::api::requirement::Operator;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The values that one label may take: `values`, or everything but `values` (`complement`) within the bounds, and
/// whether the label may be absent.
///
/// `In` is a plain set, `DoesNotExist` the empty set with absence allowed, `NotIn` a complement with absence allowed,
/// `Exists` the complement of nothing. Bounds hold for values that are integers; any other value fails them. A plain set
/// carries no bounds: they have been applied to it. Karpenter infers absence from the set, so that `Exists` and
/// `NotIn [a]` together accept a node without the label; kube-scheduler does not, and neither do we.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Requirement {
    complement: bool,
    values: BTreeSet<Arc<str>>,
    gte: Option<i64>,
    lte: Option<i64>,
    absence: bool,
    /// At least this many distinct values must remain among the instance types of a launch.
    pub min_values: Option<u32>,
}

impl Requirement {
    const NOTHING: Self =
        Self { complement: false, values: BTreeSet::new(), gte: None, lte: None, absence: false, min_values: None };

    #[must_use]
    pub fn one_of<V: Into<Arc<str>>>(values: impl IntoIterator<Item = V>) -> Self {
        Self { values: values.into_iter().map(Into::into).collect(), ..Self::NOTHING }
    }

    /// `one_of` with one value, without the list that sorting several takes.
    #[must_use]
    pub(crate) fn only(value: Arc<str>) -> Self {
        let mut values = BTreeSet::new();
        values.insert(value);
        Self { values, ..Self::NOTHING }
    }

    #[must_use]
    pub fn none_of<V: Into<Arc<str>>>(values: impl IntoIterator<Item = V>) -> Self {
        Self { complement: true, absence: true, ..Self::one_of(values) }
    }

    #[must_use]
    pub fn exists() -> Self {
        Self { complement: true, ..Self::NOTHING }
    }

    #[must_use]
    pub fn does_not_exist() -> Self {
        Self { absence: true, ..Self::NOTHING }
    }

    /// An integer within the bounds, both inclusive.
    #[must_use]
    pub fn bounded(gte: Option<i64>, lte: Option<i64>) -> Self {
        Self { complement: true, ..Self::NOTHING }.intersection(&Self { gte, lte, ..Self::exists() })
    }

    /// Reads an operator with its values as the Kubernetes API writes them.
    ///
    /// # Errors
    /// One sentence that says what the operator expects of its values.
    pub fn from_operator<V: AsRef<str>>(operator: Operator, values: &[V]) -> Result<Self, String> {
        let texts = || values.iter().map(|v| Arc::<str>::from(v.as_ref()));
        let integer = || match values {
            [value] => value
                .as_ref()
                .parse::<i64>()
                .map_err(|_| format!("operator {operator:?} expects one integer, found '{}'", value.as_ref())),
            _ => Err(format!("operator {operator:?} expects exactly one integer, found {} values", values.len())),
        };
        match operator {
            Operator::In if values.is_empty() => Err("operator In expects at least one value".to_owned()),
            Operator::In => Ok(Self::one_of(texts())),
            Operator::NotIn => Ok(Self::none_of(texts())),
            Operator::Exists => Ok(Self::exists()),
            Operator::DoesNotExist => Ok(Self::does_not_exist()),
            Operator::Gt => Ok(integer()?.checked_add(1).map_or(Self::NOTHING, |low| Self::bounded(Some(low), None))),
            Operator::Lt => Ok(integer()?.checked_sub(1).map_or(Self::NOTHING, |high| Self::bounded(None, Some(high)))),
            Operator::Gte => Ok(Self::bounded(Some(integer()?), None)),
            Operator::Lte => Ok(Self::bounded(None, Some(integer()?))),
        }
    }

    /// Whether a label with this value satisfies the requirement.
    #[must_use]
    pub fn allows(&self, value: &str) -> bool {
        self.values.contains(value) != self.complement && in_bounds(value, self.gte, self.lte)
    }

    /// Whether a node without the label satisfies it.
    #[must_use]
    pub fn allows_absence(&self) -> bool {
        self.absence
    }

    /// Whether the label may be neither present nor absent: nothing satisfies it.
    #[must_use]
    pub fn is_unsatisfiable(&self) -> bool {
        !self.complement && self.values.is_empty() && !self.absence
    }

    /// The finite set of allowed values; `None` where the set is a complement.
    #[must_use]
    pub fn finite_values(&self) -> Option<&BTreeSet<Arc<str>>> {
        (!self.complement).then_some(&self.values)
    }

    /// The values that it names, to allow them or to rule them out.
    #[must_use]
    pub fn named_values(&self) -> &BTreeSet<Arc<str>> {
        &self.values
    }

    /// The only value that is allowed, if there is exactly one.
    #[must_use]
    pub fn single_value(&self) -> Option<&Arc<str>> {
        self.finite_values().filter(|values| values.len() == 1).and_then(|values| values.first())
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (gte, lte) = self.shared_bounds(other);
        let absence = self.absence && other.absence;
        let min_values = self.min_values.max(other.min_values);
        if crossing(gte, lte) {
            return Self { absence, min_values, ..Self::NOTHING };
        }
        let mut values: BTreeSet<Arc<str>> = match (self.complement, other.complement) {
            (true, true) => self.values.union(&other.values).cloned().collect(),
            (true, false) => other.values.difference(&self.values).cloned().collect(),
            (false, true) => self.values.difference(&other.values).cloned().collect(),
            (false, false) => self.values.intersection(&other.values).cloned().collect(),
        };
        values.retain(|value| in_bounds(value, gte, lte));
        let complement = self.complement && other.complement;
        let (gte, lte) = if complement { (gte, lte) } else { (None, None) };
        Self { complement, values, gte, lte, absence, min_values }
    }

    /// Whether something satisfies both: `!self.intersection(other).is_unsatisfiable()`, without building it.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (gte, lte) = self.shared_bounds(other);
        let present = match (self.complement, other.complement) {
            (false, _) => self.values.iter().any(|value| other.allows(value)),
            (true, false) => other.values.iter().any(|value| self.allows(value)),
            (true, true) => !crossing(gte, lte),
        };
        present || (self.absence && other.absence)
    }

    fn shared_bounds(&self, other: &Self) -> (Option<i64>, Option<i64>) {
        let lte = match (self.lte, other.lte) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        (self.gte.max(other.gte), lte)
    }

    /// A value that satisfies the requirement, chosen by a fixed rule: the smallest of a finite set; of a complement
    /// the lower bound, else the upper bound, else the first of `true`, `1`, `2`, ... that is not excluded.
    ///
    /// Karpenter draws a random integer here; a fixed value makes plans reproducible.
    #[must_use]
    pub fn any_value(&self) -> Option<Arc<str>> {
        if !self.complement {
            return self.values.first().cloned();
        }
        let from = |start: i64| (start..=self.lte.unwrap_or(i64::MAX)).map(|n| n.to_string());
        let candidate = match (self.gte, self.lte) {
            (Some(low), _) => from(low).find(|v| self.allows(v)),
            (None, Some(high)) => (0..=high.max(0)).rev().map(|n| n.to_string()).find(|v| self.allows(v)),
            (None, None) => std::iter::once("true".to_owned()).chain(from(1)).find(|v| self.allows(v)),
        };
        candidate.map(Arc::from)
    }
}

fn crossing(gte: Option<i64>, lte: Option<i64>) -> bool {
    matches!((gte, lte), (Some(low), Some(high)) if low > high)
}

fn in_bounds(value: &str, gte: Option<i64>, lte: Option<i64>) -> bool {
    if gte.is_none() && lte.is_none() {
        return true;
    }
    value.parse::<i64>().is_ok_and(|n| gte.is_none_or(|low| n >= low) && lte.is_none_or(|high| n <= high))
}

impl Requirement {
    /// The requirement as the API writes it, one entry for each operator that it needs; together they allow exactly
    /// what the requirement allows.
    #[must_use]
    pub fn to_operators(&self) -> Vec<(Operator, Vec<String>)> {
        let values = || self.values.iter().map(ToString::to_string).collect::<Vec<_>>();
        if !self.complement {
            let absent_only = self.values.is_empty() && self.absence;
            return vec![if absent_only { (Operator::DoesNotExist, vec![]) } else { (Operator::In, values()) }];
        }
        let mut entries = Vec::new();
        entries.extend(self.gte.map(|low| (Operator::Gte, vec![low.to_string()])));
        entries.extend(self.lte.map(|high| (Operator::Lte, vec![high.to_string()])));
        if entries.is_empty() && !self.absence {
            entries.push((Operator::Exists, vec![]));
        }
        if !self.values.is_empty() {
            entries.push((Operator::NotIn, values()));
        }
        entries
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (operator, values)) in self.to_operators().iter().enumerate() {
            let separator = if i == 0 { "" } else { " and " };
            if values.is_empty() {
                write!(f, "{separator}{operator:?}")?;
            } else {
                write!(f, "{separator}{operator:?} [{}]", values.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
