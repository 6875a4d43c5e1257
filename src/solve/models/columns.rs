//! The integer program over columns in terms of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Model;
use super::meaning::{ColumnMeaning, Meaning, ModelColumn, ModelRow, PodsOf, RowMeaning, Unit, group_of, offering_of};
use crate::model::Problem;
use crate::solve::columns::instance::Pattern;
use crate::solve::columns::program::{leaving_prices, program};
use crate::solve::integer::Searched;
use crate::solve::reduce::{Domains, Reduction, RowOf, Source};

/// The master over the columns of a search, those of its packing among them: it costs no more than the packing.
pub fn model(problem: &Problem, searched: &Searched) -> Model {
    let reduction = &*searched.reduction;
    let instance = &reduction.instance;
    let mut planned: BTreeMap<&Pattern, u32> = searched.others.iter().map(|pattern| (pattern, 0)).collect();
    for (pattern, times) in &searched.packing {
        *planned.entry(pattern).or_default() += times;
    }
    let patterns: Vec<Pattern> = planned.keys().map(|pattern| (*pattern).clone()).collect();
    let leaving = leaving_prices(instance);
    let shared: Vec<String> = reduction.rows.iter().enumerate().map(|(r, of)| row_name(r, of)).collect();
    let program = program(instance, &leaving, &patterns, &shared);
    let of_patterns = planned.into_iter().map(|(pattern, planned)| node(problem, reduction, pattern, planned));
    let left = instance.left_by(&searched.packing);
    let of_items = left.into_iter().zip(&leaving).enumerate().map(|(item, (planned, price))| ColumnMeaning::LeftOut {
        pods: pods_of(problem, reduction, item, 1),
        price_micro_usd: *price,
        planned,
    });
    let names = program.columns.iter().map(|column| column.name.clone());
    let columns = names.zip(of_patterns.chain(of_items)).map(|(name, meaning)| ModelColumn { name, meaning }).collect();
    let names = program.rows.iter().map(|row| row.name.clone());
    let of_items = (0..instance.items.len()).map(|item| cover(problem, reduction, item));
    let of_rows = (0..instance.rows.len()).map(|row| shared_row(problem, reduction, row));
    let rows = names.zip(of_items.chain(of_rows)).map(|(name, meaning)| ModelRow { name, meaning }).collect();
    Model { name: "columns", program, meaning: Meaning { unit: Unit::MicroUsd, classes: Vec::new(), columns, rows } }
}

fn row_name(row: usize, of: &RowOf) -> String {
    match of {
        RowOf::Limit(..) => format!("limit_{row}"),
        RowOf::Reservation(_) => format!("reservation_{row}"),
        RowOf::Nodes => format!("nodes_{row}"),
    }
}

fn node(problem: &Problem, reduction: &Reduction, pattern: &Pattern, planned: u32) -> ColumnMeaning {
    let pods = pattern.counts.iter().map(|&(item, count)| pods_of(problem, reduction, item, count)).collect();
    match &reduction.sources[pattern.class][pattern.bin] {
        Source::New(index) => {
            let (offering, price) = offering_of(problem, *index);
            let of_items = pattern.counts.iter().map(|(item, _)| domains(problem, &reduction.domains[*item]));
            let domains = of_items.flatten().collect();
            ColumnMeaning::NewNode { offering, price_micro_usd: price.0, domains, pods, planned }
        }
        Source::Nodes(nodes) => ColumnMeaning::ExistingNode { nodes: node_names(problem, nodes), pods, planned },
    }
}

fn pods_of(problem: &Problem, reduction: &Reduction, item: usize, pods: u32) -> PodsOf {
    let examples = reduction.members[item].iter().map(|&(group, _)| problem.groups[group].pods[0]);
    let example = examples.min().map_or_else(String::new, |pod| problem.snapshot.pods[pod].key.to_string());
    PodsOf { row: format!("cover_{item}"), example, pods }
}

fn node_names(problem: &Problem, nodes: &[usize]) -> Vec<Arc<str>> {
    nodes.iter().map(|&node| problem.nodes[node].node.name.clone()).collect()
}

fn domains(problem: &Problem, domains: &Domains) -> BTreeMap<Arc<str>, Arc<str>> {
    let named =
        |&(key, domain): &(usize, usize)| (problem.keys.name(key).clone(), problem.keys.domains(key)[domain].clone());
    domains.iter().map(named).collect()
}

fn cover(problem: &Problem, reduction: &Reduction, item: usize) -> RowMeaning {
    let of = &reduction.instance.items[item];
    let members = reduction.members[item].iter();
    let mut groups: Vec<_> = members.map(|&(group, pods)| group_of(problem, &problem.groups[group], pods)).collect();
    groups.sort_by(|a, b| a.example.cmp(&b.example));
    // dimensions of rules over hosts come after those of resources
    let requests = problem.dims.names().iter().cloned().zip(of.size.iter().copied());
    RowMeaning::Cover {
        groups,
        requests: requests.filter(|(_, amount)| *amount > 0).collect(),
        most_on_a_node: (of.most < u32::MAX).then_some(of.most),
        domains: domains(problem, &reduction.domains[item]),
    }
}

fn shared_row(problem: &Problem, reduction: &Reduction, row: usize) -> RowMeaning {
    let capacity = reduction.instance.rows[row].capacity;
    match &reduction.rows[row] {
        RowOf::Limit(pool, limit) => {
            let model = &problem.pools[*pool];
            let limit = model.limits().swap_remove(*limit).name;
            RowMeaning::Limit { node_pool: model.pool.name.clone(), limit, left: capacity }
        }
        RowOf::Reservation(id) => RowMeaning::Reservation { id: id.clone(), free: capacity },
        RowOf::Nodes => {
            let uses = |pattern: &(usize, usize)| {
                reduction.instance.classes[pattern.0].bins[pattern.1].uses.iter().any(|(of, _)| *of == row)
            };
            let bins = reduction.sources.iter().enumerate();
            let mut bins = bins.flat_map(|(class, of)| of.iter().enumerate().map(move |(bin, of)| ((class, bin), of)));
            let nodes = bins.find_map(|(bin, of)| match of {
                Source::Nodes(nodes) if uses(&bin) => Some(nodes.as_slice()),
                _ => None,
            });
            RowMeaning::ExistingNodes { nodes: node_names(problem, nodes.unwrap_or(&[])) }
        }
    }
}
