//! What it costs to take a node away (karpenter-core 4.3).

use std::cmp::Ordering;
use std::iter::Sum;

use super::Candidate;
use crate::observe::snapshot::{EvictionCost, Pod};
use crate::units::MicroUsd;

/// Of an eviction of cost 1.
const PRICE: MicroUsd = MicroUsd(2_000);

/// What moving a pod costs: as its annotation says, else $0.002 times its eviction cost, at least a tenth and at most ten
/// times that.
#[must_use]
pub fn eviction_price(pod: &Pod) -> MicroUsd {
    if let Some(price) = pod.disruption.eviction_price {
        return price;
    }
    let one = EvictionCost::ONE.parts();
    let cost = pod.eviction_cost().parts().clamp(one / 10, 10 * one);
    // at most 20,000 times 2^27, far within 64 bits
    MicroUsd((PRICE.0 * cost + one / 2) / one)
}

/// What moving the pods of a node costs the reference's way: 1 and the eviction costs of its pods, those below 0 left out; in
/// parts of [`EvictionCost::ONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RescheduleCost(i64);

impl RescheduleCost {
    #[must_use]
    pub fn of<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> Self {
        let costs = pods.into_iter().map(|pod| pod.eviction_cost().parts().max(0));
        Self(EvictionCost::ONE.parts() + costs.sum::<i64>())
    }

    /// What a pod adds.
    #[must_use]
    pub fn of_pod(pod: &Pod) -> Self {
        Self(pod.eviction_cost().parts().max(0))
    }

    /// In parts of [`EvictionCost::ONE`].
    #[must_use]
    pub fn parts(self) -> i64 {
        self.0
    }

    /// Whether nobody would miss the node: also where the pods there cost nothing.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 <= EvictionCost::ONE.parts()
    }
}

impl Sum for RescheduleCost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        Self(costs.map(|of| of.0).sum())
    }
}

/// The order in which consolidation looks at nodes: the highest price for the least disruption first, then by index. A node of
/// unknown price counts as free.
#[must_use]
pub fn by_savings(a: &Candidate, b: &Candidate) -> Ordering {
    // price / cost, compared crosswise
    let ratio = |of: &Candidate, other: &Candidate| {
        i128::from(of.price.unwrap_or_default().0) * i128::from(other.reschedule_cost.0)
    };
    ratio(b, a).cmp(&ratio(a, b)).then(a.node.cmp(&b.node))
}
