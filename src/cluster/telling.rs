//! What a controller says, for people and machines: log lines, events and metrics.

mod log;
mod measure;
mod record;

pub use log::{Format, Level, start_log};
pub use measure::{Metrics, start_metrics};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::Client;

use super::control::Listener;
use super::lease::Stand;
use crate::controller::{Said, World};
use record::Events;

/// Tells everything to everybody.
pub struct Telling {
    events: Events,
    is_synced: Arc<AtomicBool>,
}

impl Telling {
    /// `instance`: the name of this process in events. Must be called in the runtime: events are sent by a task of it.
    #[must_use]
    pub fn new(client: Client, instance: String) -> Self {
        Self { events: Events::start(client, instance), is_synced: Arc::default() }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_synced(&self) -> Arc<AtomicBool> {
        self.is_synced.clone()
    }
}

impl Listener for Telling {
    fn said(&mut self, said: &Said, world: &World) {
        log::write(said);
        measure::count(said, world);
        self.events.record(said, world);
    }

    fn blind(&mut self, reason: &str) {
        tracing::error!(controller = "state", "cannot watch: {reason}");
    }

    fn stands(&mut self, stand: &Stand) {
        log::write_stand(stand);
        self.events.record_stand(stand);
        metrics::gauge!("packwright_leads").set(u8::from(*stand == Stand::Leads));
    }

    fn stepped(&mut self, world: &World, took: Duration) {
        measure::gauge(world, took);
        self.is_synced.store(world.is_complete(), Ordering::Relaxed);
    }
}
