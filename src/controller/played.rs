//! A controller without a cluster, for tests: objects in, actions out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::spend::Spend;
use super::{Action, Controller, ControllerSettings, Event, Outcome, Said, Step, Verb};
use crate::catalog::Catalog;
use crate::host::{Limits, decide};
use crate::observe::RawObject;
use crate::observe::input::Origin;
use crate::observe::objects::KINDS;
use crate::solve::Work;
use crate::units::MicroUsd;

pub(super) struct Played {
    pub controller: Controller,
    pub now: Timestamp,
    versions: u64,
}

/// Pods that wait, each of so many cores.
pub(super) fn pods(count: usize, cpu: &str) -> Vec<Value> {
    let pod = |index: usize| {
        json!({
            "metadata": {"name": format!("p{index}"), "namespace": "default", "uid": format!("pod-{index}"), "creationTimestamp": "2026-01-05T11:59:00Z"},
            "spec": {"schedulerName": "default-scheduler", "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]},
            "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
            ]},
        })
    };
    (0..count).map(pod).collect()
}

/// The names of the NodeClaims that a step creates.
pub(super) fn claims_of(step: &Step) -> Vec<Arc<str>> {
    step.actions.iter().filter_map(Action::created_claim).collect()
}

impl Played {
    /// A cluster with a pool of kwok's types of up to 64 cores, which is ready, and these pods.
    pub fn new(settings: ControllerSettings, pods: &[Value]) -> Self {
        let catalog = Catalog::from_option("kwok").unwrap();
        let now = "2026-01-05T12:00:00Z".parse().unwrap();
        let mut played = Self { controller: Controller::new(settings, catalog), now, versions: 0 };
        let ready = json!([{
            "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-05T11:00:00Z",
        }]);
        let class =
            json!({"metadata": {"name": "default", "uid": "class"}, "spec": {}, "status": {"conditions": ready}});
        let reference = json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"});
        let size = json!({"key": "karpenter.kwok.sh/instance-size", "operator": "In", "values": ["64"]});
        let pool = json!({
            "metadata": {"name": "default", "uid": "pool"},
            "spec": {"template": {"spec": {"nodeClassRef": reference, "requirements": [size]}}},
            "status": {"conditions": ready, "resources": {}, "nodes": 0},
        });
        for kind in KINDS {
            let objects = match kind.name {
                "KWOKNodeClass" => vec![class.clone()],
                "NodePool" => vec![pool.clone()],
                "Pod" => pods.to_vec(),
                _ => Vec::new(),
            };
            let objects = objects.into_iter().map(|object| played.raw(kind.name, object)).collect();
            played.controller.observe(Event::Listed { kind: kind.name, objects }, now);
        }
        played
    }

    fn raw(&mut self, kind: &str, mut object: Value) -> RawObject {
        let known = KINDS.iter().find(|known| known.name == kind).unwrap();
        self.versions += 1;
        object["apiVersion"] = json!(known.api_version());
        object["kind"] = json!(kind);
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        RawObject { origin: Origin::default(), value: object }
    }

    /// An object is there, under this name.
    pub fn see(&mut self, kind: &'static str, mut object: Value, name: &str) {
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(name);
        let object = self.raw(kind, object);
        self.controller.observe(Event::Seen { kind, object }, self.now);
    }

    pub fn pass(&mut self, time: Duration) {
        self.now = super::turn::later(self.now, time);
    }

    /// Lets time pass until something is to be decided, and answers that with Karpenter's packing: what is done about it. What is
    /// done before is carried out.
    pub fn decide(&mut self) -> Step {
        for _ in 0..100 {
            let mut step = self.controller.step(self.now);
            let asked = step.actions.iter().position(|action| matches!(action, Action::Decide { .. }));
            if let Some(asked) = asked {
                let Action::Decide { question, snapshot, search, .. } = step.actions.remove(asked) else { continue };
                let decision = Box::new(decide(&snapshot, Limits::of_work(Work::LIMITED, search)));
                let mut decided =
                    self.controller.observe(Event::Decided { question, decision: Some(decision) }, self.now);
                decided.said.splice(0..0, step.said.drain(..));
                self.take_in(step);
                return decided;
            }
            self.take_in(step);
            self.pass(Duration::from_millis(500));
        }
        panic!("nothing is decided");
    }

    /// Writes are done, as an API server does them; clouds do not answer.
    pub fn take_in(&mut self, step: Step) {
        for action in step.actions {
            let Action::Write(write) = action else { continue };
            let subject = write.subject;
            let outcome = match write.verb {
                Verb::Create(mut object) => {
                    object["metadata"]["uid"] = json!(format!("uid-{}", subject.key.name));
                    object["metadata"]["creationTimestamp"] =
                        json!(self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                    Outcome::Done(Some(self.raw(subject.kind, object)))
                }
                _ => Outcome::Outdated,
            };
            let step = self.controller.observe(Event::Written { subject, outcome }, self.now);
            let is_unreadable = |said: &Said| matches!(said, Said::Unreadable(_));
            assert!(!step.said.iter().any(is_unreadable), "{:?}", step.said);
        }
    }

    /// What the nodes may cost at most.
    pub fn spend_worst(&mut self) -> MicroUsd {
        let Controller { world, market, settings, prices, .. } = &mut self.controller;
        Spend::of(&Cluster::of(world.objects(), world.index(), settings.provider, None), market.pools(), prices).worst()
    }
}
