//! What every NodePool can launch, apart from any Snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input::InputError;
use super::launchable::{MarketUse, OverlayState, fill_instance_types, overlay_instance_types};
use super::objects::{ObjectKey, Objects};
use super::pools::read_pools;
use super::snapshot::NodePool;
use crate::catalog::Catalog;
use crate::catalog::node_class::Zone;
use crate::settings::Settings;

/// What there is to buy.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// The pools that can be read, with their instance types.
    pub pools: Vec<NodePool>,
    /// What became of the NodeOverlays, where their gate is on.
    pub overlays: BTreeMap<ObjectKey, OverlayState>,
    /// Zones that ARC has shifted away from: name and id.
    pub shifted: BTreeMap<Arc<str>, Arc<str>>,
    /// What is wrong with the others, what was decided and what was taken for granted, for the Snapshot to say.
    pub(super) errors: Vec<InputError>,
    pub(super) notes: Vec<String>,
    pub(super) assumptions: Vec<String>,
    is_on_market: bool,
}

impl Offered {
    /// Adds what the market had to assume, if some pool buys there.
    pub(super) fn assume(&mut self, of_market: Vec<String>) {
        if self.is_on_market {
            self.assumptions.extend(of_market);
        }
    }
}

/// What every NodePool can launch.
#[must_use]
pub fn market(objects: &Objects, catalog: &Catalog, settings: &Settings) -> Offered {
    let mut offered = Offered::default();
    let Offered { pools, overlays, shifted, errors, notes, assumptions, is_on_market } = &mut offered;
    *shifted = shifted_zones(objects, catalog);
    *pools = read_pools(objects, errors);
    let market = fill_instance_types(pools, objects, catalog, settings, errors, assumptions);
    *is_on_market = market == MarketUse::Some;
    if settings.feature_gates.node_overlay {
        *overlays = overlay_instance_types(pools, objects, errors, notes);
    }
    offered
}

/// Those of the region and of the subnets of node classes: names of zones are of one account.
fn shifted_zones(objects: &Objects, catalog: &Catalog) -> BTreeMap<Arc<str>, Arc<str>> {
    let Catalog::Ec2(market) = catalog else { return BTreeMap::new() };
    let subnets =
        objects.ec2_node_classes.values().flat_map(|class| class.object.status.iter().flat_map(|of| &of.subnets));
    let of_subnets =
        subnets.map(|subnet| Zone { name: subnet.zone.as_str().into(), id: subnet.zone_id.as_deref().map(Into::into) });
    let zones = market.zones.iter().cloned().chain(of_subnets);
    zones.filter_map(|zone| Some((zone.name.clone(), market.shifted(&zone)?.clone()))).collect()
}
