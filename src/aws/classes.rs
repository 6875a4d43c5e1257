//! EC2NodeClasses: what their selectors mean is looked up again and again, tried in dry runs, and written into their status. The watch of
//! the controller sees it there.
//!
//! Source: the reference's `nodeclass` controllers and their intervals (karpenter-aws 6).

mod dry_runs;
mod end;
mod look;
mod observed;
mod parameters;
mod profile;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Leads;
use super::connect::Aws;
use super::facts::Facts;
use super::market::Keeper;
use super::templates::Templates;
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels::FINALIZER_EC2_NODE_CLASS as FINALIZER;
use crate::cloud::ec2::class_status;
use crate::cloud::ec2::fleet::Addresses;
use observed::{Looks, Need};
pub(super) use parameters::Parameters;
pub use profile::tidy_profiles;

/// Classes that are looked at at once, as in the reference.
const CONCURRENT: usize = 10;
/// What could not be done is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// What the loop is told.
#[derive(Debug, Clone, Copy)]
pub struct ClassSettings {
    /// `AMI_REFRESH_INTERVAL`.
    pub images_every: Duration,
    /// `SUBNET_REFRESH_INTERVAL`.
    pub subnets_every: Duration,
    /// `DISABLE_DRY_RUN`.
    pub no_dry_runs: bool,
    /// `ISOLATED_VPC`: IAM cannot be reached.
    pub is_isolated: bool,
}

/// Looks after the classes of a cluster.
pub(super) struct Classes {
    pub aws: Aws,
    pub client: Client,
    pub facts: Facts,
    pub settings: ClassSettings,
    pub addresses: Arc<Mutex<Addresses>>,
    pub market: Arc<Keeper>,
    pub leads: Leads,
    pub parameters: Parameters,
    pub templates: Arc<Templates>,
}

/// A class, what was found for it, and when it is looked at next.
struct Entry {
    class: Arc<EC2NodeClass>,
    /// While it is being looked at whoever looks has them.
    looks: Looks,
    /// `None`: it is being looked at, and has not changed since.
    due: Option<Instant>,
    is_looked_at: bool,
    /// Among those that are being listed.
    is_listed: bool,
}

/// What a look at a class has come to.
struct Looked {
    class: Arc<EC2NodeClass>,
    looks: Looks,
    next: Instant,
}

