//! When the controller takes nodes away that are used.

use clap::ValueEnum;

use crate::consolidation::Policy;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Consolidation {
    Frugal,
    Calm,
    Any,
    Off,
}

impl Consolidation {
    pub fn policy(self) -> Option<Policy> {
        match self {
            Self::Frugal => Some(Policy::default()),
            Self::Calm => Some(Policy::calm()),
            Self::Any => Some(Policy::anything()),
            Self::Off => None,
        }
    }
}
