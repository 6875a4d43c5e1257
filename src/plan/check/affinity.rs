//! Required pod affinity and anti-affinity, as kube-scheduler's InterPodAffinity filter reads them.
//!
//! * Affinity: the node has the topology key of every term, and in each of these domains is a pod that matches *all*
//!   terms. Only if no pod anywhere does, a pod that matches its own terms may be the first.
//! * Anti-affinity: no pod that a term matches is in the term's domain of the node; a node without the key has none.
//! * The anti-affinity of the pods that are there already is asked of the new pod in the same way.
//!
//! A term matches a pod whose namespace it lists or selects and whose labels it selects. Pods on deleting nodes count as
//! long as they stay there. Where a launch leaves a domain open, anti-affinity holds in every domain that it may be in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::classes::{Class, Classes};
use super::cluster::Cluster;
use super::demanded::Demanded;
use super::selection::Holds;
use super::topology::{Domain, Keys};
use crate::observe::snapshot::{Labels, PodAffinityTerm, Snapshot};

/// The label that the API server sets on every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Labels of the namespaces, the name among them.
pub(super) struct Namespaces(BTreeMap<Arc<str>, Labels>);

impl Namespaces {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let of_daemons = snapshot.daemon_sets.iter().map(|daemon| &daemon.key.namespace);
        let of_pods = snapshot.pods.iter().map(|pod| &pod.key.namespace);
        let named = of_pods.chain(of_daemons).chain(snapshot.namespaces.keys());
        let mut all: BTreeMap<Arc<str>, Labels> = BTreeMap::new();
        for name in named {
            if !all.contains_key(name) {
                let mut labels = snapshot.namespaces.get(name).cloned().unwrap_or_default();
                labels.insert(Arc::from(NAMESPACE_NAME), name.clone());
                all.insert(name.clone(), labels);
            }
        }
        Self(all)
    }

    fn term_matches(&self, term: &PodAffinityTerm, class: &Class<'_>) -> bool {
        let selects = || {
            let selector = term.namespace_selector.as_ref();
            selector.zip(self.0.get(class.namespace)).is_some_and(|(selector, labels)| selector.matches(labels))
        };
        (term.namespaces.contains(class.namespace) || selects()) && term.selector.matches(&class.template.labels)
    }
}

/// The affinity terms of a pod: what matches all of them, and where it is.
pub(super) struct Together<'a> {
    terms: &'a [PodAffinityTerm],
    keys: Vec<usize>,
    /// By key (as in `keys`) and domain.
    present: Vec<Vec<bool>>,
    anywhere: bool,
}

/// One anti-affinity term: where the pods are that it matches, and where those that carry it.
pub(super) struct Apart<'a> {
    term: &'a PodAffinityTerm,
    pub key: usize,
    /// By domain.
    matching: Vec<bool>,
    carrying: Vec<bool>,
}

/// All terms that decide where a placed pod may go.
pub(super) struct Terms<'a> {
    namespaces: Namespaces,
    together_index: HashMap<&'a [PodAffinityTerm], usize>,
    apart_index: HashMap<&'a PodAffinityTerm, usize>,
    /// By the selector of the first term.
    together_by_selector: Demanded<'a>,
    apart_by_selector: Demanded<'a>,
    pub together: Vec<Together<'a>>,
    pub apart: Vec<Apart<'a>>,
}

