//! The tags that instances get once their nodes are registered: the name of the claim, and that of the node, which the console shows.
//!
//! Source: the reference's `nodeclaim.tagging`, which makes one call a second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::{Client, ResourceExt as _};
use tracing::warn;

use super::connect::Aws;
use super::facts::Facts;
use super::instances::KnownInstances;
use super::templates::tags;
use super::words::{code, reason};
use super::{Leads, claims};
use crate::api::node_claim::NodeClaim;
use crate::cloud::ec2::listing::parse_provider_id;
use crate::cloud::ec2::tags::once_registered;

const EVERY: Duration = Duration::from_secs(10);
/// Of those for which nothing could be done: nodes that do not register, and rights that are missing.
const LONGEST: Duration = Duration::from_secs(5 * 60);
const BETWEEN: Duration = Duration::from_secs(1);

/// Does not end.
pub(super) async fn keep(aws: Aws, client: Client, facts: Facts, known: Arc<KnownInstances>, leads: Leads) {
    let mut rhythm = Rhythm::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let untagged = known.untagged();
        if !leads() || !rhythm.is_time(untagged.iter().map(|(id, _)| id), Instant::now()) {
            continue;
        }
        let claims = match claims::remembered(&client).await {
            Ok(claims) => claims,
            Err(reason) => {
                warn!(controller = "nodeclaim.tagging", "{reason}");
                continue;
            }
        };
        let of_instance: BTreeMap<&str, (&NodeClaim, &str)> = claims.iter().filter_map(registered).collect();
        for (id, own) in untagged {
            let Some((claim, node)) = of_instance.get(id.as_str()) else { continue };
            if !leads() {
                break;
            }
            let wanted = once_registered(&facts.now(), &own, &claim.name_any(), node);
            match aws.ec2.create_tags().resources(&id).set_tags(Some(tags(&wanted))).send().await {
                Ok(_) => known.tagged(&id, wanted),
                Err(error) if code(&error) == Some("InvalidInstanceID.NotFound") => {}
                Err(error) => {
                    warn!(controller = "nodeclaim.tagging", instance = id, "{}", reason("CreateTags", &error));
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// When it is worth to look at the claims.
#[derive(Debug, Default)]
struct Rhythm {
    /// Those that have no tags yet, as of the last look.
    untagged: BTreeSet<String>,
    last: Option<Instant>,
    /// Since none of them came or went.
    pause: Duration,
}

impl Rhythm {
    /// Where others have no tags than at the last look; of the same ones after pauses that double.
    fn is_time<'i>(&mut self, untagged: impl Iterator<Item = &'i String>, now: Instant) -> bool {
        let untagged: BTreeSet<String> = untagged.cloned().collect();
        let is_same = untagged == self.untagged;
        if untagged.is_empty() || is_same && self.last.is_some_and(|last| now < last + self.pause) {
            return false;
        }
        self.pause = if is_same { (self.pause * 2).min(LONGEST) } else { EVERY };
        (self.untagged, self.last) = (untagged, Some(now));
        true
    }
}

/// The instance of a claim whose node is known, and the name of the node.
fn registered(claim: &NodeClaim) -> Option<(&str, (&NodeClaim, &str))> {
    let status = claim.status.as_ref()?;
    let node = status.node_name.as_deref().filter(|name| !name.is_empty())?;
    let (_, id) = parse_provider_id(status.provider_id.as_deref()?)?;
    Some((id, (claim, node)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_tagged_is_looked_at_less_and_less_often() {
        let (mut rhythm, start) = (Rhythm::default(), Instant::now());
        let mut looks = |ids: &[&str], from: u64, to: u64| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            let seconds = (from..to).step_by(10);
            seconds.filter(|at| rhythm.is_time(ids.iter(), start + Duration::from_secs(*at))).collect::<Vec<_>>()
        };
        assert_eq!(looks(&[], 0, 100).len(), 0);
        assert_eq!(looks(&["i-1"], 100, 800), [100, 110, 130, 170, 250, 410, 710]);
        assert_eq!(looks(&["i-1", "i-2"], 800, 830), [800, 810], "another one may be ready");
    }
}
