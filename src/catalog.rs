//! Instance types and their offerings: capacity, overhead, labels, prices.
//!
//! [`Catalog`] answers one question: which instance types may a node class launch, at what price. The bundled EC2 facts
//! ([`Ec2Facts`]) become [`InstanceType`]s through a node class ([`NodeClassFacts`]) and a market ([`Market`]); kwok types
//! and `--catalog` files are taken as they are. NodeOverlays change the result for each NodePool.

pub mod instance_type;
pub mod allocatable;
pub mod learned;
pub mod node_class;
pub mod market;
pub mod ec2;
pub mod kwok;
pub mod file;
pub mod overlay;

use std::path::Path;
use std::sync::Arc;

pub use ec2::Ec2Facts;
pub use instance_type::{CapacityType, InstanceType, Offering, OfferingFilter, Overhead, Reservation};
pub use learned::{Learned, NodeKind};
pub use market::{Market, SpotPrices, region_of_zone};
pub use node_class::NodeClassFacts;
pub use node_class::reservations::Reservations;

use crate::settings::Settings;
use market::Account;

/// Where instance types come from.
#[derive(Debug, Clone)]
pub enum Catalog {
    /// The bundled EC2 facts at the prices of a market.
    Ec2(Box<Market>),
    /// A fixed list: kwok types or a `--catalog` file.
    Fixed(Vec<InstanceType>),
}

impl Catalog {
    /// The value of `--catalog`: `kwok`, or the path of a file ([`file`] documents the format).
    ///
    /// # Errors
    /// The file cannot be read or does not follow the format; the message names the file and the entry.
    pub fn from_option(value: &str) -> Result<Self, file::CatalogFileError> {
        match value {
            "kwok" => Ok(Self::Fixed(kwok::instance_types())),
            path => file::read(Path::new(path)).map(Self::Fixed),
        }
    }

    /// Of an account that has not said anything yet, and will.
    #[must_use]
    pub fn awaiting_account(self) -> Self {
        match self {
            Self::Ec2(market) => Self::Ec2(Box::new(market.with_account(Account::awaited()))),
            fixed @ Self::Fixed(_) => fixed,
        }
    }

    /// Whether nothing is to be bought yet: the account has not said what there is, and for how much.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Ec2(market) if market.is_awaited())
    }

    /// What nodes really have, from now on, where the catalogue predicts it. Whether that changes anything.
    pub fn learn(&mut self, learned: &Arc<Learned>) -> bool {
        match self {
            Self::Ec2(market) if *market.learned != **learned => {
                market.learned = learned.clone();
                true
            }
            Self::Ec2(_) | Self::Fixed(_) => false,
        }
    }

    /// The instance types of a node class, sorted by name. A fixed list is the same for every node class, and has no
    /// estimate margin: its capacity is stated, not predicted.
    #[must_use]
    pub fn instance_types(&self, class: &NodeClassFacts, settings: &Settings) -> Vec<InstanceType> {
        match self {
            Self::Ec2(market) => ec2::instance_types(market.facts(), class, market, settings),
            Self::Fixed(types) => types.clone(),
        }
    }
}
