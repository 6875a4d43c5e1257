//! What every NodePool can launch, apart from any Snapshot.

use super::launchable::{fill_instance_types, overlay_instance_types};
use super::objects::Objects;
use super::pools::read_pools;
use super::snapshot::NodePool;
use crate::catalog::Catalog;
use crate::settings::Settings;

/// The pools that can be read, with their instance types. What is wrong with the others a Snapshot says.
#[must_use]
pub fn market(objects: &Objects, catalog: &Catalog, settings: &Settings) -> Vec<NodePool> {
    let (mut errors, mut notes, mut assumptions) = (Vec::new(), Vec::new(), Vec::new());
    let mut pools = read_pools(objects, &mut errors);
    fill_instance_types(&mut pools, objects, catalog, settings, &mut errors, &mut assumptions);
    if settings.feature_gates.node_overlay {
        overlay_instance_types(&mut pools, objects, &mut errors, &mut notes);
    }
    pools
}
