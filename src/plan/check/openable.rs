//! The domains that pools could still open.
//!
//! kube-scheduler spreads over the domains of nodes that exist. A plan that opens nodes in one zone alone would pass it
//! with all pods of a spread in that zone; the next node elsewhere would show the skew. Here a spread also counts the
//! domains that a pool could open for the pod, as karpenter does (karpenter-core 2.7).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::selection::Selection;
use super::shape::{Known, OfferShape};
use super::taints::first_untolerated;
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    NodeAffinityTerm, NodeInclusionPolicy, NodePool, PodSpec, Toleration, TopologySpreadConstraint,
};
use crate::requirements::Requirement;

/// What of a pod decides which domains its spread looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::plan) struct Asked<'a> {
    pub key: &'a str,
    pub(super) selection: Option<Selection<'a>>,
    pub(super) tolerations: Option<&'a [Toleration]>,
}

/// Domains by what is asked, found when first asked for.
#[derive(Default)]
pub(in crate::plan) struct Openable<'a>(HashMap<Asked<'a>, BTreeSet<&'a str>>);

impl<'a> Openable<'a> {
    pub(in crate::plan) fn domains(&mut self, snapshot: &'a Snapshot, asked: &Asked<'a>) -> &BTreeSet<&'a str> {
        self.0.entry(asked.clone()).or_insert_with(|| domains(snapshot, asked))
    }
}

fn domains<'a>(snapshot: &'a Snapshot, asked: &Asked<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (pool, offer) in available(snapshot, asked) {
        let Known::Value(domain) = offer.label(asked.key) else { continue };
        if !found.contains(domain) && asked.could_be_met(pool, &offer) {
            found.insert(domain);
        }
    }
    found
}

/// What the pools could buy that the spread looks at, whatever their limits.
pub(super) fn offers<'a>(
    snapshot: &'a Snapshot,
    asked: &Asked<'a>,
) -> impl Iterator<Item = (&'a NodePool, OfferShape<'a>)> {
    available(snapshot, asked).filter(|(pool, offer)| asked.could_be_met(pool, offer))
}

/// Every available offering in the catalogues of the pools whose taints the spread does not mind.
fn available<'a>(snapshot: &'a Snapshot, asked: &Asked<'a>) -> impl Iterator<Item = (&'a NodePool, OfferShape<'a>)> {
    let usable = |pool: &&NodePool| pool.unusable.is_none() && pool.replicas.is_none();
    let tolerated =
        |pool: &&NodePool| asked.tolerations.is_none_or(|own| first_untolerated(&pool.taints, own).is_none());
    snapshot.node_pools.iter().filter(usable).filter(tolerated).flat_map(|pool| {
        pool.instance_types.iter().flat_map(move |instance_type| {
            let offerings = instance_type.offerings.iter().filter(|offering| offering.available);
            offerings.map(move |offering| {
                (pool, OfferShape { instance_type, offering, labels: &pool.labels, claim: &pool.requirements })
            })
        })
    })
}

/// The domains that pools could open for a pod, as a spread constraint of it counts them.
#[must_use]
pub fn openable_domains(
    snapshot: &Snapshot,
    spec: &PodSpec,
    constraint: &TopologySpreadConstraint,
) -> BTreeSet<Arc<str>> {
    let asked = Asked::of(spec, constraint);
    domains(snapshot, &asked).into_iter().map(Arc::from).collect()
}

impl<'a> Asked<'a> {
    /// Whether a node of the pool that is bought through the offer could be selected: labels that the cloud or the launch
    /// still decides are decided as they should be.
    fn could_be_met(&self, pool: &NodePool, offer: &OfferShape<'_>) -> bool {
        let could_be = |key: &str, wanted: &Requirement| match offer.label(key) {
            Known::Value(value) => wanted.allows(value),
            Known::OneOf(values) => values.iter().any(|value| wanted.allows(value)),
            Known::Fresh => wanted.allows("\u{0}"),
            Known::Unknown => true,
            // a launch writes the custom labels that its pool asks for
            Known::Absent if !labels::is_well_known(labels::normalize(key)) => match pool.requirements.get(key) {
                Some(of_pool) => of_pool.intersects(wanted),
                None => wanted.allows_absence(),
            },
            Known::Absent => wanted.allows_absence(),
        };
        let of_pool = pool.requirements.iter().all(|(key, wanted)| could_be(key, wanted));
        let selected = |Selection { node_selector, node_affinity }: Selection<'_>| {
            let is_met = |term: &NodeAffinityTerm| term.0.iter().all(|(key, wanted)| could_be(key, wanted));
            node_selector.iter().all(|(key, value)| could_be(key, &Requirement::one_of([value.clone()])))
                && (node_affinity.is_empty() || node_affinity.iter().any(|term| !term.0.is_empty() && is_met(term)))
        };
        of_pool && self.selection.is_none_or(selected)
    }

    pub(in crate::plan) fn of(spec: &'a PodSpec, constraint: &'a TopologySpreadConstraint) -> Self {
        let honors = |policy| policy == NodeInclusionPolicy::Honor;
        Self {
            key: &constraint.topology_key,
            selection: honors(constraint.node_affinity_policy).then(|| Selection::of(spec)),
            tolerations: honors(constraint.node_taints_policy).then_some(spec.tolerations.as_slice()),
        }
    }
}
