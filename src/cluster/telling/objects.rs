//! Gauges of what is there: nodes, pods and pools, under the reference's names (karpenter-core 6.1).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use metrics::histogram;

use super::classes::of_classes;
use super::series::{Family, Series};
use super::waiting::Waiting;
use crate::api::labels;
use crate::controller::disruptable::Disruptable;
use crate::controller::spend::Spend;
use crate::controller::{Subject, World};
use crate::observe::objects::Objects;
use crate::observe::{amounts, has_ended, is_daemon_pod, pod_requests};
use crate::placement::Landed;
use crate::resources::{CPU, Resources};

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Uids of pods that were seen before they ran.
    starting: HashSet<String>,
    /// The last of each claim.
    pub landed: BTreeMap<String, Landed>,
    pub spend: Spend,
    pub disruptable: Disruptable,
    /// Series of what can be bought: they are many and seldom change.
    pub offered: String,
    unsynced_since: Option<Timestamp>,
    waiting: Waiting,
    /// Whether this process decides: what came of it is served by no other. Kept meanwhile, as a change alone is said.
    pub decides: bool,
}

impl Looks {
    /// Every series at this time. `details`: those of single nodes and pods.
    pub fn series(&mut self, world: &World, now: Timestamp, details: bool) -> String {
        let objects = world.objects();
        let mut series = Series::default();
        self.of_state(world, now, &mut series);
        of_pools(objects, &mut series);
        of_classes(objects, now, &mut series);
        let is_there = |claim: &str| objects.node_claims.contains_key(&Subject::of_cluster("NodeClaim", claim).key);
        self.landed.retain(|claim, _| is_there(claim));
        of_launches(objects, now, &mut series);
        self.waiting.look(world, now, &mut series);
        if self.decides {
            self.of_plans(&mut series);
            self.of_disruption(&mut series);
        }
        self.note_starts(objects, now);
        if details {
            of_nodes(objects, now, &mut series);
            of_pods(objects, &mut series);
        }
        series.into_text() + &self.offered
    }

    fn of_state(&mut self, world: &World, now: Timestamp, series: &mut Series) {
        self.unsynced_since = if world.is_complete() { None } else { Some(self.unsynced_since.unwrap_or(now)) };
        let unsynced = self.unsynced_since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        let mut one = |name: &str, help: &str, value: f64| series.gauge(name, help).set([], value);
        one("karpenter_cluster_state_node_count", "Nodes that are known.", count(world.objects().nodes.len()));
        let is_synced = f64::from(u8::from(world.is_complete()));
        one("karpenter_cluster_state_synced", "Whether everything was read once.", is_synced);
        one("karpenter_cluster_state_unsynced_time_seconds", "For how long not everything is read.", unsynced);
    }

    fn of_plans(&self, series: &mut Series) {
        let mut sums = [0; 4];
        for landed in self.landed.values() {
            let of = [landed.as_planned, landed.elsewhere, landed.unbound, landed.gone];
            sums.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
        }
        let mut family =
            series.gauge("packwright_placement_pods", "Planned pods of the claims that are there, by where they are.");
        for (outcome, sum) in ["as_planned", "elsewhere", "unbound", "gone"].into_iter().zip(sums) {
            family.set([("outcome", outcome)], count(sum));
        }
        let mut family =
            series.gauge("packwright_nodes_usd_per_hour", "Price of the nodes of a pool: as planned, and as bought.");
        for (pool, price) in &self.spend.0 {
            for (kind, price) in [("planned", price.planned), ("realised", price.realised)] {
                family.set([("nodepool", &**pool), ("price", kind)], price.as_usd());
            }
        }
    }

