//! Spread, affinity and anti-affinity as counts over domains.
//!
//! Pods that match a constraint and pods that carry it are different sets: a [`Topology`] is one constraint, `carried`
//! of a group names the ones it must obey, `counted` the ones whose counts it raises.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use super::identity::{Identity, Selecting};
use super::places::Places;
use super::{DomainId, Group, KeyId, Keys, NodeModel, PoolModel, daemons, rules};
use crate::api::labels;
use crate::observe::Snapshot;
use crate::observe::snapshot::{
    LabelSelector, NodeInclusionPolicy, Pod, PodAffinityTerm, PodSpec, PodTemplate, Toleration,
    TopologySpreadConstraint, WhenUnsatisfiable,
};
use crate::requirements::{Requirement, Requirements, Undefined};

/// Index into `Problem::topologies`.
pub type TopologyId = usize;

/// One constraint over the domains of a key, shared by all pods that state it.
#[derive(Debug)]
pub struct Topology {
    pub kind: TopologyKind,
    pub key: KeyId,
    /// Which nodes count: any of these requirement sets, and these tolerations; `None`: all nodes.
    pub filter: NodeFilter,
    /// Pods that count, by domain (by node for the hostname), before anything is placed.
    pub counts: Vec<u32>,
    /// Domains that the constraint looks at, where the key is not the hostname: those of nodes that pass the filter,
    /// and those that a pool can create.
    pub eligible: FixedBitSet,
    /// Pods that count and are on hosts that take no pods (hostname only): no node can join them.
    pub elsewhere: u32,
    /// Some pod states it as a requirement: what it counts must land in a known domain.
    pub hard: bool,
    /// Pods of daemonsets that are still to come count for it, and some pending pod must obey it.
    pub counts_daemons: bool,
    /// It counts pods of some daemonset, should one come. Proofs count on none of them: whoever checks these does not look where they
    /// can run.
    pub selects_daemons: bool,
    /// How many of them come with every node that a pool could open and that counts.
    pub with_every_node: u32,
    /// By domain: how many of `counts` may never come.
    pub doubtful: BTreeMap<DomainId, u32>,
    /// Where daemon pods count: the domains that nodes which count have already.
    pub inhabited: FixedBitSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopologyKind {
    /// Counts the pods that the selector matches.
    Spread { max_skew: u32, min_domains: Option<u32> },
    /// Counts the pods that the selector matches.
    Affinity,
    /// Counts the pods that the selector matches.
    AntiAffinity,
    /// Counts the pods that carry the anti-affinity; the pods that its selector matches must stay away.
    InverseAntiAffinity,
}

/// The nodes that a spread constraint looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NodeFilter {
    /// `nodeAffinityPolicy: Honor`: node selector joined with each required affinity term.
    pub terms: Option<Vec<Requirements>>,
    /// `nodeTaintsPolicy: Honor`.
    pub tolerations: Option<Vec<Toleration>>,
    /// Topology keys of all required constraints of the pod: a node that lacks one does not count (hostname left out).
    pub keys: Vec<Arc<str>>,
}

/// A topology that a group carries, and the constraint of its spec that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    pub topology: TopologyId,
    /// The pod counts itself once placed.
    pub self_selects: bool,
    pub source: Source,
}

/// Position of a constraint in the pod's spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Spread(usize),
    Affinity(usize),
    AntiAffinity(usize),
    PreferredAffinity(usize),
    PreferredAntiAffinity(usize),
}

impl Source {
    /// Whether the pod states the constraint as a requirement rather than a preference.
    #[must_use]
    pub fn is_required(self, spec: &PodSpec) -> bool {
        match self {
            Self::Spread(i) => spec.topology_spread[i].when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule,
            Self::Affinity(_) | Self::AntiAffinity(_) => true,
            Self::PreferredAffinity(_) | Self::PreferredAntiAffinity(_) => false,
        }
    }
}

struct Builder<'p> {
    snapshot: &'p Snapshot,
    keys: &'p Keys,
    all_namespaces: BTreeSet<Arc<str>>,
    identities: Vec<Identity>,
    index: HashMap<Identity, TopologyId>,
}

