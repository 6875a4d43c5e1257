//! PodDisruptionBudgets: which pods they select, and how many of those may be evicted now.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::input::{FieldError, FieldResult as _, InputError};
use super::objects::{ObjectKey, Objects, Sourced};
use super::selectors::label_selector;
use super::snapshot::{LabelSelector, Labels, Pod, PodDisruptionBudget, PodKey, PodTemplate, Snapshot};

/// A PodDisruptionBudget as it is written.
pub(super) struct Budget {
    key: ObjectKey,
    selector: LabelSelector,
    least: Least,
    /// Of its status.
    allowed: Option<u32>,
    always_allows_unhealthy: bool,
    /// No pod may ever be evicted: `maxUnavailable` 0 or 0 %, `minAvailable` 100 %.
    pub blocks_fully: bool,
}

/// How many pods must stay.
enum Least {
    /// All but these.
    AllBut(Amount),
    These(Amount),
    /// Neither field is there: the disruption controller of Kubernetes allows none.
    All,
}

#[derive(Clone, Copy)]
enum Amount {
    Count(usize),
    Percent(usize),
}

impl Amount {
    /// Percentages are rounded up (disruption controller of Kubernetes).
    fn of(self, pods: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (pods * percent).div_ceil(100),
        }
    }
}

impl Budget {
    pub fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        *self.key.namespace == *namespace && self.selector.matches(labels)
    }

    /// How many of the pods that it selects must stay.
    fn least_of(&self, expected: usize) -> usize {
        match self.least {
            Least::AllBut(most) => expected.saturating_sub(most.of(expected)),
            Least::These(least) => least.of(expected),
            Least::All => expected,
        }
    }

    /// `expected`: the pods that it selects, of which so many are healthy.
    fn among(self, expected: usize, healthy: usize) -> PodDisruptionBudget {
        let spare = healthy.saturating_sub(self.least_of(expected));
        PodDisruptionBudget {
            key: PodKey { namespace: self.key.namespace, name: self.key.name },
            disruptions_allowed: self.allowed.unwrap_or_else(|| u32::try_from(spare).unwrap_or(u32::MAX)),
            always_allows_unhealthy: self.always_allows_unhealthy,
        }
    }
}

pub(super) fn read_budgets(objects: &Objects, errors: &mut Vec<InputError>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for (key, Sourced { origin, object }) in &objects.disruption_budgets {
        let Some(spec) = &object.spec else { continue };
        let allowed = object.status.as_ref().map(|status| status.disruptions_allowed.unwrap_or(0));
        match read_budget(key, spec, allowed).within("spec") {
            Ok(budget) => budgets.push(budget),
            Err(error) => errors.push(Objects::field_error("PodDisruptionBudget", key, origin, error)),
        }
    }
    budgets
}

fn read_budget(key: &ObjectKey, spec: &PodDisruptionBudgetSpec, allowed: Option<i32>) -> Result<Budget, FieldError> {
    let most_unavailable = spec.max_unavailable.as_ref().map(read_amount).transpose().within("maxUnavailable")?;
    let least_available = spec.min_available.as_ref().map(read_amount).transpose().within("minAvailable")?;
    Ok(Budget {
        key: key.clone(),
        selector: label_selector(spec.selector.as_ref()).within("selector")?,
        blocks_fully: matches!(most_unavailable, Some(Amount::Count(0) | Amount::Percent(0)))
            || matches!(least_available, Some(Amount::Percent(100))),
        least: match (most_unavailable, least_available) {
            (Some(most), _) => Least::AllBut(most),
            (None, Some(least)) => Least::These(least),
            (None, None) => Least::All,
        },
        allowed: allowed.map(|count| u32::try_from(count).unwrap_or(0)),
        always_allows_unhealthy: spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow"),
    })
}

fn read_amount(amount: &IntOrString) -> Result<Amount, FieldError> {
    let read = match amount {
        IntOrString::Int(count) => usize::try_from(*count).ok().map(Amount::Count),
        IntOrString::String(text) => match text.strip_suffix('%') {
            Some(percent) => percent.parse::<usize>().ok().filter(|percent| *percent <= 100).map(Amount::Percent),
            None => text.parse().ok().map(Amount::Count),
        },
    };
    let found = match amount {
        IntOrString::Int(count) => count.to_string(),
        IntOrString::String(text) => format!("'{text}'"),
    };
    read.ok_or_else(|| FieldError::new("", format!("expected a number or a percentage such as 50%, found {found}")))
}

/// What a PodDisruptionBudget says of all pods that it selects, those without a node included: what it comes to once they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhenAllRun {
    pub key: PodKey,
    /// Indices into `Snapshot::pods`.
    pub pods: Vec<usize>,
    pub lets_go: LetsGo,
}

/// Of healthy pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetsGo {
    /// None, however many there are.
    Never,
    /// None of so many; of more it may.
    NoneOfSoMany,
    Some,
}

/// The budgets that can be read, by name.
#[must_use]
pub fn when_all_run(objects: &Objects, snapshot: &Snapshot) -> Vec<WhenAllRun> {
    let all = read_budgets(objects, &mut Vec::new()).into_iter();
    let of = |budget: Budget| {
        let pods = snapshot
            .pods
            .iter()
            .enumerate()
            .filter(|(_, pod)| !pod.buffer && budget.selects(&pod.key.namespace, &pod.template.labels));
        let pods: Vec<usize> = pods.map(|(index, _)| index).collect();
        let lets_go = if budget.blocks_fully {
            LetsGo::Never
        } else if budget.least_of(pods.len()) >= pods.len() {
            LetsGo::NoneOfSoMany
        } else {
            LetsGo::Some
        };
        WhenAllRun { key: budget.key, pods, lets_go }
    };
    all.map(of).collect()
}

/// Notes on every bound pod which budgets select it, and returns the budgets in the order of their names. Where a status is
/// absent, as in files, it is what the disruption controller of Kubernetes would make of these pods.
pub(super) fn select_pods(budgets: Vec<Budget>, pods: &mut [Pod]) -> Vec<PodDisruptionBudget> {
    if budgets.is_empty() {
        return Vec::new();
    }
    let mut of_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, budget) in budgets.iter().enumerate() {
        of_namespace.entry(&*budget.key.namespace).or_default().push(index);
    }
    let (mut expected, mut healthy) = (vec![0; budgets.len()], vec![0; budgets.len()]);
    let mut known: HashMap<(Arc<str>, *const PodTemplate), Vec<usize>> = HashMap::new(); // looked up only
    for pod in pods.iter_mut().filter(|pod| !pod.buffer) {
        let at = (pod.key.namespace.clone(), Arc::as_ptr(&pod.template));
        let selecting = known.entry(at).or_insert_with(|| {
            let near = of_namespace.get(&*pod.key.namespace).into_iter().flatten();
            near.copied().filter(|&index| budgets[index].selector.matches(&pod.template.labels)).collect()
        });
        for &index in &*selecting {
            expected[index] += 1;
            healthy[index] += usize::from(pod.node.is_some() && !pod.terminating && !pod.disruption.not_ready);
        }
        if pod.node.is_some() {
            pod.disruption.budgets.clone_from(selecting);
        }
    }
    let counted = budgets.into_iter().zip(expected.into_iter().zip(healthy));
    counted.map(|(budget, (expected, healthy))| budget.among(expected, healthy)).collect()
}

#[cfg(test)]
mod tests;
