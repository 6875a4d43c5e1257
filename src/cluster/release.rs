//! Frees every reserved node of a live cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, Error};

use super::apply::{Applied, apply};
use super::connect::{ConnectError, Target, with_causes};
use super::read::reason;
use crate::placement::release as freeing;
use crate::placement::reservation::Reservation;

/// A node that somebody else changes at the same time is read anew so often.
const ATTEMPTS: usize = 10;
/// Nodes a page.
const PAGE: u32 = 500;
/// An answer is waited for so long.
const ANSWER: Duration = Duration::from_secs(30);

/// One node that was ours to free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Its name.
    pub node: String,
    /// What it was.
    pub was: Reservation,
    /// Why it could not be freed.
    pub failure: Option<String>,
}

/// Connects and frees them.
///
/// # Errors
/// No connection, or one over which the nodes cannot be listed.
pub fn release(target: &Target) -> Result<Vec<Released>, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectError::Kubeconfig(format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let connection = target.connect().await?;
        let failed =
            |error: Error| ConnectError::Client { context: connection.context.clone(), reason: reason(&error) };
        release_all(&connection.client).await.map_err(failed)
    })
}

/// Frees them one after another; one that cannot be freed does not keep the others.
///
/// # Errors
/// The nodes cannot be listed.
pub async fn release_all(client: &Client) -> Result<Vec<Released>, Error> {
    let api: Api<Node> = Api::all(client.clone());
    let mut released = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let nodes = api.list(&page).await?;
        for node in nodes.items {
            released.extend(release_one(client, &api, node).await);
        }
        match nodes.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(released),
        }
    }
}

async fn release_one(client: &Client, api: &Api<Node>, mut node: Node) -> Option<Released> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let was = Reservation::of(&node);
    let done = |failure| Some(Released { node: name.clone(), was: was.clone(), failure });
    let mut is_first = true;
    for _ in 0..ATTEMPTS {
        let Some(action) = freeing(&node) else {
            return if is_first { None } else { done(None) }; // somebody else was faster
        };
        match apply(client, &action.patch, ANSWER).await {
            Applied::Done => return done(None),
            Applied::Refused(reason) | Applied::Failed(reason) => return done(Some(reason)),
            Applied::Outdated => {}
        }
        node = match api.get_opt(&name).await {
            Ok(Some(node)) => node,
            Ok(None) => return done(None),
            Err(error) => return done(Some(with_causes(&error))),
        };
        is_first = false;
    }
    done(Some(format!("it was changed by others {ATTEMPTS} times while it was to be freed")))
}
