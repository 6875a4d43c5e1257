//! EC2 as data: what AWS is asked for nodes, and what its answers mean. No I/O, no clock, no client.
//!
//! ```text
//! EC2NodeClass --images, class_status--> status --families, user_data, launch_template, fleet--> CreateFleet --fleet, errors--> Answer
//! ```
//! Source: karpenter-provider-aws, whose tags, names of launch templates, statuses and reasons are kept.

pub mod environment;
pub mod errors;
pub mod tags;
pub mod filter;
pub mod families;
pub mod images;
pub mod selectors;
pub mod user_data;
pub mod node_template;
pub mod launch_template;
pub mod fleet;
pub mod listing;
pub mod messages;
pub mod instance_profile;
pub mod class_status;
pub mod drift;
pub mod zonal_shift;
#[cfg(test)]
mod fixtures;

pub use environment::{ClusterFacts, KubernetesVersion};
pub use filter::Filter;
pub use node_template::NodeTemplate;
