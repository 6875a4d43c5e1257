//! The end of a class: it waits for the nodes that are made with it.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::json;
use tokio::time::Instant;
use tracing::info;

use super::{AGAIN, Classes, FINALIZER, profile};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_claim::NodeClaim;

impl Classes {
    /// Takes the finalizer off once no claim names the class and its instance profiles are gone.
    pub(super) async fn end(&self, class: &EC2NodeClass) -> Result<Instant, String> {
        let again = Instant::now() + AGAIN;
        if !class.finalizers().iter().any(|known| known == FINALIZER) {
            return Ok(again);
        }
        let claims: Api<NodeClaim> = Api::all(self.client.clone());
        let listed = claims
            .list(&ListParams::default())
            .await
            .map_err(|error| format!("NodeClaims cannot be listed: {error}"))?;
        let names = |claim: &&NodeClaim| {
            let of = &claim.spec.node_class_ref;
            of.kind == "EC2NodeClass" && of.name == class.name_any()
        };
        let left: BTreeSet<String> = listed.items.iter().filter(names).map(NodeClaim::name_any).collect();
        if let Some(first) = left.first() {
            info!(
                controller = "nodeclass.termination",
                EC2NodeClass = class.name_any(),
                "waits for {} NodeClaims, {first} among them",
                left.len()
            );
            return Ok(again);
        }
        // of what an earlier role has left behind profiles are tidied up
        if class.spec.role.is_some() && !self.settings.is_isolated {
            profile::delete_all(&self.aws, class, &self.facts.now()).await?;
        }
        let finalizers: Vec<&String> = class.finalizers().iter().filter(|known| *known != FINALIZER).collect();
        self.patch(class, &json!({"metadata": {"finalizers": finalizers}})).await?;
        Ok(again)
    }
}
