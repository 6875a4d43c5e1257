//! The vector by which plans are compared: pods left by priority, then preferences given up, then cost.

/// The less the better, first level first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Levels {
    /// Pods left, by priority, highest first.
    pub left: Vec<usize>,
    /// Weight of what the placed pods would have preferred.
    pub violated: i64,
    /// Micro-dollars an hour.
    pub cost: i64,
}
