//! Which nodes a spread constraint looks at.

use std::sync::Arc;

use super::topology::NodeFilter;
use super::{NodeModel, PoolModel, rules};
use crate::api::labels;
use crate::observe::snapshot::{Node, Taint};
use crate::requirements::{Requirement, Requirements, Undefined};

impl NodeFilter {
    /// Whether an existing node counts.
    #[must_use]
    pub fn admits_node(&self, node: &NodeModel) -> bool {
        self.admits(&node.labels, &node.node.taints)
    }

    /// As [`Self::admits_node`], for a node that is no target any more.
    pub(super) fn admits_deleting(&self, node: &Node) -> bool {
        let has_keys = self.keys.iter().all(|key| node.label(key).is_some());
        if self.terms.is_none() && self.tolerations.is_none() && has_keys {
            return true;
        }
        self.admits(&Requirements::sharing_labels(&node.labels), &node.taints)
    }

    fn admits(&self, labels: &Requirements, taints: &[Taint]) -> bool {
        let terms = self.terms.as_ref();
        terms.is_none_or(|terms| terms.iter().any(|t| labels.compatible(t, Undefined::Refuse).is_ok()))
            && self.tolerations.as_ref().is_none_or(|t| rules::keep_out(t, taints).is_none())
            && self.keys.iter().all(|key| labels.contains_key(key))
    }

    /// Whether some new node of a pool may count.
    pub(super) fn may_admit_new(&self, pool: &PoolModel) -> bool {
        let may_be = |term: &Requirements| pool.requirements.compatible(term, Undefined::AllowWellKnown).is_ok();
        self.terms.as_ref().is_none_or(|terms| terms.iter().any(may_be))
            && self.tolerations.as_ref().is_none_or(|t| rules::keep_out(t, &pool.pool.taints).is_none())
    }

    /// Whether a new node of a pool, with these requirements so far, counts.
    #[must_use]
    pub fn admits_new(&self, pool: &PoolModel, requirements: &Requirements) -> bool {
        let of_types = |key: &str| pool.types.iter().any(|kind| kind.instance_type.requirements.contains_key(key));
        let as_written = |(key, wanted): (&Arc<str>, &Requirement)| {
            labels::is_well_known(key) || holds_as_written(requirements, key, wanted) || of_types(key)
        };
        let holds = |term: &Requirements| {
            requirements.compatible(term, Undefined::AllowWellKnown).is_ok() && term.iter().all(as_written)
        };
        self.terms.as_ref().is_none_or(|terms| terms.iter().any(holds))
            && self.tolerations.as_ref().is_none_or(|t| rules::keep_out(t, &pool.pool.taints).is_none())
            && self
                .keys
                .iter()
                .all(|key| labels::is_well_known(key) || requirements.get(key).is_some_and(|r| !r.allows_absence()))
    }
}

/// Whether a custom label holds with the value that the launch would write for these requirements; a label that may be
/// absent is not written. That it could still be narrowed to another value does not count: nobody may narrow it.
fn holds_as_written(requirements: &Requirements, key: &str, wanted: &Requirement) -> bool {
    match requirements.get(key).filter(|own| !own.allows_absence()) {
        Some(own) => own.any_value().is_some_and(|value| wanted.allows(&value)),
        None => wanted.allows_absence(),
    }
}
