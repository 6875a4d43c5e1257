//! The Kubernetes seam: what reads from and writes to a live cluster.

pub mod connect;
mod kubeconfig;
mod words;
pub mod read;
pub mod watch;
pub mod apply;
pub mod follow;
pub mod release;
pub mod events;
pub mod write;
pub mod control;

<<<<<<< HEAD
pub use connect::{ConnectError, Connection, Target};
pub use control::{Hosting, Told, control};
=======
pub use connect::{ConnectError, Connection, Progress, Target};
>>>>>>> live-fixes
pub use follow::{Event, Following, follow};
pub use read::{Reading, read, read_connected};
