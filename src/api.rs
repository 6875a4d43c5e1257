//! The API that users write: one file for each kind, and every well-known name.

#![allow(clippy::duplicated_attributes)] // clippy takes the columns in `printcolumn(...)` for attributes

pub mod labels;
pub mod duration;
pub mod schedule;
pub mod requirement;
pub mod node_class_reference;
pub mod node_pool;
pub mod node_claim;
pub mod ec2_node_class;
pub mod kwok_node_class;
pub mod node_overlay;
pub mod capacity_buffer;
pub mod crds;
pub mod validate;
pub mod reading;
mod schema;
