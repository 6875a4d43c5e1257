//! Tables from the Kubernetes documentation, plans that are valid by construction, and plans broken in one way.

mod breaks;
mod launches;
mod naive;
mod random;
mod scheduler;
mod tables;
mod world;
