//! A live cluster -> raw objects: every kind that a decision reads, in pages, and nothing is written.

use std::cell::Cell;
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::core::TypeMeta;
use kube::discovery::ApiResource;
use kube::{Client, Error};

use super::connect::{ConnectError, Connection, Progress, Target};
use super::document::Document;
use super::words::with_causes;
use crate::cloud::kwok::is_machine;
use crate::observe::input::Origin;
use crate::observe::not_read::{Lack, RIGHTS, UNKNOWN_KIND};
use crate::observe::objects::{KnownKind, decided_by};
use crate::observe::{NotRead, RawObject};

/// Objects a page.
const PAGE: u32 = 500;
/// Times that a list is read anew because its pages expired.
const ATTEMPTS: usize = 3;
/// Without these there is no decision: that they cannot be read is an error, not a note.
pub(super) const NEEDED: [&str; 4] = ["Pod", "Node", "NodePool", "NodeClaim"];

/// Kinds that a cluster has only where somebody installed them.
const INSTALLED: [&str; 2] = ["karpenter.sh", "karpenter.k8s.aws"];

/// What could be read of a cluster, and what could not.
#[derive(Debug, Default)]
pub struct Reading {
    pub objects: Vec<RawObject>,
    pub not_read: NotRead,
}

/// Lists every kind. `progress` hears what is waited for, and how many objects have come so far.
///
/// # Errors
/// No connection, or one that nothing could be read from.
pub fn read(target: &Target, progress: &dyn Fn(Progress)) -> Result<Reading, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectError::Kubeconfig(format!("failed to start: {error}")))?;
    runtime.block_on(async { read_connected(&target.connect(progress).await?, progress).await })
}

/// As [`read`], over a connection.
///
/// # Errors
/// Nothing can be read from it.
pub async fn read_connected(connection: &Connection, progress: &dyn Fn(Progress)) -> Result<Reading, ConnectError> {
    let Connection { client, context } = connection;
    let count = Cell::new(0);
    let origin: Arc<str> = Arc::from(format!("context {context}"));
    // one that cannot be reached is told once
    let unreachable = |error: &Error| ConnectError::Client { context: context.clone(), reason: reason(error) };
    client.apiserver_version().await.map_err(|error| unreachable(&error))?;
    let tell = |more: usize| {
        count.set(count.get() + more);
        progress(Progress::Objects(count.get()));
    };
    tell(0);
    let lister = Lister { client, origin: &origin, tell: &tell };
    let lists = join_all(decided_by().map(|kind| lister.list(kind))).await;
    let mut reading = Reading::default();
    for (kind, list) in decided_by().zip(lists) {
        let is_needed = NEEDED.contains(&kind.name);
        let not_read = &mut reading.not_read;
        match list {
            Ok(objects) => reading.objects.extend(objects),
            Err(Error::Api(status)) if status.code == 404 && !is_needed => {} // not installed
            Err(Error::Api(status)) if status.code == 403 && !is_needed => {
                not_read.forbidden.push(kind.name.to_owned());
            }
            Err(error) => {
                let lack =
                    Lack { source: origin.to_string(), kind: kind.name.to_owned(), reason: way_out(kind, &error) };
                if is_needed { not_read.errors.push(lack) } else { not_read.others.push(lack) }
            }
        }
    }
    // as plans list them
    reading.not_read.errors.sort();
    Ok(reading)
}

/// Why a kind could not be listed, and what helps.
fn way_out(kind: &KnownKind, error: &Error) -> String {
    let reason = reason(error);
    match error {
        Error::Api(status) if status.code == 404 && INSTALLED.contains(&kind.group) => {
            format!("{reason}; `packwright crds | kubectl apply --server-side -f -` installs it")
        }
        Error::Api(status) if status.code == 403 => format!("{reason} ({RIGHTS})"),
        _ => reason,
    }
}

/// Lists kinds, one page after another.
struct Lister<'l> {
    client: &'l Client,
    origin: &'l Arc<str>,
    tell: &'l dyn Fn(usize),
}

impl Lister<'_> {
    async fn list(&self, kind: &KnownKind) -> Result<Vec<RawObject>, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.pages(kind).await {
                // the rest of the list is no longer known
                Err(Error::Api(status)) if status.code == 410 && attempts < ATTEMPTS => {}
                read => return read,
            }
        }
    }

    async fn pages(&self, kind: &KnownKind) -> Result<Vec<RawObject>, Error> {
        let gvk = kube::core::GroupVersionKind::gvk(kind.group, kind.version, kind.name);
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<Document> = Api::all_with(self.client.clone(), &resource);
        let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
        let mut objects = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let read = api.list(&page).await?;
            (self.tell)(read.items.len());
            let origin = Origin { file: self.origin.clone(), ..Origin::default() };
            objects.extend(read.items.into_iter().map(|object| object.raw(&types, &origin)));
            match read.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(objects),
            }
        }
    }
}

/// A node that is a machine somebody pays for, if there is one: its name and providerID.
///
/// # Errors
/// One sentence: why nodes cannot be listed.
pub async fn a_machine(client: &Client) -> Result<Option<String>, String> {
    let api: Api<Node> = Api::all(client.clone());
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let read = api.list(&page).await.map_err(|error| format!("failed to list nodes: {}", reason(&error)))?;
        let machine = read.items.iter().find_map(|node| {
            let id = node.spec.as_ref()?.provider_id.as_deref().filter(|id| is_machine(id))?;
            Some(format!("node {} ({id})", node.metadata.name.as_deref().unwrap_or_default()))
        });
        match read.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) if machine.is_none() => page = page.continue_token(&next),
            _ => return Ok(machine),
        }
    }
}

/// Why a request failed.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::Api(status) if status.code == 404 => UNKNOWN_KIND.to_owned(),
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => with_causes(other),
    }
}
