//! What every NodePool can launch, kept until something changes that it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attention::Changes;
use super::conditions::READY;
use super::unavailable::{mark, mark_types};
use super::world::World;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::catalog::{Catalog, InstanceType};
use crate::cloud::OfferingName;
use crate::observe::objects::ObjectKey;
use crate::observe::snapshot::{NodeClassRef, NodePool};
use crate::observe::{Offered, OverlayState, is_launchable, market, types_of_class};
use crate::settings::Settings;

/// Kinds that it depends on.
const OF: [&str; 4] = ["NodePool", "EC2NodeClass", "KWOKNodeClass", "NodeOverlay"];

/// An object, and which of its states.
#[derive(Debug, PartialEq, Eq)]
struct State {
    kind: &'static str,
    key: ObjectKey,
    uid: Option<String>,
    /// Of a node class, whose status says whether it is ready and seldom changes; that of a pool changes with its nodes.
    version: Option<String>,
    generation: Option<i64>,
    is_deleting: bool,
    /// Reason and message of a pool that is not ready.
    unready: Option<(String, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Market {
    of: Option<(Vec<State>, BTreeSet<OfferingName>)>,
    /// Everything that is offered.
    offered: Offered,
    /// Without what cannot be had now.
    pools: Vec<NodePool>,
    /// Those that nodes may come from.
    usable: BTreeSet<Arc<str>>,
    /// One of them was not before the last update.
    has_more: bool,
    /// The account has not answered yet.
    is_awaited: bool,
    /// Of node classes that claims without NodePool name.
    classes: BTreeMap<NodeClassRef, Result<Arc<Vec<InstanceType>>, String>>,
}

/// What is read, and what is not.
pub(super) struct Sources<'s> {
    pub world: &'s World,
    pub catalog: &'s Catalog,
    pub settings: &'s Settings,
}

impl Market {
    /// Brings it up to date. Whether anything has changed.
    pub fn update(&mut self, from: &Sources<'_>, unavailable: &BTreeSet<OfferingName>) -> bool {
        self.is_awaited = from.catalog.is_awaited();
        let states = states(from.world);
        let known = self.of.as_ref();
        let is_same_offer = known.is_some_and(|(known, _)| *known == states);
        if !is_same_offer {
            self.offered = market(from.world.objects(), from.catalog, from.settings);
        }
        let has_changed = !is_same_offer || known.is_none_or(|(_, known)| known != unavailable);
        if has_changed {
            self.pools.clone_from(&self.offered.pools);
            mark(unavailable, &mut self.pools);
            let usable = self.pools.iter().filter(|pool| pool.unusable.is_none() && is_launchable(pool));
            let usable: BTreeSet<Arc<str>> = usable.map(|pool| pool.name.clone()).collect();
            self.has_more = !usable.is_subset(&self.usable);
            self.usable = usable;
            self.classes.clear();
            self.of = Some((states, unavailable.clone()));
        }
        self.has_more &= has_changed;
        has_changed
    }

    /// Whether nothing is bought yet: the account has not said what there is, and for how much.
    pub fn is_awaited(&self) -> bool {
        self.is_awaited
    }

    /// Whether nodes may come from a pool now from which none might come before the last update.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Brings what claims without NodePool can be up to date.
    pub fn update_classes(&mut self, from: &Sources<'_>, changes: &Changes, unavailable: &BTreeSet<OfferingName>) {
        for class in classes_in_use(from.world, changes) {
            self.classes.entry(class).or_insert_with_key(|class| {
                let types = types_of_class(class, from.world.objects(), from.catalog, from.settings);
                types.map(|mut types| {
                    mark_types(unavailable, &class.name, &mut types);
                    types
                })
            });
        }
    }

    /// What a decision may buy.
    pub fn offered(&self) -> Offered {
        let mut offered = self.offered.clone();
        offered.pools.clone_from(&self.pools);
        offered
    }

    /// Zones that ARC has shifted away from: name and id.
    pub fn shifted(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.offered.shifted
    }

    /// The pools that can be read, with what can be had now.
    pub fn pools(&self) -> &[NodePool] {
        &self.pools
    }

    pub fn pool(&self, name: &str) -> Option<&NodePool> {
        self.pools.iter().find(|pool| &*pool.name == name)
    }

    /// What became of a NodeOverlay; `None` where nobody looks at them.
    pub fn overlay(&self, key: &ObjectKey) -> Option<&OverlayState> {
        self.offered.overlays.get(key)
    }

    /// What a claim can be: of its pool, or of its node class where it has none.
    pub fn types_for(&self, claim: &NodeClaim) -> Result<Arc<Vec<InstanceType>>, String> {
        if let Some(pool) = pool_of(claim) {
            let pool = self.pool(pool).ok_or("its NodePool is not there, or cannot be read")?;
            return Ok(pool.instance_types.clone());
        }
        let known = self.classes.get(&class_of(claim));
        known.cloned().unwrap_or_else(|| Err("its node class is not known".to_owned()))
    }
}

fn pool_of(claim: &NodeClaim) -> Option<&str> {
    claim.metadata.labels.as_ref()?.get(labels::NODEPOOL).map(String::as_str)
}

fn class_of(claim: &NodeClaim) -> NodeClassRef {
    let class = &claim.spec.node_class_ref;
    NodeClassRef { group: (&*class.group).into(), kind: (&*class.kind).into(), name: (&*class.name).into() }
}

/// Those of claims that have changed and that no NodePool stands behind.
fn classes_in_use(world: &World, changes: &Changes) -> BTreeSet<NodeClassRef> {
    let all = &world.objects().node_claims;
    let of = |name: &Arc<str>| all.get(&ObjectKey { namespace: Arc::from(""), name: name.clone() });
    let all = changes.all.then(|| all.values()).into_iter().flatten();
    let claims = all.chain(changes.claims.iter().filter_map(of)).map(|claim| &*claim.object);
    claims.filter(|claim| pool_of(claim).is_none()).map(class_of).collect()
}

fn states(world: &World) -> Vec<State> {
    let mut found = Vec::new();
    for kind in OF {
        for key in world.objects().keys(kind) {
            let Some(meta) = world.objects().metadata(kind, &key) else { continue };
            let version = if kind.ends_with("NodeClass") { meta.resource_version.clone() } else { None };
            let (uid, generation) = (meta.uid.clone(), meta.generation);
            let (is_deleting, unready) = (meta.deletion_timestamp.is_some(), unready(world, kind, &key));
            found.push(State { kind, key, uid, version, generation, is_deleting, unready });
        }
    }
    found
}

fn unready(world: &World, kind: &str, key: &ObjectKey) -> Option<(String, String)> {
    let pool = world.objects().node_pools.get(key).filter(|_| kind == "NodePool")?;
    let mut conditions = pool.object.status.as_ref()?.conditions.iter();
    let ready = conditions.find(|of| of.type_ == READY && of.status == "False")?;
    Some((ready.reason.clone(), ready.message.clone()))
}
