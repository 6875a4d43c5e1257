//! The Kubernetes seam: what reads from and writes to a live cluster.

pub mod connect;
pub mod read;

pub use connect::{ConnectError, Connection, Target};
pub use read::{Reading, read, read_connected};
