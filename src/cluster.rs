//! The Kubernetes seam: what reads from and writes to a live cluster.

pub mod connect;
mod kubeconfig;
mod words;
pub mod read;
pub mod watch;
pub mod apply;
pub mod follow;
pub mod release;

pub use connect::{ConnectError, Connection, Progress, Target};
pub use follow::{Event, Following, follow};
pub use read::{Reading, read, read_connected};