/// Finds every topology, counts the bound pods, and links the groups to what they carry, raise and must avoid.
pub(super) fn build(
    snapshot: &Snapshot,
    keys: &Keys,
    pools: &mut [PoolModel],
    nodes: &[NodeModel],
    groups: &mut [Group],
) -> Vec<Topology> {
    let mut all_namespaces: BTreeSet<Arc<str>> = snapshot.namespaces.keys().cloned().collect();
    // one namespace after another
    all_namespaces.extend(snapshot.pods.chunk_by(is_of_one_namespace).map(|pods| pods[0].key.namespace.clone()));
    all_namespaces.extend(snapshot.daemon_sets.iter().map(|daemon| daemon.key.namespace.clone()));
    let mut builder = Builder { snapshot, keys, all_namespaces, identities: Vec::new(), index: HashMap::new() };

    // numbered by content, so that the order of the pods does not matter
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&group| (groups[group].namespace, groups[group].template));
    let mut owned: Vec<Vec<TopologyId>> = vec![Vec::new(); groups.len()];
    for index in order {
        let group = &mut groups[index];
        group.carried = builder.carried(group.namespace, group.template);
        owned[index] = builder.inverse(group.spec());
    }
    let bound = builder.bound_owners(nodes);
    let of_daemons = builder.daemon_owners();
    // many workloads state the same constraint for themselves: the domains are those of its key and filter
    let mut of_filter: HashMap<(KeyId, &NodeFilter), FixedBitSet> = HashMap::new();
    let mut topologies: Vec<Topology> = Vec::with_capacity(builder.identities.len());
    for identity in &builder.identities {
        let (key, filter) = (identity.key, &identity.filter);
        let domains = of_filter.entry((key, filter)).or_insert_with(|| eligible(key, filter, keys, pools, nodes));
        topologies.push(topology(identity, domains.clone(), nodes, keys));
    }
    builder.count_bound(nodes, &bound, &mut topologies);

    let selecting = Selecting::of(&builder.identities);
    for (group, owned) in groups.iter_mut().zip(owned) {
        for id in selecting.pod(&builder.identities, group.namespace, group.template) {
            if builder.identities[id].kind == TopologyKind::InverseAntiAffinity {
                group.forbidden_by.push(id);
            } else {
                group.counted.push(id);
            }
        }
        group.counted.extend(owned);
        let spec = group.spec();
        for placement in &mut group.carried {
            topologies[placement.topology].hard |= placement.source.is_required(spec);
            placement.self_selects = builder.identities[placement.topology].selects(group.namespace, group.template);
        }
    }
    let of_daemons = builder.counted_daemons(&selecting, of_daemons);
    daemons::count(of_daemons, keys, pools, nodes, groups, &mut topologies);
    topologies
}

impl<'p> Builder<'p> {
    fn intern(&mut self, identity: Identity) -> TopologyId {
        if let Some(&id) = self.index.get(&identity) {
            return id;
        }
        let id = self.identities.len();
        self.identities.push(identity.clone());
        self.index.insert(identity, id);
        id
    }

    fn key(&self, name: &str) -> KeyId {
        self.keys.id(name).expect("every topology key of a pod is known")
    }

    fn carried(&mut self, namespace: &Arc<str>, template: &PodTemplate) -> Vec<Placement> {
        let spec = &template.spec;
        let mut carried = Vec::new();
        let mut add = |topology, source| carried.push(Placement { topology, self_selects: false, source });
        for (i, constraint) in spec.topology_spread.iter().enumerate() {
            add(self.spread(namespace, spec, constraint), Source::Spread(i));
        }
        for (i, term) in spec.pod_affinity.iter().enumerate() {
            add(self.required_affinity(spec, term), Source::Affinity(i));
        }
        for (i, term) in spec.pod_anti_affinity.iter().enumerate() {
            add(self.term(TopologyKind::AntiAffinity, term), Source::AntiAffinity(i));
        }
        for (i, (_, term)) in spec.preferred_pod_affinity.iter().enumerate() {
            add(self.term(TopologyKind::Affinity, term), Source::PreferredAffinity(i));
        }
        for (i, (_, term)) in spec.preferred_pod_anti_affinity.iter().enumerate() {
            add(self.term(TopologyKind::AntiAffinity, term), Source::PreferredAntiAffinity(i));
        }
        carried
    }

    fn inverse(&mut self, spec: &PodSpec) -> Vec<TopologyId> {
        spec.pod_anti_affinity.iter().map(|term| self.term(TopologyKind::InverseAntiAffinity, term)).collect()
    }

