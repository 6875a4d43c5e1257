//! What a live cluster holds, kept current: one watch for each kind that following a plan reads.

use std::fmt::Debug;
use std::pin::Pin;

use futures::FutureExt as _;
use futures::stream::{Stream, StreamExt as _, select_all};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::runtime::reflector::{Store, store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::words::with_causes;
use crate::api::node_claim::NodeClaim;
use crate::placement::Objects;

/// Something changed, or why that cannot be seen. The watch goes on by itself, with growing pauses.
pub type Change = Result<(), String>;

/// An endless stream.
pub type Changes = Pin<Box<dyn Stream<Item = Change> + Send>>;

/// Stores that are as current as their changes were read.
pub struct Watched {
    nodes: Store<Node>,
    pods: Store<Pod>,
    daemon_sets: Store<DaemonSet>,
    claims: Store<NodeClaim>,
    namespaces: Store<Namespace>,
}

/// Starts to watch.
#[must_use]
pub fn watch(client: &Client) -> (Watched, Changes) {
    let (nodes, of_nodes) = watch_kind(client);
    let (pods, of_pods) = watch_kind(client);
    let (daemon_sets, of_daemon_sets) = watch_kind(client);
    let (claims, of_claims) = watch_kind(client);
    let (namespaces, of_namespaces) = watch_kind(client);
    let watched = Watched { nodes, pods, daemon_sets, claims, namespaces };
    (watched, select_all([of_nodes, of_pods, of_daemon_sets, of_claims, of_namespaces]).boxed())
}

fn watch_kind<K>(client: &Client) -> (Store<K>, Changes)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, writer) = store();
    let kind = K::kind(&()).into_owned();
    let changes = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|object| object.managed_fields_mut().clear())
        .reflect(writer)
        .map(move |event| event.map(drop).map_err(|error| format!("{kind} objects: {}", with_causes(&error))));
    (reader, changes.boxed())
}

impl Watched {
    /// What is known now; `None` until every kind has been listed once.
    #[must_use]
    pub fn objects(&self) -> Option<Objects> {
        let is_listed = is_listed(&self.nodes)
            && is_listed(&self.pods)
            && is_listed(&self.daemon_sets)
            && is_listed(&self.claims)
            && is_listed(&self.namespaces);
        is_listed.then(|| Objects {
            nodes: self.nodes.state(),
            pods: self.pods.state(),
            daemon_sets: self.daemon_sets.state(),
            claims: self.claims.state(),
            namespaces: self.namespaces.state(),
        })
    }
}

fn is_listed<K>(store: &Store<K>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.wait_until_ready().now_or_never().is_some_and(|ready| ready.is_ok())
}
