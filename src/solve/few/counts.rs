//! Spreads and affinities over all pods that are dealt so far: what no pods to come can mend.

use std::collections::BTreeMap;

use super::company::{Company, Site};
use crate::model::{DomainId, Group, Keys, Placement, Problem, Source, TopologyId, TopologyKind};

/// The required spreads and affinities of the pods.
pub struct Counts {
    rules: Vec<Rule>,
}

struct Rule {
    topology: TopologyId,
    kind: Kind,
    /// By group: its pods count.
    counts: Vec<bool>,
    /// By group: its pods obey the rule, and for a spread count themselves.
    carries: Vec<bool>,
}

enum Kind {
    /// `domains`: those that every plan has, where the rule is not over hosts.
    Spread { max_skew: u32, domains: Vec<DomainId> },
    /// A pod that counts must be in the same domain.
    Beside,
    /// All that count obey it and count themselves: the first may be anywhere if there is none yet, the others are with it.
    Together,
}

/// Pods that count for a rule, by domain.
#[derive(Default)]
struct Dealt {
    counted: BTreeMap<DomainId, u32>,
    /// Of those that carry the rule.
    carried: BTreeMap<DomainId, u32>,
    /// To be dealt, or in a domain that is still open.
    to_come: u32,
}

impl Counts {
    pub fn of(problem: &Problem) -> Self {
        let rule = |topology: TopologyId| {
            let carried = |group: &Group| {
                let of_rule = |of: &&Placement| of.topology == topology && of.source.is_required(group.spec());
                group.carried.iter().find(of_rule).copied()
            };
            let counts: Vec<bool> = problem.groups.iter().map(|group| group.counted.contains(&topology)).collect();
            let carried: Vec<Option<Placement>> = problem.groups.iter().map(carried).collect();
            carried.iter().flatten().next()?;
            let kind = match problem.topologies[topology].kind {
                TopologyKind::Spread { max_skew, .. } => {
                    Kind::Spread { max_skew, domains: lasting_domains(problem, topology) }
                }
                TopologyKind::Affinity if carried.iter().flatten().all(|of| !of.self_selects) => Kind::Beside,
                TopologyKind::Affinity => {
                    let is_only = |(group, of): (&Group, &Option<Placement>)| {
                        of.is_none_or(|of| of.self_selects && has_one_affinity(group))
                    };
                    let are_equal = counts.iter().zip(&carried).all(|(counts, of)| *counts == of.is_some());
                    (are_equal && problem.groups.iter().zip(&carried).all(is_only)).then_some(Kind::Together)?
                }
                TopologyKind::AntiAffinity | TopologyKind::InverseAntiAffinity => return None, // see `Company`
            };
            let is_spread = matches!(kind, Kind::Spread { .. });
            let carries = carried.iter().map(|of| of.is_some_and(|of| of.self_selects || !is_spread)).collect();
            Some(Rule { topology, kind, counts, carries })
        };
        Self { rules: (0..problem.topologies.len()).filter_map(rule).collect() }
    }

    /// Whether pods that are still to be dealt, by group, can make the rules hold for those that are: group and place.
    pub fn may_hold(&self, problem: &Problem, company: &Company, placed: &[(usize, Site)], to_come: &[usize]) -> bool {
        self.rules.iter().all(|rule| rule.may_hold(problem, company, placed, to_come))
    }
}

impl Rule {
    fn may_hold(&self, problem: &Problem, company: &Company, placed: &[(usize, Site)], to_come: &[usize]) -> bool {
        let topology = &problem.topologies[self.topology];
        let residents = |domain: &DomainId| topology.counts.get(*domain).copied().unwrap_or(0);
        let dealt = self.dealt(problem, company, placed, to_come);
        let count = |domain: &DomainId| residents(domain) + dealt.counted.get(domain).copied().unwrap_or(0);
        match &self.kind {
            Kind::Spread { max_skew, domains } => {
                // when the last of those in a domain was bound, all the others were there
                let most = dealt.carried.iter().map(|(domain, pods)| residents(domain) + pods).max().unwrap_or(0);
                let level = most.saturating_sub(*max_skew);
                if topology.key == Keys::HOST {
                    return level <= topology.with_every_node; // a new host has no more
                }
                let missing: u32 = domains.iter().map(|domain| level.saturating_sub(count(domain))).sum();
                missing <= dealt.to_come
            }
            Kind::Beside => dealt.to_come > 0 || dealt.carried.keys().all(|domain| count(domain) > 0),
            Kind::Together => {
                let is_first = topology.elsewhere == 0 && topology.counts.iter().all(|pods| *pods == 0);
                if is_first {
                    dealt.carried.len() <= 1
                } else {
                    dealt.carried.keys().all(|domain| residents(domain) > 0 || topology.elsewhere > 0)
                }
            }
        }
    }

    fn dealt(&self, problem: &Problem, company: &Company, placed: &[(usize, Site)], to_come: &[usize]) -> Dealt {
        let topology = &problem.topologies[self.topology];
        let mut dealt = Dealt::default();
        for &(group, site) in placed {
            let Some(domain) = company.domain(topology, site) else {
                dealt.to_come += u32::from(self.counts[group]);
                continue;
            };
            if self.counts[group] {
                *dealt.counted.entry(domain).or_default() += 1;
            }
            if self.carries[group] {
                *dealt.carried.entry(domain).or_default() += 1;
            }
        }
        dealt.to_come += to_come.iter().map(|&group| u32::from(self.counts[group])).sum::<u32>();
        dealt
    }
}

/// The domains that a spread looks at in every plan: one that no pool can open is there only as long as its nodes are.
fn lasting_domains(problem: &Problem, topology: TopologyId) -> Vec<DomainId> {
    let of = &problem.topologies[topology];
    let can_be_opened = |domain: &DomainId| of.key != Keys::HOST && problem.keys.mean_price(of.key, *domain) > 0;
    of.eligible.ones().filter(can_be_opened).collect()
}

fn has_one_affinity(group: &Group) -> bool {
    group.carried.iter().filter(|placement| matches!(placement.source, Source::Affinity(_))).count() == 1
}