impl Classes {
    /// Does not end.
    pub async fn run(&self) {
        let resource = ApiResource::erase::<EC2NodeClass>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let mut seen = watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut looking = FuturesUnordered::new();
        loop {
            let waiting = entries.values().filter(|entry| !entry.is_looked_at && looking.len() < CONCURRENT);
            let next = waiting.filter_map(|entry| entry.due).min();
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = seen.next() => match event {
                    Some(Ok(event)) => self.forget(note(&mut entries, event)),
                    Some(Err(error)) => debug!(controller = "nodeclass", "EC2NodeClasses cannot be watched for now: {error}"),
                    None => return,
                },
                // one that is slow holds up no other
                Some(looked) = looking.next() => self.forget(take(&mut entries, looked)),
                () = time => {
                    let most = CONCURRENT - looking.len();
                    looking.extend(self.due(&mut entries, most).into_iter().map(|(class, looks)| self.look(class, looks)));
                }
            }
        }
    }

    /// Classes that are gone: what was found for them does not count any more.
    fn forget(&self, gone: impl IntoIterator<Item = String>) {
        gone.into_iter().for_each(|class| self.market.forget_class(&class));
    }

    /// Those for which it is time; from now on they are being looked at.
    fn due(&self, entries: &mut BTreeMap<String, Entry>, most: usize) -> Vec<(Arc<EC2NodeClass>, Looks)> {
        let now = Instant::now();
        let due = entries.values_mut().filter(|entry| !entry.is_looked_at && entry.due.is_some_and(|due| due <= now));
        if !(self.leads)() {
            due.for_each(|entry| entry.due = Some(now + AGAIN));
            return Vec::new();
        }
        let begin = |entry: &mut Entry| {
            (entry.due, entry.is_looked_at) = (None, true);
            (entry.class.clone(), std::mem::take(&mut entry.looks))
        };
        due.take(most).map(begin).collect()
    }

    async fn look(&self, class: Arc<EC2NodeClass>, mut looks: Looks) -> Looked {
        let next = match Box::pin(self.reconcile(&class, &mut looks)).await {
            Ok(next) => next,
            Err(reason) => {
                warn!(controller = "nodeclass", EC2NodeClass = class.name_any(), "{reason}");
                Instant::now() + AGAIN
            }
        };
        Looked { class, looks, next }
    }

    /// Brings a class up to date; when it is looked at next.
    async fn reconcile(&self, class: &Arc<EC2NodeClass>, looks: &mut Looks) -> Result<Instant, String> {
        if class.metadata.deletion_timestamp.is_some() {
            return self.end(class, looks).await;
        }
        if !class.finalizers().iter().any(|known| known == FINALIZER) {
            let finalizers: Vec<&str> = class.finalizers().iter().map(String::as_str).chain([FINALIZER]).collect();
            self.patch(class, &json!({"metadata": {"finalizers": finalizers}})).await?;
            return Ok(Instant::now() + AGAIN); // it is seen with it, and looked at at once
        }
        let cluster = self.facts.now();
        let need = Need {
            aws: &self.aws,
            cluster: &cluster,
            settings: &self.settings,
            client: &self.client,
            market: &self.market,
            parameters: &self.parameters,
            templates: &self.templates,
        };
        Box::pin(looks.refresh(class, need)).await;
        if let Some(free) = looks.take_free_addresses() {
            self.addresses.lock().unwrap_or_else(std::sync::PoisonError::into_inner).learn(free);
        }
        if let Some((asked, found)) = looks.reservations() {
            self.market.learn_reservations(&class.name_any(), asked, found);
        }
        let has_group = class.spec.placement_group_selector.is_some();
        match looks.observed().placement_group.found() {
            Some(group) if has_group => self.market.learn_placement_group(&class.name_any(), group.as_ref()),
            None if has_group => {}
            _ => self.market.learn_placement_group(&class.name_any(), None),
        }
        let now = Timestamp::now();
        let mut status = class_status::status(class, looks.observed(), now);
        let tried = Arc::new(EC2NodeClass { status: Some(status.clone()), ..EC2NodeClass::clone(class) });
        if looks.try_out(&tried, need).await {
            status = class_status::status(class, looks.observed(), now);
        }
        if class.status.as_ref() != Some(&status) {
            self.write(class, &status).await?;
        }
        Ok(looks.next())
    }

    /// Its parts in full, so that what is not there any more goes.
    async fn write(
        &self,
        class: &EC2NodeClass,
        status: &crate::api::ec2_node_class::EC2NodeClassStatus,
    ) -> Result<(), String> {
        let status = serde_json::to_value(status).map_err(|error| format!("its status cannot be written: {error}"))?;
        let mut body = json!({"subnets": null, "securityGroups": null, "amis": null, "capacityReservations": null,
            "instanceProfile": null, "conditions": null});
        if let (Value::Object(all), Value::Object(now)) = (&mut body, status) {
            all.extend(now);
        }
        let body = json!({"metadata": {"uid": class.metadata.uid}, "status": body});
        let api: Api<EC2NodeClass> = Api::all(self.client.clone());
        match api.patch_status(&class.name_any(), &PatchParams::default(), &Patch::Merge(&body)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("its status cannot be written: {error}")),
        }
    }

    /// Refused where anybody has changed it since it was read.
    async fn patch(&self, class: &EC2NodeClass, body: &Value) -> Result<(), String> {
        let mut body = body.clone();
        body["metadata"]["uid"] = json!(class.metadata.uid);
        body["metadata"]["resourceVersion"] = json!(class.metadata.resource_version);
        let api: Api<EC2NodeClass> = Api::all(self.client.clone());
        match api.patch(&class.name_any(), &PatchParams::default(), &Patch::Merge(&body)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()), // the watch will say
            Err(error) => Err(format!("its finalizers cannot be written: {error}")),
        }
    }
}

