//! All integration tests: one module for each subject.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod crds;
mod examples;
mod validation;
