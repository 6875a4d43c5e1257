//! What nodes cost an hour: as planned, as bought, and at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::{Claimed, Cluster};
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::catalog::{InstanceType, Offering};
use crate::cloud;
use crate::observe::snapshot::NodePool;
use crate::units::MicroUsd;

/// By NodePool, prices of an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spend(pub BTreeMap<Arc<str>, Price>);

/// Of the nodes of one pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// What plans had chosen.
    pub planned: MicroUsd,
    /// What was bought; of those that are not launched yet as planned.
    pub realised: MicroUsd,
    /// The same, of those that are not launched yet the dearest that they may become.
    pub worst: MicroUsd,
}

/// What each claim costs, by its name, with its pool: looked for when something has happened to it, or to what is offered.
#[derive(Debug, Default)]
pub(super) struct Prices {
    now: BTreeMap<Arc<str>, (Arc<str>, Price)>,
    /// What was chosen, and the dearest that it may become, by uid: it never changes, and takes a look at every instance type.
    chosen: BTreeMap<Arc<str>, (MicroUsd, MicroUsd)>,
}

impl Spend {
    /// Of all claims with a pool, and of instances whose claims are not known; `market`: what each pool can launch.
    pub(super) fn of(cluster: &Cluster<'_>, market: &[NodePool], prices: &mut Prices) -> Self {
        cluster.forget_gone(&mut prices.now);
        let known = if cluster.is_whole { std::mem::take(&mut prices.chosen) } else { BTreeMap::new() };
        for claimed in cluster.looked_at() {
            let Some(pool) = claimed.pool().and_then(|name| market.iter().find(|pool| *pool.name == *name)) else {
                prices.now.remove(&claimed.key.name);
                continue;
            };
            let before = known.get(claimed.uid()).or_else(|| prices.chosen.get(claimed.uid())).copied();
            let (first, dearest) = before.unwrap_or_else(|| prices_of(claimed.claim, &pool.instance_types));
            prices.chosen.insert(Arc::from(claimed.uid()), (first, dearest));
            // one that nobody offers any more costs what it was to cost
            let bought = bought(claimed, &pool.instance_types).map(|offering| offering.price);
            let (realised, worst) = (bought.unwrap_or(first), bought.unwrap_or(dearest));
            let price = Price { planned: first, realised, worst };
            prices.now.insert(claimed.key.name.clone(), (pool.name.clone(), price));
        }
        let mut spend = Self::default();
        for (pool, price) in prices.now.values() {
            let all = spend.0.entry(pool.clone()).or_default();
            all.planned += price.planned;
            all.realised += price.realised;
            all.worst += price.worst;
        }
        for node in &cluster.unseen {
            let Some(pool) = &node.pool else { continue };
            let all = spend.0.entry(pool.clone()).or_default();
            let price = node.price.unwrap_or_default();
            all.realised += price;
            all.worst += price;
        }
        spend
    }

    pub(super) fn worst(&self) -> MicroUsd {
        self.0.values().map(|price| price.worst).sum()
    }

    pub(super) fn worst_of(&self, pool: &str) -> MicroUsd {
        self.0.get(pool).map_or(MicroUsd::ZERO, |price| price.worst)
    }
}

/// Of the first option of a claim, and of the dearest.
pub(super) fn prices_of(claim: &NodeClaim, types: &[InstanceType]) -> (MicroUsd, MicroUsd) {
    let options = cloud::options(types, claim);
    let of = |&(kind, offering): &(usize, usize)| types[kind].offerings[offering].price;
    (options.first().map(of).unwrap_or_default(), options.iter().map(of).max().unwrap_or_default())
}

/// What the labels of a launched claim say.
fn bought<'t>(claimed: &Claimed<'_>, types: &'t [InstanceType]) -> Option<&'t Offering> {
    let of = claimed.claim.metadata.labels.as_ref()?;
    let [kind, zone, capacity] = [labels::INSTANCE_TYPE, labels::ZONE, labels::CAPACITY_TYPE].map(|key| of.get(key));
    let (kind, zone, capacity) = (kind?, zone?, capacity?);
    let index = types.binary_search_by(|of| (*of.name).cmp(kind.as_str())).ok()?;
    let mut offerings = types[index].offerings.iter();
    offerings.find(|of| *of.zone == **zone && of.capacity_type.label() == capacity.as_str())
}
