//! Limits of a NodePool that never bind.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::snapshot::NodePool;
use crate::api::labels;
use crate::api::reading::nearest_name;

/// Limits of what no instance type has, and a sentence for each: the name may be mistyped.
#[must_use]
pub fn idle_limits(pool: &NodePool) -> Vec<(Arc<str>, String)> {
    if pool.instance_types.is_empty() {
        return Vec::new();
    }
    let amounts = pool.instance_types.iter().flat_map(|kind| kind.capacity.iter());
    let resources: BTreeSet<&str> = amounts.map(|(name, _)| &**name).collect();
    let names: Vec<&str> = resources.iter().copied().chain([labels::LIMIT_NODES, labels::LIMIT_USD_PER_HOUR]).collect();
    let idle = pool.limits.resources.iter().filter(|(limit, _)| !resources.contains(&***limit));
    let said = idle.map(|(limit, _)| {
        let hint = meant(limit, &names).map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
        (limit.clone(), format!("spec.limits.{limit} never binds: no instance type has that resource{hint}"))
    });
    said.collect()
}

/// What an unknown limit was probably meant to be: what has its name in another domain, in the plural or as a part, else the
/// nearest name.
fn meant(limit: &str, names: &[&str]) -> Option<String> {
    let bare = |name: &str| {
        let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        name.strip_suffix('s').unwrap_or(&name).to_owned()
    };
    let meant = bare(limit);
    let those = |is_it: &dyn Fn(&str) -> bool| -> Vec<&str> {
        names.iter().copied().filter(|name| is_it(&bare(name))).collect()
    };
    let mut alike = those(&|name| name == meant);
    if alike.is_empty() && meant.len() >= 3 {
        alike = those(&|name| name.contains(&meant));
    }
    if alike.is_empty() {
        return nearest_name(limit, names.iter().copied()).map(str::to_owned);
    }
    let of_domain = nearest_name(limit, alike.iter().copied()).filter(|_| limit.contains('/'));
    Some(of_domain.map_or_else(|| alike.join(" or "), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn what_is_meant_is_named() {
        let names = ["amd.com/gpu", "cpu", "memory", "nvidia.com/gpu", "pods", "nodes", "packwright.dev/usd-per-hour"];
        for (limit, expected) in [
            ("node", Some("nodes")),
            ("pod", Some("pods")),
            ("CPU", Some("cpu")),
            ("cpus", Some("cpu")),
            ("cup", Some("cpu")),
            ("mem", Some("memory")),
            ("gpu", Some("amd.com/gpu or nvidia.com/gpu")),
            ("nvidia.com/gpus", Some("nvidia.com/gpu")),
            ("usd-per-hour", Some("packwright.dev/usd-per-hour")),
            ("example.com/licence", None),
        ] {
            assert_eq!(meant(limit, &names).as_deref(), expected, "{limit}");
        }
    }
}
