//! Feature gates and the kinds behind them.

use std::collections::BTreeSet;

use super::objects::Objects;
use crate::settings::FeatureGates;

/// What becomes of the objects of a kind whose feature gate is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatesByInput {
    /// They are ignored: a controller does what it is configured to do.
    AsConfigured,
    /// Their presence turns the gate on: who asks for a plan with them wants to see what they do.
    TurnOn,
    /// The same, but gates of these names stay as the user has set them.
    TurnOnExcept(BTreeSet<String>),
}

/// Brings gates and objects in line; either way it is said in one note a gate. Static NodePools stay where they are: they
/// never take planned nodes, and their nodes count in any case.
pub(super) fn settle(choice: &GatesByInput, gates: &mut FeatureGates, objects: &mut Objects) {
    let statics = objects.node_pools.values().filter(|pool| pool.object.spec.replicas.is_some()).count();
    let kinds = [
        ("NodeOverlay", "NodeOverlays", objects.node_overlays.len(), &mut gates.node_overlay),
        ("CapacityBuffer", "CapacityBuffers", objects.buffers.len(), &mut gates.capacity_buffer),
        ("StaticCapacity", "static NodePools", statics, &mut gates.static_capacity),
    ];
    for (gate, kind, count, on) in kinds {
        if count == 0 || *on {
            continue;
        }
        let turn_on = match choice {
            GatesByInput::AsConfigured => false,
            GatesByInput::TurnOn => true,
            GatesByInput::TurnOnExcept(set) => !set.contains(gate),
        };
        if turn_on {
            *on = true;
            objects.notes.push(format!("feature gate {gate} is turned on, because the input has {kind}"));
        } else {
            objects.notes.push(format!("the {kind} of the input are ignored: the feature gate {gate} is off"));
        }
    }
    if !gates.node_overlay {
        objects.node_overlays.clear();
    }
    if !gates.capacity_buffer {
        objects.buffers.clear();
    }
}
