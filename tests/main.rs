//! All integration tests: one module for each subject.

mod crds;
mod examples;
mod validation;
