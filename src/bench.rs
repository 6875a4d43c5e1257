//! Benchmarks: instances of known origin, whole decisions under time limits, and how results compare.

pub mod bounds;
pub mod churn;
pub mod compare;
pub mod instances;
pub mod karpenter_mix;
pub mod measure;
pub mod node_groups;
mod plot;
pub mod results;

pub use plot::plot;
