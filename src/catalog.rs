//! Instance types and their offerings: capacity, overhead, labels, prices.

pub mod instance_type;

pub use instance_type::{CapacityType, InstanceType, Offering, Overhead, Reservation};
