//! A command for nodes that go, in short.

use std::fmt;
use std::sync::Arc;

use crate::consolidation::Command;
use crate::disruption::Method;
use crate::units::MicroUsd;

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saving {
    /// Why.
    pub method: Method,
    /// Nodes that go, by name.
    pub nodes: Vec<Arc<str>>,
    /// Nodes that come for them.
    pub launches: usize,
    /// Pods that move.
    pub pods: usize,
    /// Of an hour, at least.
    pub saved: MicroUsd,
}

impl Saving {
    /// Of a command.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        Self {
            method: command.method,
            nodes: command.removed.iter().map(|of| of.node.clone()).collect(),
            launches: command.launches.len(),
            pods: command.moves.len(),
            saved: command.saved,
        }
    }

    /// As the reference's metrics call it.
    #[must_use]
    pub fn decision(&self) -> &'static str {
        if self.launches == 0 { "delete" } else { "replace" }
    }

    /// As the reference's metrics call it.
    #[must_use]
    pub fn consolidation_type(&self) -> &'static str {
        if self.nodes.len() == 1 { "single" } else { "multi" }
    }
}

impl fmt::Display for Saving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, nodes, launches, pods, saved } = self;
        write!(
            f,
            "{}, {}, for {launches} new node(s), {pods} pod(s) move, {saved} $/h are saved",
            nodes.join(", "),
            method.label()
        )
    }
}
