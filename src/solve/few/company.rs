//! Whom pods may not be beside, and where they cannot be at all, by required affinity and anti-affinity: what more pods on
//! the nodes cannot mend.

use super::profiles::Profile;
use crate::api::labels;
use crate::model::{DomainId, Group, KeyId, Keys, Problem, Topology, TopologyKind, domain_of_node, ports_conflict};
use crate::solve::sets::RequirementSets;

/// Domains by key, of a node or of a profile; `None` where it has none or may still have any.
type Domains = Vec<Option<DomainId>>;

pub struct Company {
    /// By existing node; by profile.
    of_nodes: Vec<Domains>,
    of_profiles: Vec<Domains>,
    /// By two groups: the keys over which their pods exclude each other; over hosts, also for their ports.
    apart: Vec<Vec<Vec<KeyId>>>,
}

/// An existing node, or a profile with a number that tells its nodes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    Existing(usize),
    New { profile: usize, node: usize },
}

impl Company {
    pub fn of(problem: &Problem, profiles: &[Profile], sets: &RequirementSets) -> Self {
        let keys = 0..problem.keys.len();
        let of_node = |(index, node)| keys.clone().map(|key| domain_of_node(&problem.keys, key, index, node)).collect();
        let of_profile = |profile: &Profile| {
            let domain = |key: KeyId| {
                let value = sets.get(profile.base).get(problem.keys.name(key))?.single_value()?;
                problem.keys.domain(key, value)
            };
            keys.clone().map(|key| if key == Keys::HOST { None } else { domain(key) }).collect()
        };
        let all = 0..problem.groups.len();
        Self {
            of_nodes: problem.nodes.iter().enumerate().map(of_node).collect(),
            of_profiles: profiles.iter().map(of_profile).collect(),
            apart: all.clone().map(|one| all.clone().map(|other| apart(problem, one, other)).collect()).collect(),
        }
    }

    /// The domain of the topology that the site is in; new hosts come after those that are there.
    pub fn domain(&self, topology: &Topology, site: Site) -> Option<DomainId> {
        match site {
            Site::Existing(node) => self.of_nodes[node][topology.key],
            Site::New { node, .. } if topology.key == Keys::HOST => Some(topology.counts.len() + node),
            Site::New { profile, .. } => self.of_profiles[profile][topology.key],
        }
    }

    /// Whether a pod of one group may be here while a pod of another is there.
    pub fn agree(&self, (one, here): (usize, Site), (other, there): (usize, Site)) -> bool {
        let domains = |site: Site| match site {
            Site::Existing(node) => &self.of_nodes[node],
            Site::New { profile, .. } => &self.of_profiles[profile],
        };
        self.apart[one][other].iter().all(|&key| {
            let is_same = if key == Keys::HOST {
                here == there
            } else {
                domains(here)[key].is_some() && domains(here)[key] == domains(there)[key]
            };
            !is_same
        })
    }

    /// Whether the pods that are there already allow a pod of the group here.
    pub fn allows(&self, problem: &Problem, group: usize, site: Site) -> bool {
        let model = &problem.groups[group];
        let domain = |topology: &Topology| match site {
            Site::Existing(node) => self.of_nodes[node][topology.key],
            Site::New { profile, .. } => self.of_profiles[profile][topology.key],
        };
        let residents = |topology: &Topology| domain(topology).map(|domain| topology.counts[domain]);
        let apart = required(model).chain(&model.forbidden_by).all(|&id| {
            let topology = &problem.topologies[id];
            let excludes = matches!(topology.kind, TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity);
            !excludes || residents(topology).unwrap_or(0) == 0
        });
        // a new node has a zone and a capacity type: a rule over them wants to know which
        let is_decided = required(model).chain(&model.counted).all(|&id| {
            let topology = &problem.topologies[id];
            let always = [labels::ZONE, labels::CAPACITY_TYPE].contains(&problem.keys.name(topology.key).as_ref());
            let is_new = matches!(site, Site::New { .. });
            !is_new || !always || !topology.hard || domain(topology).is_some()
        });
        let together = required(model).all(|&id| {
            let topology = &problem.topologies[id];
            let alone = || !problem.groups.iter().any(|other| other.counted.contains(&id));
            // no pending pod will be the company that it needs
            topology.kind != TopologyKind::Affinity || !alone() || residents(topology).is_some_and(|pods| pods > 0)
        });
        apart && is_decided && together
    }
}

/// The topologies that the group's pods must obey.
fn required<'g>(group: &'g Group) -> impl Iterator<Item = &'g usize> {
    let carried = group.carried.iter();
    carried.filter(|placement| placement.source.is_required(group.spec())).map(|placement| &placement.topology)
}

fn apart(problem: &Problem, one: usize, other: usize) -> Vec<KeyId> {
    let excludes = |one: usize, other: usize| {
        required(&problem.groups[one])
            .map(|&id| (id, &problem.topologies[id]))
            .filter(|(_, topology)| topology.kind == TopologyKind::AntiAffinity)
            .filter(move |(id, _)| problem.groups[other].counted.contains(id))
            .map(|(_, topology)| topology.key)
    };
    let ports = |group: usize| &problem.groups[group].spec().host_ports;
    let by_ports = ports_conflict(ports(one), ports(other)).then_some(Keys::HOST);
    let mut keys: Vec<KeyId> = excludes(one, other).chain(excludes(other, one)).chain(by_ports).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
