//! What every NodePool can launch, kept until something changes that it depends on.

use super::world::World;
use crate::catalog::Catalog;
use crate::observe::market;
use crate::observe::objects::ObjectKey;
use crate::observe::snapshot::NodePool;
use crate::settings::Settings;

/// Kinds that it depends on.
const OF: [&str; 4] = ["NodePool", "EC2NodeClass", "KWOKNodeClass", "NodeOverlay"];

/// An object, and which of its states.
type State = (&'static str, ObjectKey, Option<String>, Option<i64>, bool);

#[derive(Debug, Default)]
pub(super) struct Market(Option<(Vec<State>, Vec<NodePool>)>);

impl Market {
    pub fn of(&mut self, world: &World, catalog: &Catalog, settings: &Settings) -> &[NodePool] {
        let states = states(world);
        if self.0.as_ref().is_none_or(|(known, _)| *known != states) {
            self.0 = Some((states, market(world.objects(), catalog, settings)));
        }
        self.0.as_ref().map_or(&[], |(_, pools)| pools)
    }
}

fn states(world: &World) -> Vec<State> {
    let mut found = Vec::new();
    for kind in OF {
        for key in world.objects().keys(kind) {
            let Some(meta) = world.objects().metadata(kind, &key) else { continue };
            found.push((kind, key.clone(), meta.uid.clone(), meta.generation, meta.deletion_timestamp.is_some()));
        }
    }
    found
}