/// What was found is of the spec that it was found for. The class, where it has gone meanwhile.
fn take(entries: &mut BTreeMap<String, Entry>, Looked { class, looks, next }: Looked) -> Option<String> {
    let Some(entry) = entries.get_mut(&class.name_any()) else { return Some(class.name_any()) };
    if entry.class.metadata.uid != class.metadata.uid {
        return None;
    }
    if entry.class.metadata.generation == class.metadata.generation {
        entry.looks = looks;
    }
    entry.is_looked_at = false;
    entry.due = Some(entry.due.map_or(next, |due| due.min(next)));
    None
}

/// One whose spec has changed, or that is about to go, is looked at at once. Those that are gone.
fn note(entries: &mut BTreeMap<String, Entry>, event: watcher::Event<DynamicObject>) -> Vec<String> {
    let object = match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => object,
        watcher::Event::Delete(object) => {
            entries.remove(&object.name_any());
            return vec![object.name_any()];
        }
        watcher::Event::Init => {
            for entry in entries.values_mut() {
                entry.is_listed = false;
            }
            return Vec::new();
        }
        watcher::Event::InitDone => {
            let gone = entries.iter().filter(|(_, entry)| !entry.is_listed).map(|(name, _)| name.clone()).collect();
            entries.retain(|_, entry| entry.is_listed);
            return gone;
        }
    };
    let name = object.name_any();
    let read = serde_json::to_value(&object).and_then(serde_json::from_value::<EC2NodeClass>);
    let class = match read {
        Ok(class) => Arc::new(class),
        Err(error) => {
            warn!(controller = "nodeclass", EC2NodeClass = name, "it cannot be read: {error}");
            entries.remove(&name);
            return vec![name];
        }
    };
    let same = entries.get_mut(&name).filter(|entry| entry.class.metadata.uid == class.metadata.uid);
    let Some(entry) = same else {
        let due = Some(Instant::now());
        entries.insert(name, Entry { class, looks: Looks::default(), due, is_looked_at: false, is_listed: true });
        return Vec::new();
    };
    let of = |class: &EC2NodeClass| {
        let meta = &class.metadata;
        (meta.generation, meta.deletion_timestamp.is_some(), meta.finalizers.clone())
    };
    if of(&entry.class) != of(&class) {
        entry.due = Some(Instant::now());
    }
    if entry.class.metadata.generation != class.metadata.generation {
        entry.looks = Looks::default();
    }
    entry.class = class;
    entry.is_listed = true;
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_gone_are_told_once_nobody_looks_at_them() {
        let object = |name: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": name, "uid": name},
                "spec": {"role": "r", "subnetSelectorTerms": [], "securityGroupSelectorTerms": []},
            }))
            .unwrap()
        };
        let mut entries = BTreeMap::new();
        let nobody: [&str; 0] = [];
        for name in ["a", "b", "c"] {
            assert_eq!(note(&mut entries, watcher::Event::Apply(object(name))), nobody);
        }
        let class = entries["a"].class.clone();
        let looked = || Looked { class: class.clone(), looks: Looks::default(), next: Instant::now() };
        assert_eq!(take(&mut entries, looked()), None);
        assert_eq!(note(&mut entries, watcher::Event::Delete(object("a"))), ["a"]);
        assert_eq!(take(&mut entries, looked()).as_deref(), Some("a"), "what was found meanwhile was told");
        assert_eq!(note(&mut entries, watcher::Event::Init), nobody);
        assert_eq!(note(&mut entries, watcher::Event::InitApply(object("b"))), nobody);
        assert_eq!(note(&mut entries, watcher::Event::InitDone), ["c"], "it went while nobody watched");
    }
}
