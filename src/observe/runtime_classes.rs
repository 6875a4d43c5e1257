//! RuntimeClasses: what their admission plugin adds to pods (KEP-688; `plugin/pkg/admission/runtimeclass`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PodSpec;

use super::objects::{ObjectKey, Objects};

pub(super) struct RuntimeClasses<'a> {
    objects: &'a Objects,
    /// Classes that pods name and the input lacks.
    pub unknown: BTreeSet<Arc<str>>,
}

/// A pod's spec after admission, or in one sentence why the API server refuses the pod.
type Admitted<'s> = Result<Cow<'s, PodSpec>, String>;

impl<'a> RuntimeClasses<'a> {
    pub fn new(objects: &'a Objects) -> Self {
        Self { objects, unknown: BTreeSet::new() }
    }

    /// Gives a pod the overhead, node selector and tolerations of the runtime class that it names.
    pub fn admit<'s>(&mut self, spec: &'s PodSpec) -> Admitted<'s> {
        let Some(name) = spec.runtime_class_name.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(Cow::Borrowed(spec));
        };
        let key = ObjectKey { namespace: Arc::from(""), name: Arc::from(name) };
        let Some(class) = self.objects.runtime_classes.get(&key) else {
            self.unknown.insert(key.name);
            return Ok(Cow::Borrowed(spec));
        };
        let mut admitted = spec.clone();
        let overhead = class.object.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
        match (&spec.overhead, overhead) {
            (Some(own), of_class) if !own.is_empty() && Some(own) != of_class => {
                return Err(format!("its overhead is not that of its RuntimeClass {name}"));
            }
            (_, of_class) => admitted.overhead = of_class.cloned(),
        }
        let Some(scheduling) = &class.object.scheduling else { return Ok(Cow::Owned(admitted)) };
        for (key, value) in scheduling.node_selector.iter().flatten() {
            let own = admitted.node_selector.get_or_insert_default().insert(key.clone(), value.clone());
            if own.is_some_and(|own| own != *value) {
                return Err(format!("its nodeSelector contradicts that of its RuntimeClass {name}: {key}"));
            }
        }
        for toleration in scheduling.tolerations.iter().flatten() {
            let tolerations = admitted.tolerations.get_or_insert_default();
            if !tolerations.contains(toleration) {
                tolerations.push(toleration.clone());
            }
        }
        Ok(Cow::Owned(admitted))
    }
}
