use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ColumnMeaning, Model, RowMeaning, of};
use crate::host::tests::worlds::{MIXED, world};
use crate::host::{Limits, Search, decide};
use crate::model::Problem;
use crate::solve::Work;
use crate::solve::lp::minimum;
use crate::solve::program::{Program, RowBound};

const WORLDS: u64 = 120;

/// The rows that these amounts break.
fn broken<'p>(program: &'p Program, amounts: &[f64]) -> Vec<&'p str> {
    let broken = program.rows.iter().filter(|row| {
        let sum: f64 = row.entries.iter().map(|&(column, factor)| factor * amounts[column]).sum();
        match row.bound {
            RowBound::AtLeast(least) => sum < least - 1e-9,
            RowBound::AtMost(most) => sum > most + 1e-9,
        }
    });
    broken.map(|row| row.name.as_str()).collect()
}

fn assert_named(model: &Model) {
    let Model { program, meaning, name } = model;
    let columns: Vec<&String> = program.columns.iter().map(|column| &column.name).collect();
    let rows: Vec<&String> = program.rows.iter().map(|row| &row.name).collect();
    assert_eq!(columns, meaning.columns.iter().map(|column| &column.name).collect::<Vec<_>>(), "{name}");
    assert_eq!(rows, meaning.rows.iter().map(|row| &row.name).collect::<Vec<_>>(), "{name}");
    assert_eq!(columns.iter().collect::<BTreeSet<_>>().len(), columns.len(), "{name}: {columns:?}");
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len(), "{name}: {rows:?}");
    for column in &meaning.columns {
        let start = match column.meaning {
            ColumnMeaning::ResourcePrice { class, .. } => format!("p_{class}_"),
            ColumnMeaning::DearestPrice { .. } => "m_".to_owned(),
            ColumnMeaning::LimitPrice { .. } => "q_".to_owned(),
            ColumnMeaning::NewNode { .. } | ColumnMeaning::ExistingNode { .. } => "y_".to_owned(),
            ColumnMeaning::LeftOut { .. } => "u_".to_owned(),
        };
        assert!(column.name.starts_with(&start), "{column:?}");
    }
    for row in &meaning.rows {
        let start = match &row.meaning {
            RowMeaning::Order { .. } => "order_",
            RowMeaning::Shape { .. } => "shape_",
            RowMeaning::Cover { groups, .. } => {
                assert!(!groups.is_empty(), "{row:?}");
                "cover_"
            }
            RowMeaning::Limit { .. } => "limit_",
            RowMeaning::Reservation { .. } => "reservation_",
            RowMeaning::ExistingNodes { nodes } => {
                assert!(!nodes.is_empty(), "{row:?}");
                "nodes_"
            }
        };
        assert!(row.name.starts_with(start), "{row:?}");
    }
}

/// Of random worlds: names are those of the meanings, and the packing that a plan came from is a solution of the model.
#[test]
fn the_models_of_random_worlds_have_their_packings_as_solutions() {
    let (mut packings, mut with_rows) = (0, 0);
    for seed in 0..WORLDS {
        let snapshot = Arc::new(world(seed, MIXED));
        let limits = Limits::of_work(Work { ways: 0, ..Work::LIMITED }, Search::Integer);
        let decision = decide(&snapshot, limits);
        let problem = Problem::new(&snapshot);
        let unplaced: Vec<usize> = decision.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
        for model in of(&problem, &unplaced, decision.searched.as_deref()) {
            assert_named(&model);
            let Model { program, meaning, .. } = &model;
            assert!(minimum(program).is_some(), "world {seed}: {} has an optimum", model.name);
            if model.name == "columns" {
                let planned = meaning.columns.iter().map(|column| f64::from(column.meaning.planned()));
                let planned: Vec<f64> = planned.collect();
                assert_eq!(broken(program, &planned), Vec::<&str>::new(), "world {seed}");
                packings += 1;
                with_rows += usize::from(program.rows.iter().any(|row| !row.name.starts_with("cover_")));
            }
        }
    }
    assert!(packings > 50 && with_rows > 10, "{packings} packings, {with_rows} with rows that bins share");
}
