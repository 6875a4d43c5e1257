//! Which objects belong to an owner, a node or an instance: looked up instead of looked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::api::text;
use crate::controller::Subject;

/// What objects are found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum By {
    /// The object itself, by uid.
    Uid(Arc<str>),
    /// What an object owns, by the owner's uid.
    Owner(Arc<str>),
    /// Pods, by the name of their node.
    Node(Arc<str>),
    /// NodeClaims and Nodes, by provider id.
    Instance(Arc<str>),
}

#[derive(Debug, Default)]
pub(super) struct Index(HashMap<By, BTreeSet<Subject>>);

impl Index {
    pub fn get<'i>(&'i self, by: &By) -> impl Iterator<Item = &'i Subject> + use<'i> {
        self.0.get(by).into_iter().flatten()
    }

    pub fn add(&mut self, subject: &Subject, object: &Value) {
        for by in keys(subject, object) {
            self.0.entry(by).or_default().insert(subject.clone());
        }
    }

    pub fn remove(&mut self, subject: &Subject, object: &Value) {
        for by in keys(subject, object) {
            if let Some(found) = self.0.get_mut(&by) {
                found.remove(subject);
                if found.is_empty() {
                    self.0.remove(&by);
                }
            }
        }
    }
}

fn keys(subject: &Subject, object: &Value) -> Vec<By> {
    let metadata = &object["metadata"];
    let mut keys = vec![By::Uid(text(metadata, "/uid").into())];
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    keys.extend(owners.map(|owner| By::Owner(text(owner, "/uid").into())));
    let place = match subject.kind {
        "Pod" => Some((By::Node as fn(Arc<str>) -> By, text(object, "/spec/nodeName"))),
        "Node" => Some((By::Instance as fn(Arc<str>) -> By, text(object, "/spec/providerID"))),
        "NodeClaim" => Some((By::Instance as fn(Arc<str>) -> By, text(object, "/status/providerID"))),
        _ => None,
    };
    keys.extend(place.filter(|(_, value)| !value.is_empty()).map(|(by, value)| by(value.into())));
    keys
}
