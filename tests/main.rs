//! All integration tests: one module for each subject.

mod crds;
mod architecture;
mod catalog;
mod instances;
mod karpenter_mix;
mod licences;
mod types;
mod load;
