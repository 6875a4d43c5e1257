//! Feature gates of the kinds that are present in an offline input.

use super::objects::Objects;
use crate::settings::FeatureGates;

/// Turns on the gate of every kind and field that the input holds; one sentence for each gate that was off.
pub(super) fn turn_on(gates: &mut FeatureGates, objects: &Objects) -> Vec<String> {
    let is_static = objects.node_pools.values().any(|pool| pool.object.spec.replicas.is_some());
    let present = [
        (!objects.node_overlays.is_empty(), &mut gates.node_overlay, "NodeOverlay", "NodeOverlays"),
        (!objects.buffers.is_empty(), &mut gates.capacity_buffer, "CapacityBuffer", "CapacityBuffers"),
        (is_static, &mut gates.static_capacity, "StaticCapacity", "NodePools with replicas"),
    ];
    let turned_on = present.into_iter().filter_map(|(present, gate, name, what)| {
        let off = present && !*gate;
        *gate |= present;
        off.then(|| format!("feature gate {name} is turned on: the input has {what}"))
    });
    turned_on.collect()
}
