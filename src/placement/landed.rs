//! How much of a plan came true: in every mode the figure by which it is judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::observed::Observed;

/// What became of the planned pods of one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The claim.
    pub claim: Arc<str>,
    /// Bound to its node.
    pub as_planned: usize,
    /// Bound to another one.
    pub elsewhere: usize,
    /// Not bound.
    pub unbound: usize,
    /// Deleted or ended.
    pub gone: usize,
}

/// Counts the pods that plans name, claim by claim, until all has long been where it should be.
#[must_use]
pub fn landed(observed: &Observed) -> Vec<Landed> {
    let nodes: BTreeMap<&Arc<str>, &Arc<str>> =
        observed.nodes.iter().filter_map(|node| Some((node.claim.as_ref()?, &node.name))).collect();
    let mut all = Vec::new();
    for (name, claim) in observed.claims.iter().filter(|(_, claim)| !claim.is_settled) {
        let own = nodes.get(name).copied();
        let mut landed = Landed { claim: name.clone(), as_planned: 0, elsewhere: 0, unbound: 0, gone: 0 };
        for planned in &claim.plan.pods {
            match observed.pods.get(&planned.uid).map(|pod| pod.node.as_ref()) {
                None => landed.gone += 1,
                Some(None) => landed.unbound += 1,
                Some(node) if node == own => landed.as_planned += 1,
                Some(_) => landed.elsewhere += 1,
            }
        }
        all.push(landed);
    }
    all
}
