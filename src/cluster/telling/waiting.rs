//! Pods that wait for a node, and for how long.

use std::collections::HashMap;

use jiff::Timestamp;

use super::objects::count;
use super::series::Series;
use crate::controller::World;

/// Since when pods have waited, by uid. Kubernetes does not say it of one that waited behind scheduling gates before.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<String, Timestamp>);

impl Waiting {
    pub fn look(&mut self, world: &World, now: Timestamp, series: &mut Series) {
        let uids = world.waiting_pods().filter_map(|pod| pod.metadata.uid.clone());
        self.0 = uids.map(|uid| (self.0.get(&uid).copied().unwrap_or(now), uid)).map(|(at, uid)| (uid, at)).collect();
        let longest = self.0.values().min().map_or(0.0, |first| now.duration_since(*first).as_secs_f64());
        let name = "packwright_pods_waiting";
        series.gauge(name, "Pods that kube-scheduler finds no room for.").set([], count(self.0.len()));
        let name = "packwright_pods_waiting_longest_seconds";
        series.gauge(name, "For how long the first of them has waited, as far as this process knows.").set([], longest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::Catalog;
    use crate::controller::{Controller, ControllerSettings, Event};
    use crate::observe::RawObject;
    use crate::observe::input::Origin;

    fn pod(name: &str, more: &Value, reason: &str) -> RawObject {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": reason,
            "lastTransitionTime": "1970-01-01T00:00:00Z"});
        let mut value = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "a", "uid": name},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Pending", "conditions": [condition]},
        });
        for (key, of) in more.as_object().into_iter().flatten() {
            value["spec"][key] = of.clone();
        }
        RawObject { origin: Origin::default(), value }
    }

    #[test]
    fn pods_count_from_when_there_was_no_room_for_them_and_those_that_nobody_wants_bound_never() {
        let mut controller = Controller::new(ControllerSettings::default(), Catalog::Fixed(Vec::new()));
        let mut list = |objects| {
            drop(controller.observe(Event::Listed { kind: "Pod", objects }, Timestamp::UNIX_EPOCH));
            controller.world().waiting_pods().count()
        };
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}}});
        let mut daemon = pod("daemon", &json!({ "affinity": affinity }), "Unschedulable");
        daemon.value["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
        let gated = || pod("gated", &json!({"schedulingGates": [{"name": "kueue"}]}), "SchedulingGated");
        assert_eq!(list(vec![gated(), daemon, pod("bound", &json!({"nodeName": "n"}), "Unschedulable")]), 0);
        assert_eq!(list(vec![gated(), pod("web", &json!({}), "Unschedulable")]), 1);
    }

    #[test]
    fn the_one_that_has_waited_longest_counts_until_it_is_gone() {
        let mut controller = Controller::new(ControllerSettings::default(), Catalog::Fixed(Vec::new()));
        let mut waiting = Waiting::default();
        let mut look = |objects, second: i64| {
            drop(controller.observe(Event::Listed { kind: "Pod", objects }, Timestamp::UNIX_EPOCH));
            let mut series = Series::default();
            waiting.look(controller.world(), Timestamp::from_second(second).expect("a time"), &mut series);
            let text = series.into_text();
            let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').nth(1));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        let web = || pod("web", &json!({}), "Unschedulable");
        let job = || pod("job", &json!({}), "Unschedulable");
        assert_eq!(look(vec![web()], 100), ["1", "0"]);
        assert_eq!(look(vec![web(), job()], 160), ["2", "60"]);
        assert_eq!(look(vec![job()], 200), ["1", "40"]);
        assert_eq!(look(vec![], 900), ["0", "0"]);
    }
}
