//! Everything that a controller observes of a live cluster: one watch for each kind that is read.

use std::sync::Arc;
use std::time::Duration;

use super::document::Document;
use super::read::NEEDED;
use super::words::with_causes;
use crate::controller::{Event, world::key_of};
use crate::observe::RawObject;
use crate::observe::input::Origin;
use crate::observe::objects::{KINDS, KnownKind};
use futures::stream::{BoxStream, StreamExt as _, select_all};
use kube::api::{Api, ListParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Error};

/// Something changed, or a kind cannot be watched for now, and why. Watches go on by themselves, with growing pauses.
pub type Seen = Result<Event, String>;

/// Starts to watch. Each kind is told as a whole first; one that the cluster does not know, or that may not be listed, is told as
/// empty where decisions can do without it.
#[must_use]
pub fn events(client: &Client) -> BoxStream<'static, Seen> {
    select_all(KINDS.iter().map(|kind| of_kind(client, kind))).boxed()
}

fn of_kind(client: &Client, kind: &'static KnownKind) -> BoxStream<'static, Seen> {
    let resource = resource(kind);
    let api: Api<Document> = Api::all_with(client.clone(), &resource);
    let mut reader = Reader::new(kind, &resource);
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    stream.filter_map(move |event| std::future::ready(reader.read(event))).boxed()
}

pub(super) fn resource(kind: &KnownKind) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group, kind.version, kind.name))
}

/// Makes events of what a watch says.
struct Reader {
    kind: &'static KnownKind,
    types: TypeMeta,
    origin: Origin,
    /// The list that is being read.
    listing: Vec<RawObject>,
    is_told: bool,
    /// It was seen, and can be read no more.
    is_lost: bool,
}

impl Reader {
    fn new(kind: &'static KnownKind, resource: &ApiResource) -> Self {
        let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
        let origin = Origin { file: Arc::from("cluster"), ..Origin::default() };
        Self { kind, types, origin, listing: Vec::new(), is_told: false, is_lost: false }
    }

    fn read(&mut self, event: Result<watcher::Event<Document>, watcher::Error>) -> Option<Seen> {
        let kind = self.kind.name;
        match event {
            Ok(watcher::Event::Init) => {
                self.listing.clear();
                None
            }
            Ok(watcher::Event::InitApply(object)) => {
                self.listing.push(raw(object, &self.types, &self.origin));
                None
            }
            Ok(watcher::Event::InitDone) => {
                (self.is_told, self.is_lost) = (true, false);
                Some(Ok(Event::Listed { kind, objects: std::mem::take(&mut self.listing) }))
            }
            Ok(watcher::Event::Apply(object)) => {
                Some(Ok(Event::Seen { kind, object: raw(object, &self.types, &self.origin) }))
            }
            Ok(watcher::Event::Delete(object)) => {
                let uid = Arc::from(object.metadata.uid.as_deref().unwrap_or_default());
                let key = key_of(&object.value)?;
                Some(Ok(Event::Gone { kind, key, uid }))
            }
            Err(error) if !self.is_told && !NEEDED.contains(&kind) && is_absent(&error) => {
                (self.is_told, self.is_lost) = (true, true); // it was never seen
                Some(Ok(Event::Listed { kind, objects: Vec::new() }))
            }
            Err(error) if is_absent(&error) && !NEEDED.contains(&kind) => {
                let was_lost = std::mem::replace(&mut self.is_lost, true);
                let why = || {
                    format!("{kind} objects cannot be read any more, and stay as they were: {}", with_causes(&error))
                };
                (!was_lost).then(|| Err(why()))
            }
            Err(error) => Some(Err(format!("{kind} objects: {}", with_causes(&error)))),
        }
    }
}

/// The pods that are bound to a node now; an answer that takes longer than `limit` is not waited for.
///
/// # Errors
/// Why they are not listed.
pub async fn pods_of(client: &Client, node: &str, limit: Duration) -> Result<Vec<RawObject>, String> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == "Pod") else { return Ok(Vec::new()) };
    let resource = resource(kind);
    let api: Api<Document> = Api::all_with(client.clone(), &resource);
    let of_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let answer = tokio::time::timeout(limit, api.list(&of_node)).await;
    let listed = answer.map_err(|_| format!("no answer within {} s", limit.as_secs_f64()))?;
    let types = TypeMeta { api_version: resource.api_version, kind: resource.kind };
    let origin = Origin { file: Arc::from("cluster"), ..Origin::default() };
    let pods = listed.map_err(|error| with_causes(&error))?;
    Ok(pods.items.into_iter().map(|pod| raw(pod, &types, &origin)).collect())
}

/// The cluster does not know the kind, or does not let us list it.
fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(Error::Api(status)) => [403, 404].contains(&status.code),
        _ => false,
    }
}

/// An object as the controller reads it: with its generation.
pub(super) fn raw(object: Document, types: &TypeMeta, origin: &Origin) -> RawObject {
    let generation = object.metadata.generation;
    let mut raw = object.raw(types, origin);
    if let Some(generation) = generation {
        raw.value["metadata"]["generation"] = generation.into();
    }
    raw
}
