//! What a search names and the catalogue does not have: a slip of the keyboard rather than an empty answer.

use std::collections::BTreeSet;

use super::Args;
use super::selector::full_key;
use crate::api::labels;
use crate::api::reading::nearest_name;
use crate::catalog::{InstanceType, Offering};
use crate::requirements::Requirements;

/// Refuses names of types, labels and zones that nothing in the catalogue has.
///
/// # Errors
/// One sentence about the first of them.
pub(super) fn check(args: &Args, requirements: &Requirements, types: &[InstanceType]) -> Result<(), String> {
    for name in &args.names {
        if !types.iter().any(|known| *known.name == **name) {
            let hint = hint(name, types.iter().map(|known| &*known.name));
            return Err(format!("there is no instance type '{name}'{hint}"));
        }
    }
    for key in requirements.keys() {
        check_label(key, types).map_err(|reason| format!("--requirements: {reason}"))?;
    }
    let wanted = requirements.get(labels::ZONE).and_then(|requirement| requirement.finite_values());
    for zone in wanted.into_iter().flatten() {
        check_zone(zone, types).map_err(|reason| format!("--requirements: {reason}"))?;
    }
    args.zone.iter().try_for_each(|zone| check_zone(zone, types)).map_err(|reason| format!("--zone: {reason}"))
}

/// A label that Karpenter knows may be asked for, whether or not the data have it.
fn check_label(key: &str, types: &[InstanceType]) -> Result<(), String> {
    let of_types = types.iter().flat_map(|known| known.requirements.keys());
    let of_offerings = offerings(types).flat_map(|offering| offering.labels.iter().map(|(key, _)| key));
    let mut known: BTreeSet<&str> = of_types.chain(of_offerings).map(|key| &**key).collect();
    known.extend([labels::ZONE, labels::CAPACITY_TYPE]);
    if known.contains(key) || labels::is_well_known(key) {
        return Ok(());
    }
    let short = known.iter().filter_map(|known| {
        let (_, name) = known.split_once('/')?;
        full_key(name).is_ok_and(|full| full == *known).then_some(name)
    });
    let hint = hint(key, known.iter().copied().chain(short));
    Err(format!("no type or offering has the label '{key}'{hint}"))
}

fn check_zone(zone: &str, types: &[InstanceType]) -> Result<(), String> {
    let known: BTreeSet<&str> = offerings(types).map(|offering| &*offering.zone).collect();
    if known.contains(zone) {
        return Ok(());
    }
    let hint = hint(zone, known.iter().copied());
    Err(format!("'{zone}' is not one of the zones {}{hint}", known.into_iter().collect::<Vec<_>>().join(", ")))
}

fn offerings(types: &[InstanceType]) -> impl Iterator<Item = &Offering> {
    types.iter().flat_map(|known| &known.offerings)
}

fn hint<'n>(mistyped: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest_name(mistyped, names).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}
