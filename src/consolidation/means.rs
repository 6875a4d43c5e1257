//! What nodes and launches cost at the mean prices of the last 24 hours.

use super::Command;
use crate::api::labels;
use crate::catalog::{InstanceType, Offering};
use crate::observe::Snapshot;
use crate::observe::snapshot::Node;
use crate::plan::{Launch, Offer};
use crate::units::MicroUsd;

/// What a command comes to, of an hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    /// Of the nodes that go.
    pub price: MicroUsd,
    /// Of what was chosen for the launches.
    pub chosen: MicroUsd,
}

impl Bill {
    /// Of what was chosen.
    pub fn saved(self) -> MicroUsd {
        self.price - self.chosen
    }
}

/// The means of a Snapshot. What has no history counts at its price of now.
#[derive(Clone, Copy)]
pub(super) struct Means<'s> {
    pub snapshot: &'s Snapshot,
}

/// Those of what a launch may become.
pub(super) struct OfLaunch<'l> {
    types: &'l [InstanceType],
    launch: &'l Launch,
}

impl<'s> Means<'s> {
    /// Of a command.
    pub fn bill(self, command: &Command) -> Bill {
        let of_node = |of: &super::Removed| {
            let node = self.snapshot.nodes.iter().find(|node| node.name == of.node);
            node.and_then(|node| self.of_node(node)).or(of.price).unwrap_or_default()
        };
        Bill {
            price: command.removed.iter().map(of_node).sum(),
            chosen: command.launches.iter().map(|launch| self.of_launch(launch).chosen()).sum(),
        }
    }

    /// `None` where the catalogue does not know what it is.
    fn of_node(self, node: &Node) -> Option<MicroUsd> {
        self.offering_of(node).filter(|_| node.price.is_some()).map(Offering::mean)
    }

    fn offering_of(self, node: &Node) -> Option<&'s Offering> {
        let pool = self.snapshot.node_pools.iter().find(|pool| Some(&pool.name) == node.pool.as_ref())?;
        let kind = type_of(&pool.instance_types, node.label(labels::INSTANCE_TYPE)?)?;
        let (zone, capacity_type) = (node.label(labels::ZONE)?, node.label(labels::CAPACITY_TYPE)?);
        kind.offerings.iter().find(|of| &*of.zone == zone && of.capacity_type.label() == capacity_type)
    }

    /// Of a launch.
    pub fn of_launch<'l>(self, launch: &'l Launch) -> OfLaunch<'l>
    where
        's: 'l,
    {
        OfLaunch { types: &self.snapshot.node_pools[launch.pool].instance_types, launch }
    }

    /// Whether a command replaces something whose price changes, or replaces with it, and nobody knows what the price was.
    pub fn lack_history(self, command: &Command) -> bool {
        if command.launches.is_empty() {
            return false; // it is cheaper at any price
        }
        let removed = command.removed.iter().filter_map(|of| {
            let node = self.snapshot.nodes.iter().find(|node| node.name == of.node)?;
            self.offering_of(node)
        });
        let mut launched = command.launches.iter().flat_map(|launch| {
            let of = self.of_launch(launch);
            launch.offers.iter().filter_map(move |offer| of.offering(offer)).collect::<Vec<_>>()
        });
        removed.into_iter().any(Offering::lacks_history) || launched.any(Offering::lacks_history)
    }
}

impl<'l> OfLaunch<'l> {
    /// Of one of its offers.
    pub fn of(&self, offer: &Offer) -> MicroUsd {
        self.offering(offer).map_or(offer.price, Offering::mean)
    }

    /// The dearest that the cloud may choose.
    pub fn worst(&self) -> MicroUsd {
        self.launch.offers.iter().map(|offer| self.of(offer)).max().unwrap_or_default()
    }

    /// What was chosen.
    pub fn chosen(&self) -> MicroUsd {
        self.launch.offers.first().map_or(MicroUsd::ZERO, |offer| self.of(offer))
    }

    fn offering(&self, offer: &Offer) -> Option<&'l Offering> {
        type_of(self.types, &offer.instance_type)?.offerings.iter().find(|of| {
            let reservation = of.reservation.as_ref().map(|of| &of.id);
            of.zone == offer.zone
                && of.capacity_type == self.launch.capacity_type
                && reservation == offer.reservation.as_ref()
        })
    }
}

/// Types are sorted by name.
fn type_of<'t>(types: &'t [InstanceType], name: &str) -> Option<&'t InstanceType> {
    types.binary_search_by(|kind| (*kind.name).cmp(name)).ok().map(|found| &types[found])
}
