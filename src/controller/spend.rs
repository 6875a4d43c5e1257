//! What nodes cost an hour: as planned, as bought, and at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::{Claimed, Cluster};
use crate::api::labels;
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

/// What was chosen for claims, by uid: looked for once, as it never changes, and takes a look at every instance type.
#[derive(Debug, Default)]
pub(super) struct Chosen(BTreeMap<Arc<str>, (MicroUsd, MicroUsd)>);

impl Spend {
    /// Of all claims with a pool; `market`: what each pool can launch.
    pub(super) fn of(cluster: &Cluster<'_>, market: &[NodePool], chosen: &mut Chosen) -> Self {
        let mut spend = Self::default();
        let mut known = BTreeMap::new();
        for claimed in cluster.all_claims() {
            let Some(pool) = claimed.pool().and_then(|name| market.iter().find(|pool| *pool.name == *name)) else {
                continue;
            };
            let (uid, (first, dearest)) = chosen
                .0
                .remove_entry(claimed.uid())
                .unwrap_or_else(|| (Arc::from(claimed.uid()), prices(claimed, &pool.instance_types)));
            known.insert(uid, (first, dearest));
            // one that nobody offers any more costs what it was to cost
            let bought = bought(claimed, &pool.instance_types).map(|offering| offering.price);
            let all = spend.0.entry(pool.name.clone()).or_default();
            all.planned += first;
            all.realised += bought.unwrap_or(first);
            all.worst += bought.unwrap_or(dearest);
        }
        chosen.0 = known;
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
fn prices(claimed: &Claimed<'_>, types: &[InstanceType]) -> (MicroUsd, MicroUsd) {
    let options = cloud::options(types, claimed.claim);
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
