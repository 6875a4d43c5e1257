//! The Kubernetes seam: what reads from and writes to a live cluster.

pub mod connect;
mod kubeconfig;
mod words;
mod document;
pub mod read;
pub mod examine;
pub mod apply;
pub mod release;
pub mod events;
pub mod write;
pub mod lease;
pub mod decisions;
pub mod control;
pub mod telling;
pub mod serve;

pub use connect::{ConnectError, Connection, Progress, Target, is_inside};
pub use control::{Cloud, Hosting, Listener, Outside, control};
pub use lease::{Election, Stand, resign, stand};
pub use read::{Reading, read, read_connected};
