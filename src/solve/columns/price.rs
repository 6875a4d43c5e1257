//! Pricing: for every bin a valuable filling, and a bound of what it can hold.

use super::Task;
use super::fill::{Filler, Worth};
use super::instance::{Class, Duals, Instance, Pattern};
use super::rate::Rated;
use crate::solve::knapsack::table::{self, Table, Valued, fits, whole};
use crate::solve::knapsack::{axes, search};

/// What part of a bin's own prices of room its tables take off; the least bound counts.
const SHARES_PERMILLE: [i128; 3] = [1000, 900, 0];

/// A valuable filling of the bin, found quickly.
pub fn fill(instance: &Instance, rated: &Rated, duals: &Duals, most: &[u32]) -> Pattern {
    let class = &instance.classes[rated.class];
    let filler = Filler { instance, class, worth: Worth { values: &duals.items, most, weights: &rated.weights } };
    let filling = filler.fill(rated.of(instance), instance.price(rated.of(instance), duals));
    Pattern { class: rated.class, bin: rated.bin, counts: filler.listed(&filling.counts) }
}

/// Searches for a filling that is worth more than the bin costs, and lowers the bound of what it can hold.
pub fn search(task: &Task, rated: &mut Rated, duals: &Duals, most: &[u32]) -> Option<Pattern> {
    let instance = task.instance;
    let class = &instance.classes[rated.class];
    let bin = rated.of(instance);
    let price = instance.price(bin, duals);
    let mut items: Vec<(f64, Valued)> = held(instance, class, &bin.room, &duals.items, most)
        .map(|(item, value, most)| {
            let sizes = instance.items[item].size.iter().zip(&rated.weights);
            let size = sizes.map(|(size, weight)| *size as f64 * weight).sum::<f64>();
            let (density, is_small) = (value / size.max(1e-12), size < price * SMALL);
            (size, Valued { item, value: (value * 1e9) as i64, most, density, is_small })
        })
        .collect();
    items.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.item.cmp(&b.1.item)));
    let items: Vec<Valued> = items.into_iter().map(|(_, valued)| valued).collect();
    let prices: Vec<i128> = rated.weights.iter().map(|weight| whole(*weight, 1e18)).collect();
    let sizes = items.iter().map(|valued| &*instance.items[valued.item].size);
    let axes = axes::axes(&bin.room, &prices, sizes, task.work.cells);
    let mut tables = Vec::new();
    for share in SHARES_PERMILLE {
        let prices = table::shared(&prices, &axes, share);
        let table = Table::new(&instance.items, &items, &bin.room, prices, axes);
        rated.most = rated.most.min(usd_of_nano(table.bound(&bin.room)));
        tables.push(table);
    }
    if rated.most <= price * IMPROVES {
        return None;
    }
    let floor = (price * 1e9 * IMPROVES) as i64;
    let found = search::search(&instance.items, &items, &tables, &bin.room, floor, task.work.search_steps);
    rated.most = rated.most.min(usd_of_nano(found.most));
    let counts = found.counts?;
    let counts = counts.iter().zip(&items).filter(|(count, _)| **count > 0);
    let mut counts: Vec<(usize, u32)> = counts.map(|(count, valued)| (valued.item, *count)).collect();
    counts.sort_unstable();
    Some(Pattern { class: rated.class, bin: rated.bin, counts })
}

/// A pattern is worth adding when its value beats its cost by this factor.
pub const IMPROVES: f64 = 1.0 + 1e-6;

/// Items smaller than this part of their bin are not searched for but filled in: their number is too large, and they leave
/// little room.
const SMALL: f64 = 0.05;

/// Items worth something that fit into the room: item, value, how many.
fn held<'i>(
    instance: &'i Instance,
    class: &'i Class,
    room: &'i [i64],
    values: &'i [f64],
    most: &'i [u32],
) -> impl Iterator<Item = (usize, f64, u32)> + 'i {
    class.items.iter().filter(|item| values[**item] > 0.0).filter_map(move |&item| {
        let of = &instance.items[item];
        let most = fits(&of.size, room).min(of.most).min(most[item]);
        (most > 0).then_some((item, values[item], most))
    })
}

fn usd_of_nano(nano: i64) -> f64 {
    nano as f64 / 1e9
}
