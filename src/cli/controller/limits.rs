//! Limits of what is launched and of what deciding takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::controller::valves::Valves;
use crate::units::MicroUsd;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits, whatever decisions want")]
pub struct LimitArgs {
    /// The most nodes of all NodePools, those on their way included.
    #[arg(long, env = "PACKWRIGHT_MAX_NODES", value_name = "N")]
    max_nodes: Option<usize>,
    /// The most that the nodes of all NodePools may cost an hour, dollars; nodes of no NodePool do not count.
    #[arg(long, env = "PACKWRIGHT_MAX_USD_PER_HOUR", value_name = "USD", value_parser = usd)]
    max_usd_per_hour: Option<MicroUsd>,
    /// The same for nodes of single NodePools, separated by commas, such as default=12.5,gpu=40; of one that is named twice the lower
    /// counts.
    #[arg(long, env = "PACKWRIGHT_NODEPOOL_MAX_USD_PER_HOUR", value_delimiter = ',', value_name = "NODEPOOL=USD",
        value_parser = of_pool)]
    nodepool_max_usd_per_hour: Vec<(Arc<str>, MicroUsd)>,
    /// The most nodes that are launched within a minute.
    #[arg(long, env = "PACKWRIGHT_MAX_LAUNCHES_PER_MINUTE", value_name = "N")]
    max_launches_per_minute: Option<usize>,
    /// The most seconds that deciding may take within an hour; for the rest of it Karpenter's own packing
    /// decides, and nothing goes because something else is cheaper.
    #[arg(long, env = "PACKWRIGHT_MAX_SOLVER_SECONDS_PER_HOUR", value_name = "SECONDS")]
    max_solver_seconds_per_hour: Option<u64>,
    /// The most pods that are evicted within an hour as nodes are consolidated or drifted; where none was, one node may go with more.
    #[arg(long, env = "PACKWRIGHT_MAX_EVICTIONS_PER_HOUR", value_name = "N")]
    max_evictions_per_hour: Option<usize>,
}

impl LimitArgs {
    pub fn valves(&self) -> Valves {
        let mut by_pool: BTreeMap<Arc<str>, MicroUsd> = BTreeMap::new();
        for (pool, most) in &self.nodepool_max_usd_per_hour {
            let lower = by_pool.get(pool).map_or(*most, |before| *most.min(before));
            by_pool.insert(pool.clone(), lower);
        }
        Valves {
            nodes: self.max_nodes,
            usd_per_hour: self.max_usd_per_hour,
            pool_usd_per_hour: by_pool,
            launches_per_minute: self.max_launches_per_minute,
            solver_seconds_per_hour: self.max_solver_seconds_per_hour,
            evictions_per_hour: self.max_evictions_per_hour,
        }
    }
}

fn usd(text: &str) -> Result<MicroUsd, String> {
    let usd: Option<f64> = text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd >= 0.0);
    usd.map(MicroUsd::from_usd).ok_or_else(|| "expected dollars, such as 12.5".to_owned())
}

fn of_pool(text: &str) -> Result<(Arc<str>, MicroUsd), String> {
    let (pool, price) = text.split_once('=').ok_or_else(|| "expected NODEPOOL=USD, such as default=12.5".to_owned())?;
    Ok((Arc::from(pool.trim()), usd(price.trim())?))
}