    fn of_disruption(&self, series: &mut Series) {
        let Disruptable { eligible, eligible_of_pools, budgets } = &self.disruptable;
        let name = "karpenter_voluntary_disruption_eligible_nodes";
        let mut family = series.gauge(name, "Nodes that nothing but budgets keeps, by reason.");
        for (reason, nodes) in eligible {
            family.set([("reason", *reason)], count(*nodes));
        }
        let name = "packwright_nodepools_eligible_nodes";
        let mut family = series.gauge(name, "Nodes of a pool that nothing but budgets keeps, by reason.");
        set_by_pool(&mut family, eligible_of_pools, |nodes| *nodes);
        let name = "karpenter_nodepools_allowed_disruptions";
        let mut family = series.gauge(name, "Nodes of a pool that budgets allow to go at once.");
        // the reference's number for as many as one likes
        set_by_pool(&mut family, budgets, |allowance| allowance.most.min(i32::MAX.unsigned_abs() as usize));
        let name = "karpenter_nodepools_nodes_consuming_budgets";
        let mut family = series.gauge(name, "Nodes of a pool that go, or are not ready.");
        set_by_pool(&mut family, budgets, |allowance| allowance.disrupted);
    }

    /// How long pods took to run, of those that were seen before.
    fn note_starts(&mut self, objects: &Objects, now: Timestamp) {
        let mut there = HashSet::new();
        for pod in objects.pods.values().map(|pod| &pod.object) {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            match phase(pod) {
                "Running" if self.starting.contains(&uid) => {
                    let created = pod.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
                    let ran = ready_since(pod).unwrap_or(now);
                    histogram!("karpenter_pods_startup_duration_seconds")
                        .record(ran.duration_since(created).as_secs_f64());
                }
                "Pending" => drop(there.insert(uid)),
                _ => {}
            }
        }
        self.starting = there;
    }
}

/// By pool and reason.
type ByPool<T> = BTreeMap<Arc<str>, BTreeMap<&'static str, T>>;

fn set_by_pool<T>(family: &mut Family<'_>, by_pool: &ByPool<T>, of: impl Fn(&T) -> usize) {
    for (pool, reasons) in by_pool {
        for (reason, value) in reasons {
            family.set([("nodepool", &**pool), ("reason", *reason)], count(of(value)));
        }
    }
}

fn of_launches(objects: &Objects, now: Timestamp, series: &mut Series) {
    let is_recent = |at: Timestamp| now.duration_since(at) < SignedDuration::from_secs(60);
    let created = objects.node_claims.values().filter_map(|claim| claim.object.metadata.creation_timestamp.as_ref());
    let launched = created.filter(|created| is_recent(created.0)).count();
    series
        .gauge("packwright_nodes_launched_last_minute", "NodeClaims that are younger than a minute.")
        .set([], count(launched));
}

fn of_pools(objects: &Objects, series: &mut Series) {
    let mut all: Vec<(&str, &str, Resources)> = Vec::new();
    for (key, pool) in &objects.node_pools {
        let limits: BTreeMap<_, _> =
            pool.object.spec.limits.iter().map(|(name, of)| (name.clone(), of.clone())).collect();
        let used = pool.object.status.as_ref().map(|status| amounts(&status.resources)).unwrap_or_default();
        all.push(("karpenter_nodepools_limit", &key.name, amounts(&limits)));
        all.push(("karpenter_nodepools_usage", &key.name, used));
    }
    let families = [
        ("karpenter_nodepools_limit", "Limits of a pool, cores and bytes."),
        ("karpenter_nodepools_usage", "What the nodes of a pool come to, cores and bytes."),
    ];
    for (name, help) in families {
        let mut family = series.gauge(name, help);
        for (_, pool, list) in all.iter().filter(|(of, ..)| *of == name) {
            for (resource, amount) in list.iter() {
                family.set([("nodepool", *pool), ("resource_type", resource)], in_units(resource, amount));
            }
        }
    }
}

/// The end of a name, what it is, and the amounts of a node.
type OfNode<'f> = (&'f str, &'f str, &'f dyn Fn(&Node, &Asked) -> Resources);

/// What pods ask of a node.
#[derive(Default)]
struct Asked {
    requests: Resources,
    limits: Resources,
    daemon_requests: Resources,
    daemon_limits: Resources,
}

