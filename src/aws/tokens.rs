//! The tokens of launches on the claims that they are for, and the instance profile that their instances get.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::json;

use crate::api::labels;
use crate::api::node_claim::NodeClaim;

/// Writes that are on their way at once.
const CONCURRENT: usize = 64;

/// Writes the token of a launch to its claims, by name and uid; with the instance profile, which is kept for as long as a claim names it. Those that are gone: nobody will look for their instances.
///
/// # Errors
/// Why one was not written: nothing may be bought then.
pub(super) async fn write(
    client: &Client,
    claims: &[(Arc<str>, Arc<str>)],
    token: &str,
    instance_profile: &str,
) -> Result<BTreeSet<Arc<str>>, String> {
    let api: Api<NodeClaim> = Api::all(client.clone());
    let write = |(name, uid): (Arc<str>, Arc<str>)| {
        let api = api.clone();
        async move {
            let body = json!({"metadata": {"uid": &*uid, "annotations": {labels::LAUNCH: token, labels::INSTANCE_PROFILE_NAME: instance_profile}}});
            match api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&body)).await {
                Ok(_) => Ok(None),
                Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Some(uid)), // 409: another one has its name
                Err(error) => Err(format!("failed to write the token of the launch to NodeClaim {name}: {error}")),
            }
        }
    };
    let written = futures::stream::iter(claims.to_vec()).map(write).buffer_unordered(CONCURRENT);
    written.try_filter_map(async |gone| Ok(gone)).try_collect().await
}
