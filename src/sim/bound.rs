//! What any cluster would have to cost that holds the pods of a moment: the bound of buying everything anew.

use serde_json::Value;

use super::Simulation;
use super::api::{is_deleting, text};
use super::queue::after;
use super::report::BoundAt;
use crate::host::decide;
use crate::observe::objects::{KINDS, Objects};
use crate::observe::{Memory, Moment, Origin, RawObject, build_observed, market};

/// Moments at which it is asked.
pub(super) const MOMENTS: u32 = 12;

impl Simulation<'_> {
    /// Asks for this moment, if it is one.
    pub(super) fn note_bound(&mut self) {
        let part = self.scenario.spec.time / MOMENTS;
        let asked = u32::try_from(self.report.bounds.len()).unwrap_or(u32::MAX);
        let due = after(self.scenario.spec.start, part / 2 + part.saturating_mul(asked));
        if !self.options.with_bound || self.now < due || self.is_settling {
            return;
        }
        let is_left_out = |kind: &str, object: &Value| {
            ["Node", "NodeClaim"].contains(&kind)
                || (kind == "Pod" && text(object, "/metadata/ownerReferences/0/kind") == "DaemonSet")
        };
        let mut raw = Vec::new();
        for kind in KINDS {
            for (_, object) in self.api.all(kind.name).filter(|(_, object)| !is_left_out(kind.name, object)) {
                let is_over = is_deleting(object) || ["Succeeded", "Failed"].contains(&text(object, "/status/phase"));
                if kind.name == "Pod" && is_over {
                    continue;
                }
                let mut value = Value::clone(object);
                match kind.name {
                    "Pod" => {
                        remove(&mut value["spec"], "nodeName");
                        remove(&mut value, "status");
                    }
                    "NodePool" => remove(&mut value["spec"], "limits"),
                    _ => {}
                }
                raw.push(RawObject { origin: Origin::default(), value });
            }
        }
        let (objects, settings) = (Objects::collect(raw), self.options.settings.decision.clone());
        let offered = market(&objects, &self.catalog, &settings);
        let moment = Moment { settings, region: self.options.settings.region.clone(), taken_at: self.now, offered };
        let snapshot = build_observed(objects, moment, &mut Memory::default()).snapshot;
        let decision = decide(&snapshot, self.options.limits);
        self.report.bounds.push(BoundAt { at: self.now, usd_hour: decision.certificate.bound });
    }
}

/// A null is no field that is not there: it would be refused.
pub(super) fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}
