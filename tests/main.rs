//! All integration tests: one module for each subject.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod cli;
mod crds;
mod docs;
mod anchors;
mod architecture;
#[cfg(feature = "live")]
mod aws;
mod bench;
mod bounds;
mod catalog;
mod charts;
#[cfg(feature = "live")]
mod cluster;
#[cfg(feature = "live")]
mod conformance;
mod image;
mod instances;
mod karpenter_mix;
mod licences;
mod types;
mod examples;
mod doctor;
mod explain;
mod validation;
mod verify;
mod what_if;
mod live;
mod load;
mod models;
#[cfg(feature = "live")]
mod following;
#[cfg(feature = "live")]
mod controlling;
mod packaging;
mod placement;
mod scenarios;
mod reference;
mod report;
mod short_of_room;
mod simulating;
mod solver;
mod worker;
