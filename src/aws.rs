//! EC2 and its neighbours: the clients, and the loops that ask them.
//!
//! What is asked for and what an answer means is decided in [`crate::cloud::ec2`], without I/O; here are the calls.
//!
//! ```text
//! connect   region, credentials and clients: retries, time limits, rate limits, metrics, no mutating call in a shadow
//! market    types, zones and prices of the account -> Event::Catalog
//! ```

pub mod calls;
pub mod connect;
pub mod limits;
pub mod market;
pub mod prices;
pub mod spot;
pub mod types;
mod words;

pub use connect::{Aws, ConnectError, Mode};
