//! Why nodes stay, and why claims come to nothing, in one word.

/// What keeps a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing is to disrupt it of the controller's own accord.
    DisruptionBlocked,
    /// It is not consolidated.
    Unconsolidatable,
}

/// Why a claim comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// None of its offerings can be had now.
    InsufficientCapacity,
    /// Its node class cannot be used.
    NodeClassNotReady,
    /// There was no instance in time.
    LaunchTimeout,
    /// Its node did not register in time.
    RegistrationTimeout,
}

impl GivenUp {
    /// As the reference's metrics call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::InsufficientCapacity => "insufficient_capacity",
            Self::NodeClassNotReady => "nodeclass_not_ready",
            Self::LaunchTimeout => "launch_timeout",
            Self::RegistrationTimeout => "registration_timeout",
        }
    }
}
