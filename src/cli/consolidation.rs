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
    pub fn policy(self) -> Policy {
        match self {
            Self::Frugal => Policy::default(),
            Self::Calm => Policy::calm(),
            Self::Any => Policy::anything(),
            Self::Off => Policy::off(),
        }
    }
}
