//! Conditions of a NodeClaim are written where they say something new.

use serde_json::{Value, json};

use super::cluster::Claimed;
use super::conditions::{Conditions, OF_CLAIM};
use super::turn::Turn;

/// Type, status, reason and message.
pub(super) type Noted<'n> = (&'n str, &'n str, &'n str, &'n str);

/// What became of conditions that were to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// They stand there.
    Known,
    Sent,
    /// They are news, and the claim cannot be written now.
    Waits,
}

impl Writing {
    pub fn is_news(self) -> bool {
        self != Self::Known
    }

    pub fn is_sent(self) -> bool {
        self == Self::Sent
    }
}

/// Writes conditions, and more of the status, where one of them says something new.
pub(super) fn note(claimed: &Claimed<'_>, mut more: Value, conditions: &[Noted<'_>], turn: &mut Turn<'_>) -> Writing {
    let known = claimed.claim.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let is_known = |&(kind, status, reason, message): &Noted<'_>| {
        known.iter().any(|of| of.type_ == kind && of.status == status && of.reason == reason && of.message == message)
    };
    if conditions.iter().all(is_known) {
        return Writing::Known;
    }
    let mut written = Conditions::of(known, claimed.claim.metadata.generation, turn.now);
    for (kind, status, reason, message) in conditions {
        written.set(kind, status, reason, message);
    }
    written.sum_up(&OF_CLAIM);
    more["conditions"] = json!(written.into_list());
    if turn.patch_status("NodeClaim", &claimed.claim.metadata, &more) { Writing::Sent } else { Writing::Waits }
}
