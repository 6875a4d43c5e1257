//! Evictions, as disruption budgets allow them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::api::{Refusal, is_deleting, text};
use super::mirror::labels_of;
use super::queue::after;
use super::{Happening, Simulation};
use crate::api::reading::read;
use crate::controller::Subject;
use crate::observe::label_selector_of;

impl Simulation<'_> {
    pub(super) fn evict(&mut self, subject: &Subject, uid: &str) -> Result<Option<Arc<Value>>, Refusal> {
        let pod = self.api.get(subject).cloned().ok_or(Refusal::Outdated)?;
        let found = labels_of(&pod);
        for (key, budget) in
            self.api.all("PodDisruptionBudget").filter(|(key, _)| key.namespace == subject.key.namespace)
        {
            let Ok(budget) = read::<PodDisruptionBudget>(budget).map(|read| read.object) else { continue };
            let spec = budget.spec.unwrap_or_default();
            let selector = label_selector_of(spec.selector.as_ref());
            if selector.matches(&found) && !self.allows_one_more(&spec, &subject.key.namespace, &selector) {
                return Err(Refusal::Budget(format!("the disruption budget {} does not allow it", key.name)));
            }
        }
        let now = self.now;
        let evicted = self.api.delete(subject, Some(uid), None, now)?;
        self.note_eviction(subject, &pod);
        Ok(evicted)
    }

    /// Whether a disruption budget protects a pod.
    pub(super) fn has_budget(&self, pod: &Value) -> bool {
        let (namespace, found) = (text(pod, "/metadata/namespace"), labels_of(pod));
        let mut budgets = self.api.all("PodDisruptionBudget").filter(|(key, _)| &*key.namespace == namespace);
        budgets.any(|(_, budget)| {
            let spec = read::<PodDisruptionBudget>(budget).ok().and_then(|read| read.object.spec);
            spec.is_some_and(|spec| label_selector_of(spec.selector.as_ref()).matches(&found))
        })
    }

    fn allows_one_more(
        &self,
        spec: &k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec,
        namespace: &str,
        selector: &crate::observe::snapshot::LabelSelector,
    ) -> bool {
        let here =
            self.api.all("Pod").filter(|(key, pod)| &*key.namespace == namespace && selector.matches(&labels_of(pod)));
        let live = here.filter(|(_, pod)| !["Succeeded", "Failed"].contains(&text(pod, "/status/phase")));
        let (mut all, mut healthy) = (0_i64, 0_i64);
        for (_, pod) in live {
            all += 1;
            healthy += i64::from(text(pod, "/status/phase") == "Running" && !is_deleting(pod));
        }
        let of = |value: &IntOrString| match value {
            IntOrString::Int(number) => i64::from(*number),
            IntOrString::String(text) => {
                let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
                (all * percent + 99) / 100
            }
        };
        let needed = match (&spec.min_available, &spec.max_unavailable) {
            (Some(minimum), _) => of(minimum),
            (_, Some(most)) => all - of(most),
            _ => 0,
        };
        healthy > needed
    }

    /// Somebody lets no pod of a budget be evicted, for a while.
    pub(super) fn block_budget(&mut self, budget: &Subject, span: Duration) {
        let Some(object) = self.api.get(budget).filter(|_| !self.blocked.contains_key(budget)) else { return };
        let before = object["spec"].clone();
        let spec = json!({"minAvailable": Value::Null, "maxUnavailable": 0});
        drop(self.api.patch(budget, &json!({ "spec": spec }), false));
        self.blocked.insert(budget.clone(), before);
        self.queue.put(after(self.now, span), Happening::Unblocked(budget.clone()));
    }

    /// The budget is again as it was.
    pub(super) fn unblock_budget(&mut self, budget: &Subject) {
        if let Some(before) = self.blocked.remove(budget) {
            let mut spec = json!({"minAvailable": Value::Null, "maxUnavailable": Value::Null});
            if let (Some(fields), Value::Object(before)) = (spec.as_object_mut(), before) {
                fields.extend(before);
            }
            drop(self.api.patch(budget, &json!({ "spec": spec }), false));
        }
    }

    /// What the disruption controller says of a budget.
    pub(super) fn state_budgets(&mut self) {
        let budgets: Vec<(Subject, bool)> = self
            .api
            .all("PodDisruptionBudget")
            .filter_map(|(key, budget)| {
                let spec = read::<PodDisruptionBudget>(budget).ok()?.object.spec?;
                let selector = label_selector_of(spec.selector.as_ref());
                let allows = self.allows_one_more(&spec, &key.namespace, &selector);
                Some((Subject { kind: "PodDisruptionBudget", key: key.clone() }, allows))
            })
            .collect();
        for (subject, allows) in budgets {
            let body = json!({"status": {"disruptionsAllowed": i64::from(allows)}});
            drop(self.api.patch(&subject, &body, true));
        }
    }
}
