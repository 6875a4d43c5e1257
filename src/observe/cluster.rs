//! What pods refer to: priority classes, LimitRanges, storage, runtime classes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;

use super::input::InputError;
use super::limit_ranges::{ContainerDefaults, read_limit_ranges};
use super::objects::Objects;
use super::runtime_classes::RuntimeClasses;
use super::spreading::DefaultSpreading;
use super::volumes::Storage;
use crate::settings::Settings;

/// The name of kube-scheduler where a pod names none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

pub(super) struct Cluster<'a> {
    pub priorities: Priorities,
    pub limit_ranges: BTreeMap<Arc<str>, ContainerDefaults>,
    pub storage: Storage<'a>,
    pub spreading: DefaultSpreading<'a>,
    pub runtime_classes: RuntimeClasses<'a>,
    /// Schedulers besides kube-scheduler that pods which wait for a place name.
    pub other_schedulers: BTreeSet<String>,
}

impl<'a> Cluster<'a> {
    pub fn read(objects: &'a Objects, settings: &'a Settings, errors: &mut Vec<InputError>) -> Self {
        Self {
            priorities: Priorities::read(objects),
            limit_ranges: read_limit_ranges(objects, errors),
            storage: Storage::new(objects),
            spreading: DefaultSpreading::new(objects, &settings.default_topology_spread),
            runtime_classes: RuntimeClasses::new(objects),
            other_schedulers: BTreeSet::new(),
        }
    }

    /// Remembers the scheduler of a pod that waits for a place.
    pub fn note_scheduler(&mut self, spec: &PodSpec) {
        let other = spec.scheduler_name.as_deref().filter(|name| !["", DEFAULT_SCHEDULER].contains(name));
        self.other_schedulers.extend(other.map(str::to_owned));
    }
}

/// PriorityClasses by name, with those that every cluster has.
pub(super) struct Priorities {
    classes: BTreeMap<Arc<str>, i32>,
    default: Option<Arc<str>>,
    /// Classes that pods name and the input lacks.
    pub unknown: BTreeSet<Arc<str>>,
}

impl Priorities {
    fn read(objects: &Objects) -> Self {
        let built_in = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
        let mut classes: BTreeMap<Arc<str>, i32> =
            built_in.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
        let mut default: Option<(i32, Arc<str>)> = None;
        for (key, class) in &objects.priority_classes {
            let value = class.object.value.unwrap_or(0);
            classes.insert(key.name.clone(), value);
            // of several global defaults the lowest counts (PriorityClass admission)
            if class.object.global_default == Some(true) && default.as_ref().is_none_or(|(lowest, _)| value < *lowest) {
                default = Some((value, key.name.clone()));
            }
        }
        Self { classes, default: default.map(|(_, name)| name), unknown: BTreeSet::new() }
    }

    /// Priority and class of a pod; an unknown class counts as 0 and is remembered.
    pub fn of(&mut self, spec: &PodSpec) -> (i32, Option<Arc<str>>) {
        self.note(spec);
        let named = spec.priority_class_name.as_deref().filter(|name| !name.is_empty()).map(Arc::from);
        if let Some(priority) = spec.priority {
            return (priority, named);
        }
        let Some(class) = named.or_else(|| self.default.clone()) else { return (0, None) };
        (self.classes.get(&class).copied().unwrap_or(0), Some(class))
    }

    /// Remembers the class that a pod names, where nobody knows it.
    pub fn note(&mut self, spec: &PodSpec) {
        let named = spec.priority_class_name.as_deref().filter(|name| !name.is_empty() && spec.priority.is_none());
        self.unknown.extend(named.filter(|name| !self.classes.contains_key(*name)).map(Arc::from));
    }
}
