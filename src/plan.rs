//! Solution -> [`Plan`]: what would be done, complete: it leaves no choice to whoever applies it.

pub mod check;
pub mod types;

pub use check::{Rule, Violation, check};
pub use types::{Assignment, Certificate, Checked, Draft, Launch, Offer, Plan, Stage, Stop, Target, Unplaced};
