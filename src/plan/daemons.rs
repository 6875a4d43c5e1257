//! What DaemonSets have to do with a pod that does not fit: they take room of every node before it.

use std::cmp::Reverse;

use crate::model::{Dims, PoolModel, TypeModel, fits};
use crate::resources::display_amount;

/// Whether a node of the type would hold these amounts if it had no daemon pods.
#[must_use]
pub fn would_hold(dims: &Dims, kind: &TypeModel, amounts: &[i64]) -> bool {
    fits(amounts, &dims.amounts(&kind.instance_type.allocatable))
}

/// Which DaemonSet takes the most of a resource on a node of the type, and what the others take. `None` where none takes any.
#[must_use]
pub fn taking(pool: &PoolModel, kind: &TypeModel, resource: &str) -> Option<String> {
    let requests = pool.daemons_on(kind).map(|daemon| (daemon.template.spec.requests.get(resource), &daemon.key));
    let mut requests: Vec<_> = requests.filter(|(amount, _)| *amount > 0).collect();
    requests.sort_by_key(|&(amount, key)| (Reverse(amount), key));
    let (&(most, key), others) = requests.split_first()?;
    let of_others: i64 = others.iter().map(|(amount, _)| amount).fold(0, |sum, amount| sum.saturating_add(*amount));
    let others = match others.len() {
        0 => String::new(),
        count => format!(" and {count} more {}", display_amount(resource, of_others)),
    };
    Some(format!("DaemonSet {key} takes {}{others}", display_amount(resource, most)))
}
