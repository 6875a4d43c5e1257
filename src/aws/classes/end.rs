//! The end of a class: it waits for the nodes that are made with it.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::Instant;
use tracing::info;

use super::observed::Looks;
use super::{AGAIN, Classes, FINALIZER, profile};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_claim::NodeClaim;
use crate::aws::claims;

/// Many nodes take long to go: they are looked at again after a second for each, and after so long at most.
const LONGEST: Duration = Duration::from_secs(60);

impl Classes {
    /// Takes the finalizer off once no claim names the class and its instance profiles are gone.
    pub(super) async fn end(&self, class: &EC2NodeClass, looks: &mut Looks) -> Result<Instant, String> {
        if !class.finalizers().iter().any(|known| known == FINALIZER) {
            return Ok(Instant::now() + AGAIN);
        }
        let mut left = names(class, &claims::remembered(&self.client).await?);
        if left.is_empty() {
            left = names(class, &claims::of_now(&self.client).await?);
        }
        if let Some(first) = left.first() {
            if looks.waits_for(left.len()) {
                info!(
                    controller = "nodeclass.termination",
                    EC2NodeClass = class.name_any(),
                    "waits for {} NodeClaims, {first} among them",
                    left.len()
                );
            }
            return Ok(Instant::now() + pause(left.len()));
        }
        // of what an earlier role has left behind profiles are tidied up
        if class.spec.role.is_some() && !self.settings.is_isolated {
            profile::delete_all(&self.aws, class, &self.facts.now()).await?;
        }
        let finalizers: Vec<&String> = class.finalizers().iter().filter(|known| *known != FINALIZER).collect();
        self.patch(class, &json!({"metadata": {"finalizers": finalizers}})).await?;
        Ok(Instant::now() + AGAIN)
    }
}

/// The claims of a class.
fn names(class: &EC2NodeClass, claims: &[NodeClaim]) -> BTreeSet<String> {
    let is_of_class = |claim: &&NodeClaim| {
        let of = &claim.spec.node_class_ref;
        of.kind == "EC2NodeClass" && of.name == class.name_any()
    };
    claims.iter().filter(is_of_class).map(NodeClaim::name_any).collect()
}

fn pause(claims: usize) -> Duration {
    Duration::from_secs(claims.try_into().unwrap_or(u64::MAX)).clamp(AGAIN, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_nodes_there_are_the_longer_it_waits() {
        assert_eq!([1, 5, 30, 5_000].map(pause), [5, 5, 30, 60].map(Duration::from_secs));
    }
}