    fn spread(&mut self, namespace: &Arc<str>, spec: &PodSpec, constraint: &TopologySpreadConstraint) -> TopologyId {
        let honor = |policy| policy == NodeInclusionPolicy::Honor;
        let filter = NodeFilter {
            terms: honor(constraint.node_affinity_policy)
                .then(|| affinity_alternatives(spec))
                .filter(|terms| terms.iter().any(|term| !term.is_empty())),
            tolerations: honor(constraint.node_taints_policy).then(|| spec.tolerations.clone()),
            keys: required_keys(spec, constraint),
        };
        let kind = TopologyKind::Spread { max_skew: constraint.max_skew.max(1), min_domains: constraint.min_domains };
        self.intern(Identity {
            kind,
            key: self.key(&constraint.topology_key),
            namespaces: [namespace.clone()].into(),
            selector: constraint.selector.clone(),
            also: Vec::new(),
            filter,
        })
    }

    fn term(&mut self, kind: TopologyKind, term: &PodAffinityTerm) -> TopologyId {
        self.intern(Identity {
            kind,
            key: self.key(&term.topology_key),
            namespaces: self.namespaces(term),
            selector: term.selector.clone(),
            also: Vec::new(),
            filter: NodeFilter::default(),
        })
    }

    /// kube-scheduler counts a pod for required affinity only if it matches every term of it.
    fn required_affinity(&mut self, spec: &PodSpec, term: &PodAffinityTerm) -> TopologyId {
        let mut also: Vec<(BTreeSet<Arc<str>>, LabelSelector)> = spec
            .pod_affinity
            .iter()
            .map(|other| (self.namespaces(other), other.selector.clone()))
            .filter(|(namespaces, selector)| *selector != term.selector || *namespaces != self.namespaces(term))
            .collect();
        also.sort_unstable();
        also.dedup();
        self.intern(Identity {
            kind: TopologyKind::Affinity,
            key: self.key(&term.topology_key),
            namespaces: self.namespaces(term),
            selector: term.selector.clone(),
            also,
            filter: NodeFilter::default(),
        })
    }

    fn namespaces(&self, term: &PodAffinityTerm) -> BTreeSet<Arc<str>> {
        let mut names: BTreeSet<Arc<str>> = term.namespaces.iter().cloned().collect();
        if let Some(selector) = &term.namespace_selector {
            let selected = self.all_namespaces.iter().filter(|name| {
                let mut labels = self.snapshot.namespaces.get(*name).cloned().unwrap_or_default();
                labels.entry(Arc::from("kubernetes.io/metadata.name")).or_insert_with(|| (*name).clone());
                selector.matches(&labels)
            });
            names.extend(selected.cloned());
        }
        names
    }

    /// Bound pods that count.
    fn bound_owners(&mut self, nodes: &[NodeModel]) -> Vec<Bound> {
        let mut node_of: Vec<Option<usize>> = vec![None; self.snapshot.nodes.len()];
        nodes.iter().enumerate().for_each(|(i, node)| node_of[node.index] = Some(i));
        let all: HashMap<&str, usize> =
            self.snapshot.nodes.iter().enumerate().map(|(i, node)| (node.name.as_ref(), i)).collect();
        let snapshot = self.snapshot;
        let bound_pods = snapshot.pods.iter().filter(|pod| pod.node.is_some());
        let terms: BTreeSet<&PodAffinityTerm> =
            bound_pods.flat_map(|pod| &pod.template.spec.pod_anti_affinity).collect();
        for term in terms {
            self.term(TopologyKind::InverseAntiAffinity, term);
        }
        let mut bound = Vec::new();
        for (pod, of) in snapshot.pods.iter().enumerate().filter(|(_, pod)| !pod.displaced) {
            let Some(name) = of.node.as_deref() else { continue };
            let Some(&index) = all.get(name) else { continue };
            bound.push(Bound { pod, index, node: node_of[index], owned: self.inverse(&of.template.spec) });
        }
        bound
    }