fn of_nodes(objects: &Objects, now: Timestamp, series: &mut Series) {
    let mut asked: BTreeMap<&str, Asked> = BTreeMap::new();
    for pod in objects.pods.values().map(|pod| &pod.object) {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let Some(node) = node.filter(|_| !has_ended(pod)) else { continue };
        let asked = asked.entry(node).or_default();
        let (requests, limits) = (pod_requests(pod).unwrap_or_default(), limits(pod));
        if is_daemon_pod(pod) {
            asked.daemon_requests.add(&requests);
            asked.daemon_limits.add(&limits);
        }
        asked.requests.add(&requests);
        asked.limits.add(&limits);
    }
    let none = Asked::default();
    let nodes: Vec<(&str, &Node, &Asked)> = objects
        .nodes
        .iter()
        .map(|(key, node)| (&*key.name, &*node.object, asked.get(&*key.name).unwrap_or(&none)))
        .collect();
    let list = |of: Option<&BTreeMap<String, _>>| of.map(amounts).unwrap_or_default();
    let allocatable = |node: &Node| list(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let overhead = |node: &Node| {
        let mut found = list(node.status.as_ref().and_then(|status| status.capacity.as_ref()));
        for (resource, amount) in allocatable(node).iter() {
            found.set(resource.clone(), (found.get(resource) - amount).max(0));
        }
        found
    };
    let families: [OfNode<'_>; 6] = [
        ("allocatable", "What pods may use of a node.", &|node, _| allocatable(node)),
        ("system_overhead", "What is kept of a node for the system.", &|node, _| overhead(node)),
        ("total_pod_requests", "What the pods of a node request.", &|_, asked| asked.requests.clone()),
        ("total_pod_limits", "What the pods of a node may use at most.", &|_, asked| asked.limits.clone()),
        ("total_daemon_requests", "What its daemon pods request.", &|_, asked| asked.daemon_requests.clone()),
        ("total_daemon_limits", "What its daemon pods may use at most.", &|_, asked| asked.daemon_limits.clone()),
    ];
    let named: Vec<Vec<(String, String)>> = nodes.iter().map(|(name, node, _)| labels_of(name, node)).collect();
    for (name, help, amounts) in families {
        let mut family = series.gauge(&format!("karpenter_nodes_{name}"), help);
        for ((_, node, asked), labels) in nodes.iter().zip(&named) {
            for (resource, amount) in amounts(node, asked).iter() {
                let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                family.set(labels.chain([("resource_type", &**resource)]), in_units(resource, amount));
            }
        }
    }
    let mut family = series.gauge("karpenter_nodes_current_lifetime_seconds", "The age of a node.");
    for ((_, node, _), labels) in nodes.iter().zip(&named) {
        let created = node.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        family.set(labels, now.duration_since(created).as_secs_f64());
    }
}

/// The well-known labels that the node has, as what follows the last `/` in snake case, and its own.
fn labels_of(name: &str, node: &Node) -> Vec<(String, String)> {
    let known = node.metadata.labels.as_ref();
    let of_node = labels::WELL_KNOWN.iter().filter_map(|key| Some((snake(key), known?.get(*key)?.clone())));
    let is_managed = known.is_some_and(|of| of.contains_key(labels::NODEPOOL));
    let phase = node.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let own = [("node_name", name.to_owned()), ("phase", phase), ("managed", is_managed.to_string())];
    of_node.chain(own.map(|(key, value)| (key.to_owned(), value))).collect()
}

fn snake(key: &str) -> String {
    key.rsplit('/').next().unwrap_or_default().replace(['-', '.'], "_")
}

fn of_pods(objects: &Objects, series: &mut Series) {
    let mut family = series.gauge("karpenter_pods_state", "One for every pod, with how it is.");
    for (key, pod) in &objects.pods {
        let pod = &*pod.object;
        let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let of_name = Subject::of_cluster("Node", name).key;
        let node = objects.nodes.get(&of_name).and_then(|node| node.object.metadata.labels.as_ref());
        let of = |label: &str| node.and_then(|node| node.get(label)).map_or("", String::as_str);
        let owner = pod.metadata.owner_references.iter().flatten().next();
        let owner = owner.map(|owner| {
            format!(
                "/apis/{}/namespaces/{}/{}/{}",
                owner.api_version,
                key.namespace,
                owner.kind.to_lowercase() + "s",
                owner.name
            )
        });
        let (scheduled, ready) = (!name.is_empty(), ready_since(pod).is_some());
        let labels = [
            ("name", &*key.name),
            ("namespace", &*key.namespace),
            ("owner", owner.as_deref().unwrap_or_default()),
            ("node", name),
            ("scheduled", said(scheduled)),
            ("nodepool", of(labels::NODEPOOL)),
            ("zone", of(labels::ZONE)),
            ("arch", of(labels::ARCH)),
            ("capacity_type", of(labels::CAPACITY_TYPE)),
            ("instance_type", of(labels::INSTANCE_TYPE)),
            ("phase", phase(pod)),
            ("ready", said(ready)),
            ("managed", said(!of(labels::NODEPOOL).is_empty())),
        ];
        family.set(labels, 1.0);
    }
}

fn said(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// Of all containers together.
fn limits(pod: &Pod) -> Resources {
    let mut sum = Resources::new();
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        if let Some(limits) = container.resources.as_ref().and_then(|resources| resources.limits.as_ref()) {
            sum.add(&amounts(limits));
        }
    }
    sum
}

#[allow(clippy::cast_precision_loss)] // shown, not reckoned with
pub(super) fn count(of: usize) -> f64 {
    of as f64
}

/// Cores, bytes and counts, as the reference measures them.
#[allow(clippy::cast_precision_loss)] // shown, not reckoned with
fn in_units(resource: &str, amount: i64) -> f64 {
    if resource == CPU { amount as f64 / 1_000.0 } else { amount as f64 }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::Catalog;
    use crate::controller::{Controller, ControllerSettings, Event};
    use crate::observe::RawObject;
    use crate::observe::input::Origin;
    use crate::observe::objects::KINDS;

    fn world(objects: &[(&str, Value)]) -> Controller {
        let mut controller = Controller::new(ControllerSettings::default(), Catalog::Fixed(Vec::new()));
        for kind in KINDS {
            let raw = |object: &Value| {
                let mut value = object.clone();
                value["apiVersion"] = json!(kind.api_version());
                value["kind"] = json!(kind.name);
                RawObject { origin: Origin::default(), value }
            };
            let own = objects.iter().filter(|(of, _)| *of == kind.name).map(|(_, object)| raw(object)).collect();
            let step = controller.observe(Event::Listed { kind: kind.name, objects: own }, Timestamp::UNIX_EPOCH);
            assert!(step.said.is_empty(), "{:?}", step.said);
        }
        controller
    }

    fn values<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        text.lines().filter(of_name).map(|line| &line[name.len()..]).collect()
    }

    #[test]
    fn node_classes_have_series_of_their_conditions() {
        let condition = json!({"type": "Ready", "status": "False", "reason": "UnhealthyDependents", "message": "",
            "lastTransitionTime": "2026-01-05T11:59:00Z"});
        let class = json!({
            "metadata": {"name": "default", "deletionTimestamp": "2026-01-05T11:59:30Z", "finalizers": ["f"]},
            "spec": {"amiFamily": "AL2023", "role": "r", "subnetSelectorTerms": [{"id": "subnet-1"}],
                "securityGroupSelectorTerms": [{"id": "sg-1"}], "amiSelectorTerms": [{"alias": "al2023@latest"}]},
            "status": {"conditions": [condition]},
        });
        let controller = world(&[("EC2NodeClass", class)]);
        let text = Looks::default().series(controller.world(), "2026-01-05T12:00:00Z".parse().expect("a time"), false);
        let of = |name: &str| values(&text, &format!("operator_ec2nodeclass_{name}"));
        let labels = r#"{name="default",type="Ready",status="False",reason="UnhealthyDependents"}"#;
        assert_eq!(of("status_condition_count"), [format!("{labels} 1")]);
        assert_eq!(of("status_condition_current_status_seconds"), [format!("{labels} 60")]);
        assert_eq!(of("termination_current_time_seconds"), [r#"{name="default"} 30"#]);
    }

    #[test]
    fn what_is_there_has_series_and_what_is_gone_has_none() {
        let now: Timestamp = "2026-01-05T12:00:00Z".parse().expect("a time");
        let pod = |name: &str, cpu: &str, more: Value| {
            let mut pod = json!({
                "metadata": {"name": name, "namespace": "a", "uid": name, "creationTimestamp": "2026-01-05T11:00:00Z"},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", "resources": {
                    "requests": {"cpu": cpu}, "limits": {"cpu": "2"},
                }}]},
                "status": {"phase": "Running"},
            });
            for (key, value) in more.as_object().into_iter().flatten() {
                pod["metadata"][key] = value.clone();
            }
            pod
        };
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d", "controller": true}]);
        let node = json!({
            "metadata": {"name": "n", "uid": "n", "creationTimestamp": "2026-01-05T11:59:00Z", "labels": {
                "karpenter.sh/nodepool": "default", "topology.kubernetes.io/zone": "z", "other": "x",
                "node.kubernetes.io/instance-type": "m5.large",
            }},
            "status": {"capacity": {"cpu": "4", "memory": "8"}, "allocatable": {"cpu": "3500m", "memory": "6"}},
        });
        let class = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"});
        let pool = json!({
            "metadata": {"name": "default", "uid": "p"},
            "spec": {"limits": {"cpu": "10"}, "template": {"spec": {"nodeClassRef": class, "requirements": []}}},
            "status": {"resources": {"cpu": "4"}},
        });
        let controller = world(&[
            ("Node", node),
            ("Pod", pod("p", "1", json!({}))),
            ("Pod", pod("daemon", "500m", json!({ "ownerReferences": owner }))),
            ("NodePool", pool),
        ]);
        let mut looks = Looks::default();
        let text = looks.series(controller.world(), now, true);
        let of_node = "instance_type=\"m5.large\",node_name=\"n\",managed=\"true\"";
        let of_node = format!("{{nodepool=\"default\",zone=\"z\",{of_node}");
        for (name, cpu) in [
            ("allocatable", "3.5"),
            ("system_overhead", "0.5"),
            ("total_pod_requests", "1.5"),
            ("total_pod_limits", "4"),
            ("total_daemon_requests", "0.5"),
            ("total_daemon_limits", "2"),
        ] {
            let line = format!("{of_node},resource_type=\"cpu\"}} {cpu}");
            assert!(values(&text, &format!("karpenter_nodes_{name}")).contains(&&*line), "{name}: {line} of {text}");
        }
        let line = format!("{of_node}}} 60");
        assert_eq!(values(&text, "karpenter_nodes_current_lifetime_seconds"), [line]);
        let state = values(&text, "karpenter_pods_state");
        let of_daemon =
            "owner=\"/apis/apps/v1/namespaces/a/daemonsets/d\",node=\"n\",scheduled=\"true\",nodepool=\"default\"";
        assert!(state.len() == 2 && state[0].contains(of_daemon), "{state:?}");
        let limit = "{nodepool=\"default\",resource_type=\"cpu\"} 10";
        assert_eq!(values(&text, "karpenter_nodepools_limit"), [limit]);
        assert_eq!(values(&text, "karpenter_nodepools_usage"), [limit.replace("10", "4")]);
        assert_eq!(values(&text, "karpenter_cluster_state_node_count"), [" 1"]);
        assert_eq!(values(&text, "karpenter_cluster_state_synced"), [" 1"]);
        let plain = looks.series(controller.world(), now, false);
        assert!(!plain.contains("karpenter_pods_state") && !plain.contains("karpenter_nodes_"), "{plain}");
        let empty = looks.series(world(&[]).world(), now, true);
        assert_eq!(values(&empty, "karpenter_pods_state"), [""; 0]);
        assert_eq!(values(&empty, "karpenter_nodepools_limit"), [""; 0]);
    }

    #[test]
    fn a_world_that_is_not_read_yet_is_not_synced_for_so_long() {
        let controller = Controller::new(ControllerSettings::default(), Catalog::Fixed(Vec::new()));
        let mut looks = Looks::default();
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        drop(looks.series(controller.world(), at(0), false));
        let text = looks.series(controller.world(), at(7), false);
        assert_eq!(values(&text, "karpenter_cluster_state_unsynced_time_seconds"), [" 7"]);
        assert_eq!(values(&text, "karpenter_cluster_state_synced"), [" 0"]);
    }
}
