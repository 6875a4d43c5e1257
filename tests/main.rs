//! All integration tests: one module for each subject.
mod catalog;

mod crds;
mod architecture;
mod instances;
mod karpenter_mix;
mod licences;
