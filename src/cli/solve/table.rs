//! Solved models as tables.

use std::fmt::Write as _;

use super::{Solved, Used};
use crate::cli::table::{align, table};
use crate::solve::models::{ColumnMeaning, OfferingOf, PodsOf};
use crate::units::MicroUsd;

/// One table of the models, and one of the columns that each integer program uses.
pub fn listed(models: &[Solved]) -> String {
    let header = ["MODEL", "ROWS", "COLUMNS", "INTEGERS", "$/H", "STORED", "BOUND", "GAP", "DIFFERENCE"];
    let mut summary = table(&header);
    for model in models {
        let sizes = [model.rows, model.columns, model.integers].map(|size| size.to_string());
        let gap = match (model.objective_usd_hour, model.bound_usd_hour) {
            (Some(objective), Some(bound)) if model.integers > 0 && objective > 0.0 => {
                format!("{:.2}%", 100.0 * (objective - bound) / objective)
            }
            _ => "-".to_owned(),
        };
        let money = [model.objective_usd_hour, Some(model.stored_usd_hour), model.bound_usd_hour];
        let [objective, stored, bound] = money.map(dollars);
        let [rows, columns, integers] = sizes;
        let difference = dollars(model.difference_usd_hour);
        summary.add_row([model.name.clone(), rows, columns, integers, objective, stored, bound, gap, difference]);
    }
    let mut text = align(summary, &[1, 2, 3, 4, 5, 6, 7, 8]);
    for model in models.iter().filter(|model| !model.used.is_empty()) {
        let mut used = table(&["COLUMN", "TIMES", "NODE", "$/H EACH", "PODS"]);
        for column in &model.used {
            used.add_row(row(column));
        }
        let _ = write!(text, "\n\n{}", align(used, &[1, 3])); // a String takes everything
    }
    text
}

fn dollars(amount: Option<f64>) -> String {
    amount.map_or_else(|| "-".to_owned(), |usd| MicroUsd::from_usd(usd).to_string().replacen('$', "", 1))
}

fn row(used: &Used) -> [String; 5] {
    let price = |micro: i64| dollars(Some(MicroUsd(micro).as_usd()));
    let (node, price, pods) = match &used.meaning {
        ColumnMeaning::NewNode { offering, price_micro_usd, pods, .. } => {
            (bought(offering), price(*price_micro_usd), listed_pods(pods))
        }
        ColumnMeaning::ExistingNode { nodes, pods, .. } => {
            let node = match nodes.as_slice() {
                [only] => only.to_string(),
                all => format!("of {} like {}", all.len(), all.first().map_or("", |node| node)),
            };
            (node, "-".to_owned(), listed_pods(pods))
        }
        ColumnMeaning::LeftOut { pods, price_micro_usd, .. } => {
            ("left out".to_owned(), price(*price_micro_usd), listed_pods(std::slice::from_ref(pods)))
        }
        // the resource LP has no integers
        ColumnMeaning::ResourcePrice { .. } | ColumnMeaning::DearestPrice { .. } | ColumnMeaning::LimitPrice { .. } => {
            Default::default()
        }
    };
    [used.column.clone(), used.times.to_string(), node, price, pods]
}

fn bought(OfferingOf { node_pool, instance_type, capacity_type, zone, reservation }: &OfferingOf) -> String {
    let reservation = reservation.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    format!("{node_pool} {instance_type} {capacity_type} {zone}{reservation}")
}

fn listed_pods(pods: &[PodsOf]) -> String {
    pods.iter().map(|of| format!("{} like {}", of.pods, of.example)).collect::<Vec<_>>().join(", ")
}
