//! What a controller says, for people and machines: log lines, events and metrics.

mod classes;
mod log;
mod measure;
mod objects;
mod offered;
mod record;
mod series;

pub use log::{Format, Level, Output, start_log};
pub use measure::{Metrics, Scope, start_metrics};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;

use super::control::Listener;
use super::lease::Stand;
use crate::controller::{Said, World};
use objects::Looks;
use record::Events;

/// Series of what is there are made anew so often, as the reference does.
const LOOKS: Duration = Duration::from_secs(5);

/// Tells everything to everybody.
pub struct Telling {
    /// A shadow has none.
    events: Option<Events>,
    metrics: Metrics,
    looks: Looks,
    looked: Option<Instant>,
    /// Whether single nodes and pods have series.
    details: bool,
    is_synced: Arc<AtomicBool>,
}

impl Telling {
    /// Writes no events; `details`: whether single nodes and pods have series.
    #[must_use]
    pub fn new(metrics: Metrics, details: bool) -> Self {
        Self { events: None, metrics, looks: Looks::default(), looked: None, details, is_synced: Arc::default() }
    }

    /// Writes events as well; `instance`: the name of this process in them. Must be called in the runtime: they are sent by a task
    /// of it.
    #[must_use]
    pub fn with_events(self, client: Client, instance: String) -> Self {
        Self { events: Some(Events::start(client, instance)), ..self }
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
        match said {
            Said::Landed(landed) => drop(self.looks.landed.insert(landed.claim.to_string(), landed.clone())),
            Said::Spending(spend) => self.looks.spend = spend.clone(),
            Said::Offered(on_offer) => self.looks.offered = offered::text(on_offer),
            Said::Disruptable(disruptable) => self.looks.disruptable = disruptable.clone(),
            _ => {}
        }
        if let Some(events) = &mut self.events {
            events.record(said, world);
        }
    }

    fn blind(&mut self, reason: &str) {
        tracing::error!(controller = "state", "cannot watch: {reason}");
    }

    fn stands(&mut self, stand: &Stand) {
        log::write_stand(stand);
        if let Some(events) = &self.events {
            events.record_stand(stand);
        }
        metrics::gauge!("packwright_leads").set(u8::from(stand.leads()));
    }

    fn stepped(&mut self, world: &World, took: Duration) {
        measure::stepped(took);
        self.is_synced.store(world.is_complete(), Ordering::Relaxed);
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOKS) {
            self.looked = Some(Instant::now());
            self.metrics.set_objects(self.looks.series(world, Timestamp::now(), self.details));
        }
    }
}
