//! Gauges of the conditions of node classes, under the names of the reference, which has them from operatorpkg.

use jiff::Timestamp;

use super::series::Series;
use crate::observe::objects::Objects;

/// Of every EC2NodeClass: its conditions, how long each is as it is, and how long a class has been ending.
pub(super) fn of_classes(objects: &Objects, now: Timestamp, series: &mut Series) {
    let classes = || objects.ec2_node_classes.iter().map(|(key, class)| (&*key.name, &*class.object));
    let conditions = || {
        classes().flat_map(|(name, class)| {
            let of = class.status.iter().flat_map(|status| &status.conditions);
            of.map(move |of| {
                let labels = [("name", name), ("type", &*of.type_), ("status", &*of.status), ("reason", &*of.reason)];
                (labels, of.last_transition_time.0)
            })
        })
    };
    let mut family = series.gauge("operator_ec2nodeclass_status_condition_count", "1 for each condition of a class.");
    for (labels, _) in conditions() {
        family.set(labels, 1.0);
    }
    let name = "operator_ec2nodeclass_status_condition_current_status_seconds";
    let mut family = series.gauge(name, "For how long a condition of a class is as it is.");
    for (labels, since) in conditions() {
        family.set(labels, now.duration_since(since).as_secs_f64());
    }
    let name = "operator_ec2nodeclass_termination_current_time_seconds";
    let mut family = series.gauge(name, "For how long a class has been ending.");
    for (name, class) in classes() {
        if let Some(since) = &class.metadata.deletion_timestamp {
            family.set([("name", name)], now.duration_since(since.0).as_secs_f64());
        }
    }
}
