//! The whole state machine against objects: what is there in, what it does to them out.

mod rig;
mod launching;
mod limits;
mod registering;
mod statics;
mod buffers;
mod conditions;
mod draining;
mod consolidating;
mod emptying;
mod expiring;
mod interrupting;
mod drifting;
mod repairing;
mod disruptable;
mod zonal_shifting;
mod awaiting;
