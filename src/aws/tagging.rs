//! The tags that instances get once their nodes are registered: the name of the claim, and that of the node, which the console shows.
//!
//! Source: the reference's `nodeclaim.tagging`, which makes one call a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};
use tracing::warn;

use super::Leads;
use super::connect::Aws;
use super::facts::Facts;
use super::instances::KnownInstances;
use super::templates::tags;
use super::words::{code, reason};
use crate::api::node_claim::NodeClaim;
use crate::cloud::ec2::listing::parse_provider_id;
use crate::cloud::ec2::tags::once_registered;

const EVERY: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_secs(1);

/// Does not end.
pub(super) async fn keep(aws: Aws, client: Client, facts: Facts, known: Arc<KnownInstances>, leads: Leads) {
    loop {
        tokio::time::sleep(EVERY).await;
        let untagged = known.untagged();
        if !leads() || untagged.is_empty() {
            continue;
        }
        let claims: Api<NodeClaim> = Api::all(client.clone());
        let claims = match claims.list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            Err(error) => {
                warn!(controller = "nodeclaim.tagging", "NodeClaims cannot be listed: {error}");
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

/// The instance of a claim whose node is known, and the name of the node.
fn registered(claim: &NodeClaim) -> Option<(&str, (&NodeClaim, &str))> {
    let status = claim.status.as_ref()?;
    let node = status.node_name.as_deref().filter(|name| !name.is_empty())?;
    let (_, id) = parse_provider_id(status.provider_id.as_deref()?)?;
    Some((id, (claim, node)))
}
