//! A claim that comes to nothing is deleted, and its pods are planned anew.
//!
//! Source: the reference's `nodeclaim/lifecycle/{launch,liveness}.go` (karpenter-core 5).

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Claimed;
use super::said::{GivenUp, Said};
use super::turn::Turn;

/// A claim without instance is given up at this age.
pub(super) const LAUNCH_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// A claim whose node does not register is given up so long after its launch.
pub(super) const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

pub(super) fn give_up(claimed: &Claimed<'_>, why: GivenUp, reason: &str, turn: &mut Turn<'_>) {
    if turn.delete_claim_as_read(claimed) {
        turn.say_once_taken(Said::GaveUp { claim: Arc::from(claimed.name()), why, reason: reason.to_owned() });
    }
}
