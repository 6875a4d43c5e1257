//! Solution -> [`Plan`]: what would be done, complete: it leaves no choice to whoever applies it.

pub mod types;
mod build;
mod names;
mod reasons;

pub use build::build;
pub use types::{Assignment, Certificate, Checked, Draft, Launch, Offer, Plan, Stage, Stop, Target, Unplaced};
