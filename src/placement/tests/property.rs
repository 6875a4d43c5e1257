//! Whatever happens, and whenever a process dies: no node stays reserved beyond its limit.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::super::{Mode, Step};
use super::sim::Sim;
use crate::api::labels;

const NODES: [&str; 2] = ["n0", "n1"];
const PODS: [&str; 4] = ["p0", "p1", "p2", "p3"];

#[derive(Debug, Clone)]
enum Happens {
    /// So many seconds pass.
    Pass(u64),
    /// A process makes a step and dies after this many of its patches.
    StepAndDie(usize),
    Born(usize),
    Ready(usize),
    NotReady(usize),
    DaemonPod(usize),
    Bound(usize, usize),
    PodGone(usize),
    NewPod(usize),
    ClaimGone(usize),
    Cordon(usize),
    Uncordon(usize),
    /// Somebody spoils an annotation of ours.
    Spoil(usize, &'static str),
    /// The nodes that are replaced are gone.
    Drained,
    RefusePods(bool),
    Switch(Mode),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens::*;
    let node = || 0..NODES.len();
    let pod = || 0..PODS.len();
    prop_oneof![
        4 => prop_oneof![1_u64..100, 100_u64..5000].prop_map(Pass),
        3 => (0_usize..3).prop_map(StepAndDie),
        2 => node().prop_map(Born),
        3 => node().prop_map(Ready),
        1 => node().prop_map(NotReady),
        2 => node().prop_map(DaemonPod),
        2 => (pod(), node()).prop_map(|(pod, node)| Bound(pod, node)),
        1 => pod().prop_map(PodGone),
        1 => pod().prop_map(NewPod),
        1 => node().prop_map(ClaimGone),
        1 => node().prop_map(Cordon),
        1 => node().prop_map(Uncordon),
        1 => (node(), prop_oneof![Just(labels::CORDONED_AT), Just(labels::RESERVED_AT)])
            .prop_map(|(node, key)| Spoil(node, key)),
        1 => Just(Drained),
        1 => any::<bool>().prop_map(RefusePods),
        1 => prop_oneof![Just(Mode::Reserve), Just(Mode::Nominate), Just(Mode::Observe)].prop_map(Switch),
    ]
}

fn world() -> Sim {
    let mut sim = Sim::new(Mode::Reserve);
    sim.daemon_set("d");
    for pod in PODS {
        sim.pod(pod, None);
    }
    sim.node("old", "none");
    for (index, name) in NODES.iter().enumerate() {
        let claim = format!("c{index}");
        sim.claim(&claim, &PODS[2 * index..2 * index + 2]);
        if index == 1 {
            sim.plan(&claim, |plan| {
                plan["expected"] = json!([{"namespace": "shop", "owner": "o", "signature": "s", "count": 1}]);
                plan["replaces"] = json!(["old"]);
                plan["extended"] = json!({"example.com/dongle": 1});
            });
        }
        sim.node(name, &claim);
    }
    sim
}

fn happen(sim: &mut Sim, what: &Happens) {
    match what {
        Happens::Pass(seconds) => sim.pass(*seconds),
        Happens::StepAndDie(patches) => {
            let step = sim.decide();
            let actions = step.actions.into_iter().take(*patches).collect();
            sim.apply(&Step { actions, ..Step::default() });
        }
        // a node of this name that was there is gone
        Happens::Born(node) => sim.node(NODES[*node], &format!("c{node}")),
        Happens::Ready(node) => sim.ready(NODES[*node]),
        Happens::NotReady(node) => sim.change_node(NODES[*node], |node| node["status"]["conditions"] = json!([])),
        Happens::DaemonPod(node) => sim.daemon_pod("d", NODES[*node]),
        Happens::Bound(pod, node) => {
            if sim.pods.contains_key(PODS[*pod]) {
                sim.bind(PODS[*pod], NODES[*node]);
            }
        }
        Happens::PodGone(pod) => drop(sim.pods.remove(PODS[*pod])),
        Happens::NewPod(pod) => sim.pod(PODS[*pod], None),
        Happens::ClaimGone(node) => drop(sim.claims.remove(&format!("c{node}"))),
        Happens::Cordon(node) => sim.change_node(NODES[*node], |node| node["spec"]["unschedulable"] = json!(true)),
        Happens::Uncordon(node) => sim.change_node(NODES[*node], |node| node["spec"]["unschedulable"] = json!(false)),
        Happens::Spoil(node, key) => sim.change_node(NODES[*node], |node| {
            if let Some(value) = node["metadata"]["annotations"].get_mut(*key) {
                *value = json!("?");
            }
        }),
        Happens::Drained => drop(sim.nodes.remove("old")),
        Happens::RefusePods(refuses) => {
            sim.refuses_pods = *refuses;
            sim.refusals.clear(); // of a process that died
        }
        Happens::Switch(mode) => sim.mode = *mode,
    }
}

/// What has been seen of the nodes that are kept from pods, and since when: of itself, not of annotations.
#[derive(Default)]
struct Watch {
    /// By node, whether it is reserved (or cordoned), and since when.
    held: BTreeMap<&'static str, (bool, Timestamp)>,
    /// When a process could first see that the replaced node is gone.
    drained: Option<Timestamp>,
}

impl Watch {
    fn look(&mut self, sim: &Sim, is_alive: bool) {
        if is_alive && !sim.nodes.contains_key("old") {
            self.drained.get_or_insert(sim.now);
        }
        for name in NODES {
            let is_reserved = sim.taints(name).iter().any(|taint| taint.starts_with(labels::PLANNED));
            match self.held.get(name) {
                _ if !sim.is_held(name) => drop(self.held.remove(name)),
                Some((was, _)) if *was == is_reserved => {}
                _ => drop(self.held.insert(name, (is_reserved, sim.now))),
            }
        }
    }

