//! What every NodePool can launch, apart from any Snapshot.

use std::collections::BTreeMap;

use super::launchable::{OverlayState, fill_instance_types, overlay_instance_types};
use super::objects::{ObjectKey, Objects};
use super::pools::read_pools;
use super::snapshot::NodePool;
use crate::catalog::Catalog;
use crate::settings::Settings;

/// What there is to buy.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// The pools that can be read, with their instance types.
    pub pools: Vec<NodePool>,
    /// What became of the NodeOverlays, where their gate is on.
    pub overlays: BTreeMap<ObjectKey, OverlayState>,
}

/// What is wrong with the others a Snapshot says.
#[must_use]
pub fn market(objects: &Objects, catalog: &Catalog, settings: &Settings) -> Offered {
    let (mut errors, mut notes, mut assumptions) = (Vec::new(), Vec::new(), Vec::new());
    let mut pools = read_pools(objects, &mut errors);
    fill_instance_types(&mut pools, objects, catalog, settings, &mut errors, &mut assumptions);
    let overlays = if settings.feature_gates.node_overlay {
        overlay_instance_types(&mut pools, objects, &mut errors, &mut notes)
    } else {
        BTreeMap::new()
    };
    Offered { pools, overlays }
}
