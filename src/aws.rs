//! EC2 and its neighbours: the clients, and the loops that ask them.
//!
//! What is asked for and what an answer means is decided in [`crate::cloud::ec2`], without I/O; here are the calls.
//!
//! ```text
//! connect   region, credentials and clients: retries, time limits, rate limits, metrics, no mutating call in a shadow
//! market    types, zones, prices and zonal shifts                          -> Event::Catalog
//! classes   what EC2NodeClasses select                                    -> their status, which the watch shows
//! ec2       launches, lists, ends, each in batches                        -> Event::Cloud
//! queue     what EventBridge tells of instances; health: what EC2 itself  -> Event::Interrupted
//! ```

pub mod calls;
pub mod classes;
pub mod connect;
pub mod ec2;
pub mod facts;
pub mod limits;
pub mod market;
pub mod prices;
pub mod spot;
pub mod told;
pub mod types;
mod batch;
mod claims;
mod fleet;
mod health;
mod instances;
mod launcher;
mod queue;
mod reserved;
mod tagging;
mod templates;
mod terminate;
mod tokens;
mod words;
mod zonal_shift;

use std::sync::Arc;

pub use classes::{ClassSettings, tidy_profiles};
pub use connect::{Aws, ConnectError, Mode, environment};
pub use ec2::{Ec2, Ec2Settings};
pub use facts::{Facts, Given};
pub use market::{Keeper, MarketSettings};
pub use told::{Teller, Told};

/// Whether this process acts.
pub type Leads = Arc<dyn Fn() -> bool + Send + Sync>;
