//! Integer units: Kubernetes quantities, and money in micro-dollars.
//!
//! Everything that a decision compares or adds is an integer; floats exist only where HiGHS and nalgebra are.

pub mod money;
pub mod quantity;

pub use money::MicroUsd;
pub use quantity::{Quantity, QuantityError};