    /// By daemonset: the inverse anti-affinities that its pods own.
    fn daemon_owners(&mut self) -> Vec<Vec<TopologyId>> {
        let snapshot = self.snapshot;
        let specs = || snapshot.daemon_sets.iter().map(|daemon| &daemon.template.spec);
        let terms: BTreeSet<&PodAffinityTerm> = specs().flat_map(|spec| &spec.pod_anti_affinity).collect();
        for term in terms {
            self.term(TopologyKind::InverseAntiAffinity, term);
        }
        specs().map(|spec| self.inverse(spec)).collect()
    }

    /// By daemonset: the topologies that its pods count for; `owned` as [`Self::daemon_owners`] says.
    fn counted_daemons(&self, selecting: &Selecting, owned: Vec<Vec<TopologyId>>) -> Vec<daemons::Counted<'p>> {
        let counted = self.snapshot.daemon_sets.iter().zip(owned).map(|(daemon, owned)| {
            let selecting = selecting.pod(&self.identities, &daemon.key.namespace, &daemon.template);
            let is_inverse = |id: &TopologyId| self.identities[*id].kind == TopologyKind::InverseAntiAffinity;
            let (repelled_by, mut topologies): (Vec<_>, Vec<_>) = selecting.into_iter().partition(is_inverse);
            topologies.extend(owned);
            daemons::Counted { daemon, topologies, repelled_by }
        });
        counted.collect()
    }

    fn count_bound(&self, nodes: &[NodeModel], bound: &[Bound], topologies: &mut [Topology]) {
        let selecting = Selecting::of(&self.identities);
        let mut selected: HashMap<(&str, *const PodTemplate), Vec<TopologyId>> = HashMap::new();
        let mut places: Vec<Places> = topologies.iter().map(|_| Places::new(self.snapshot)).collect();
        for Bound { pod, index, node, owned } in bound {
            let pod = &self.snapshot.pods[*pod];
            let counted =
                selected.entry((pod.key.namespace.as_ref(), Arc::as_ptr(&pod.template))).or_insert_with(|| {
                    let mut ids = selecting.pod(&self.identities, &pod.key.namespace, &pod.template);
                    ids.retain(|&id| self.identities[id].kind != TopologyKind::InverseAntiAffinity);
                    ids
                });
            for &id in counted.iter().chain(owned) {
                let topology = &mut topologies[id];
                // kube-scheduler's PodTopologySpread leaves terminating pods out, InterPodAffinity does not
                if pod.terminating && matches!(topology.kind, TopologyKind::Spread { .. }) {
                    continue;
                }
                if node.is_none() && topology.key == Keys::HOST {
                    topology.elsewhere += 1;
                    continue;
                }
                let domain = places[id].get_or_find(*index, || match node {
                    Some(node) if topology.filter.admits_node(&nodes[*node]) => {
                        domain_of_node(self.keys, topology.key, *node, &nodes[*node])
                    }
                    Some(_) => None,
                    None => self.domain_on_deleting(*index, topology),
                });
                if let Some(domain) = domain {
                    topology.counts[domain] += 1;
                }
            }
        }
    }

    /// The domain of a pod that stays on a deleting node: it counts, although the node is no domain any more.
    fn domain_on_deleting(&self, index: usize, topology: &Topology) -> Option<DomainId> {
        let node = &self.snapshot.nodes[index];
        let value = node.label(self.keys.name(topology.key)).filter(|_| topology.filter.admits_deleting(node))?;
        self.keys.domain(topology.key, value)
    }
}

fn is_of_one_namespace(one: &Pod, other: &Pod) -> bool {
    one.key.namespace == other.key.namespace
}

/// A bound pod that counts.
struct Bound {
    /// Index into `Snapshot::pods`.
    pod: usize,
    /// Index into `Snapshot::nodes`.
    index: usize,
    /// Index into the model's nodes; `None` for a deleting node.
    node: Option<usize>,
    /// The inverse anti-affinities that it owns.
    owned: Vec<TopologyId>,
}

/// The domain of an existing node under a key: its own index for the hostname; `None` where it lacks the label.
#[must_use]
pub fn domain_of_node(keys: &Keys, key: KeyId, index: usize, node: &NodeModel) -> Option<usize> {
    if key == Keys::HOST {
        return Some(index);
    }
    node.node.label(keys.name(key)).and_then(|value| keys.domain(key, value))
}

