//! Solution -> [`Plan`]: what would be done, complete: it leaves no choice to whoever applies it.

pub mod check;
pub mod claims;
pub mod daemons;
pub mod failure;
pub mod types;
mod build;
mod exchange;
mod names;
pub mod preferences;
mod reasons;
pub mod report;

pub use build::{NOT_REACHED, build, launch_of};
pub use check::{Rule, Violation, check};
pub use types::{
    Assignment, Certificate, Checked, Draft, Launch, LeftBound, Offer, Outcome, Plan, Stage, Stop, Target, Unplaced,
};
