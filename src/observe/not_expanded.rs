//! Owners whose pods are not made up, and what is planned in their place.

use super::objects::Objects;

/// One sentence for each such kind in the input.
pub(super) fn notes(objects: &mut Objects) -> Vec<String> {
    let cron_jobs = (objects.cron_jobs.len(), "CronJob", "only runs whose Job is in the input are planned");
    let rollouts = objects.skipped.remove("Rollout.argoproj.io").unwrap_or(0);
    let rollouts = (rollouts, "Rollout", "only those of its ReplicaSets and pods that are in the input are planned");
    let found = [cron_jobs, rollouts].into_iter().filter(|(count, ..)| *count > 0);
    found.map(|(count, kind, instead)| format!("{count} {kind}{} not expanded: {instead}", is_or_are(count))).collect()
}

fn is_or_are(count: usize) -> &'static str {
    if count == 1 { " is" } else { "s are" }
}