/// The keys of the pod's required spread constraints, for a constraint that is one of them.
fn required_keys(spec: &PodSpec, constraint: &TopologySpreadConstraint) -> Vec<Arc<str>> {
    if constraint.when_unsatisfiable != WhenUnsatisfiable::DoNotSchedule {
        return Vec::new();
    }
    let hard = spec.topology_spread.iter().filter(|c| c.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule);
    let keys: BTreeSet<Arc<str>> =
        hard.map(|c| c.topology_key.clone()).filter(|key| key.as_ref() != labels::HOSTNAME).collect();
    keys.into_iter().collect()
}

/// Node selector joined with each required node affinity term; one empty set where the pod asks nothing.
#[must_use]
pub fn affinity_alternatives(spec: &PodSpec) -> Vec<Requirements> {
    let selector = Requirements::from_labels(&spec.node_selector);
    if spec.node_affinity.is_empty() {
        return vec![selector];
    }
    let joined = spec.node_affinity.iter().map(|term| {
        let mut joined = selector.clone();
        joined.add_all(&term.0);
        joined
    });
    joined.collect()
}

/// The node requirements joined with each combination of the volumes' topology terms, each once; combinations that
/// contradict themselves are left out. As many as there are different ones: zones, not products of them.
#[must_use]
pub fn volume_alternatives(spec: &PodSpec, node: &Requirements) -> Vec<Requirements> {
    let mut alternatives = vec![node.clone()];
    for volume in spec.volumes.iter().filter(|volume| !volume.topology.is_empty()) {
        let joined = alternatives.iter().flat_map(|alternative| {
            volume.topology.iter().filter(|term| alternative.intersects(&term.0).is_ok()).map(|term| {
                let mut joined = alternative.clone();
                joined.add_all(&term.0);
                joined
            })
        });
        let mut seen = HashSet::new();
        alternatives = joined.filter(|alternative| seen.insert(alternative.clone())).collect();
    }
    alternatives
}

/// Whether some node of the pool could have this value of a label and match the term.
fn can_create(pool: &PoolModel, term: &Requirements, key: &str, value: &Arc<str>) -> bool {
    if pool.requirements.compatible(term, Undefined::AllowWellKnown).is_err() {
        return false;
    }
    let mut node = pool.requirements.clone();
    node.add_all(term);
    node.add(key, Requirement::one_of([value.clone()]));
    let mut types = pool.types.iter();
    types.any(|kind| {
        kind.instance_type.requirements.intersects(&node).is_ok() && kind.offerings.iter().any(|o| o.satisfies(&node))
    })
}

fn topology(identity: &Identity, eligible: FixedBitSet, nodes: &[NodeModel], keys: &Keys) -> Topology {
    let domains = if identity.key == Keys::HOST { nodes.len() } else { keys.domains(identity.key).len() };
    Topology {
        kind: identity.kind.clone(),
        key: identity.key,
        filter: identity.filter.clone(),
        counts: vec![0; domains],
        eligible,
        elsewhere: 0,
        hard: identity.kind == TopologyKind::InverseAntiAffinity,
        counts_daemons: false,
        selects_daemons: false,
        with_every_node: 0,
        doubtful: BTreeMap::new(),
        inhabited: FixedBitSet::new(),
    }
}

/// The domains of a key that a constraint with this filter looks at; none for the hostname.
fn eligible(key: KeyId, filter: &NodeFilter, keys: &Keys, pools: &[PoolModel], nodes: &[NodeModel]) -> FixedBitSet {
    let mut eligible = FixedBitSet::with_capacity(keys.domains(key).len());
    if key == Keys::HOST {
        return eligible;
    }
    for (domain, providers) in keys.providers[key].iter().enumerate() {
        let value = &keys.domains(key)[domain];
        let provided = providers.iter().any(|&pool| {
            let tolerations = filter.tolerations.as_ref();
            let terms = filter.terms.as_ref();
            tolerations.is_none_or(|t| rules::keep_out(t, &pools[pool].pool.taints).is_none())
                && terms
                    .is_none_or(|terms| terms.iter().any(|term| can_create(&pools[pool], term, keys.name(key), value)))
        });
        eligible.set(domain, provided);
    }
    for (index, node) in nodes.iter().enumerate() {
        if filter.admits_node(node)
            && let Some(domain) = domain_of_node(keys, key, index, node)
        {
            eligible.insert(domain);
        }
    }
    eligible
}
