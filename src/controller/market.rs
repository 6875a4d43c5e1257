//! What every NodePool can launch, kept until something changes that it depends on.

use super::world::World;
use crate::catalog::Catalog;
use crate::observe::market;
use crate::observe::snapshot::NodePool;
use crate::settings::Settings;

/// Kinds that it depends on.
const OF: [&str; 4] = ["NodePool", "EC2NodeClass", "KWOKNodeClass", "NodeOverlay"];

#[derive(Debug, Default)]
pub(super) struct Market(Option<(u64, Vec<NodePool>)>);

impl Market {
    pub fn of(&mut self, world: &World, catalog: &Catalog, settings: &Settings) -> &[NodePool] {
        let revision = world.revision(&OF);
        if self.0.as_ref().is_none_or(|(known, _)| *known != revision) {
            self.0 = Some((revision, market(world.objects(), catalog, settings)));
        }
        self.0.as_ref().map_or(&[], |(_, pools)| pools)
    }
}