    /// By when a node must have left its state; `None` where nothing keeps pods from it.
    fn end(&self, sim: &Sim, name: &str) -> Option<Timestamp> {
        let (is_reserved, since) = *self.held.get(name)?;
        let replaces = name == NODES[1];
        let ready = sim.nodes[name]["status"]["conditions"][0]["lastTransitionTime"].as_str();
        let lacks_dongle = name == NODES[1]; // nothing publishes it
        let end = match (is_reserved, ready) {
            (true, _) if replaces && self.drained.is_none() => since + sim.limits.drain,
            (true, _) if replaces => {
                (since + sim.limits.drain + sim.limits.reserved).min(since.max(self.drained?) + sim.limits.reserved)
            }
            (true, _) => since + sim.limits.reserved,
            (false, Some(ready)) if !lacks_dongle => {
                let has_daemon = sim.pods.contains_key(&format!("d-{name}"));
                let wait = if has_daemon { Duration::ZERO } else { sim.limits.daemons };
                (since + sim.limits.cordon).min(since.max(ready.parse().unwrap()) + wait)
            }
            (false, _) => since + sim.limits.cordon,
        };
        Some(end)
    }
}

proptest! {
    #[test]
    fn no_node_stays_reserved_beyond_its_limit(history in proptest::collection::vec(happens(), 1..60)) {
        let mut sim = world();
        let mut watch = Watch::default();
        for what in &history {
            happen(&mut sim, what);
            // a process that lives makes a step when its time comes, and steps until nothing is left to do
            let is_alive = matches!(what, Happens::Pass(_) | Happens::Switch(_));
            for _ in 0..6 {
                if is_alive && sim.step().is_empty() {
                    break;
                }
            }
            watch.look(&sim, is_alive);
            for name in NODES {
                let end = watch.end(&sim, name);
                let is_late = is_alive && end.is_some_and(|end| end <= sim.now);
                prop_assert!(!is_late, "{} until {:?}, now {}: {}", name, end, sim.now, sim.nodes[name]);
            }
            if is_alive && sim.mode != Mode::Reserve {
                prop_assert!(NODES.iter().all(|name| !sim.is_held(name)), "{:?}", sim.mode);
            }
        }
        // whatever it came to: with time, every node is open
        sim.mode = Mode::Reserve;
        for _ in 0..4 {
            sim.pass(2 * 3600);
            while !sim.step().is_empty() {}
        }
        prop_assert!(NODES.iter().all(|name| !sim.is_held(name)));
        prop_assert!(sim.decide().next.is_none());
    }
}