impl<'a> Terms<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            namespaces: Namespaces::of(snapshot),
            together_index: HashMap::new(),
            apart_index: HashMap::new(),
            together_by_selector: Demanded::default(),
            apart_by_selector: Demanded::default(),
            together: Vec::new(),
            apart: Vec::new(),
        }
    }

    /// The affinity that a class carries, and whether it matches itself.
    pub(super) fn affinity_of(
        &mut self,
        class: usize,
        classes: &Classes<'a>,
        cluster: &Cluster<'a>,
        keys: &mut Keys<'a>,
    ) -> Option<(usize, bool)> {
        let class = &classes.all[class];
        let terms = class.spec().pod_affinity.as_slice();
        if terms.is_empty() {
            return None;
        }
        let next = self.together.len();
        let index = *self.together_index.entry(terms).or_insert(next);
        if index == next {
            let mut of_terms: Vec<usize> = terms.iter().map(|term| keys.intern(&term.topology_key, cluster)).collect();
            of_terms.sort_unstable();
            of_terms.dedup();
            let present = of_terms.iter().map(|&key| vec![false; keys.all[key].names.len()]).collect();
            self.together_by_selector.add(index, &terms[0].selector);
            self.together.push(Together { terms, keys: of_terms, present, anywhere: false });
        }
        Some((index, self.matches_all(index, class)))
    }

    /// The anti-affinity terms that a class carries.
    pub(super) fn anti_affinity_of(
        &mut self,
        class: usize,
        classes: &Classes<'a>,
        cluster: &Cluster<'a>,
        keys: &mut Keys<'a>,
    ) -> Vec<usize> {
        let terms = classes.all[class].spec().pod_anti_affinity.iter();
        terms
            .map(|term| {
                let next = self.apart.len();
                let index = *self.apart_index.entry(term).or_insert(next);
                if index == next {
                    let key = keys.intern(&term.topology_key, cluster);
                    let nowhere = vec![false; keys.all[key].names.len()];
                    self.apart_by_selector.add(index, &term.selector);
                    self.apart.push(Apart { term, key, matching: nowhere.clone(), carrying: nowhere });
                }
                index
            })
            .collect()
    }

    fn matches_all(&self, index: usize, class: &Class<'_>) -> bool {
        self.together[index].terms.iter().all(|term| self.namespaces.term_matches(term, class))
    }

    /// The affinities that a class satisfies for others.
    pub(super) fn together_with(&self, class: &Class<'_>) -> Vec<usize> {
        let candidates = self.together_by_selector.candidates(&class.template.labels).into_iter();
        candidates.filter(|&index| self.matches_all(index, class)).collect()
    }

    /// The anti-affinity terms that match a class.
    pub(super) fn apart_from(&self, class: &Class<'_>) -> Vec<usize> {
        let candidates = self.apart_by_selector.candidates(&class.template.labels).into_iter();
        candidates.filter(|&i| self.namespaces.term_matches(self.apart[i].term, class)).collect()
    }
}

/// What affinity says of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Fails,
    /// The slot leaves this key open.
    Open(usize),
}

impl Together<'_> {
    /// A pod that matches all terms is on the slot, perhaps or surely. Neither an open domain nor a pod that is only perhaps
    /// there is one to rely on.
    pub(super) fn count(&mut self, slot: usize, keys: &Keys<'_>, is_there: Holds) {
        for (&key, present) in self.keys.iter().zip(&mut self.present) {
            let domain = &keys.all[key].domains[slot];
            self.anywhere |= *domain != Domain::Absent;
            if let (Domain::At(domain), Holds::Surely) = (domain, is_there) {
                present[*domain] = true;
            }
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().copied()
    }

    pub(super) fn ask(&self, slot: usize, matches_itself: bool, keys: &Keys<'_>) -> Verdict {
        let mut all_present = true;
        for (&key, present) in self.keys.iter().zip(&self.present) {
            match &keys.all[key].domains[slot] {
                Domain::Absent => return Verdict::Fails,
                Domain::Open { .. } => return Verdict::Open(key),
                Domain::At(domain) => all_present &= present[*domain],
            }
        }
        if all_present || (matches_itself && !self.anywhere) { Verdict::Holds } else { Verdict::Fails }
    }
}

impl Apart<'_> {
    pub(super) fn count_matching(&mut self, domain: &Domain) {
        domain.possible().iter().for_each(|&domain| self.matching[domain] = true);
    }

    pub(super) fn count_carrying(&mut self, domain: &Domain) {
        domain.possible().iter().for_each(|&domain| self.carrying[domain] = true);
    }

    /// Whether a pod that carries the term may be next to one that it matches.
    pub(super) fn forbids_carrier(&self, domain: &Domain) -> bool {
        domain.possible().iter().any(|&domain| self.matching[domain])
    }

    /// Whether a pod that the term matches may be next to one that carries it.
    pub(super) fn forbids_match(&self, domain: &Domain) -> bool {
        domain.possible().iter().any(|&domain| self.carrying[domain])
    }

    /// Whether some pod carries it.
    pub(super) fn is_carried(&self) -> bool {
        self.carrying.contains(&true)
    }
}
