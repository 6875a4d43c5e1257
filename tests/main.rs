//! All integration tests: one module for each subject.

mod architecture;
mod instances;
mod licences;
