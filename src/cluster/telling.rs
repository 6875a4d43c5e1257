//! What a controller says, for people and machines: log lines, events and metrics.

mod classes;
mod log;
mod measure;
mod objects;
mod offered;
mod record;
mod series;
mod waiting;

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
            Said::Landed(landed) => {
                let before = self.looks.landed.insert(landed.claim.to_string(), landed.clone());
                measure::landed(before.as_ref(), landed);
            }
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
        self.looks.decides = stand.decides();
        if !stand.decides() {
            measure::rest();
        }
        self.looked = None; // what is no more true is not served for another while
    }

    fn stepped(&mut self, world: &World, took: Duration) {
        measure::stepped(took);
        self.is_synced.store(world.is_complete(), Ordering::Relaxed);
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOKS) {
            self.looked = Some(Instant::now());
            world.objects().node_pools.keys().for_each(|pool| measure::begin_pool(&pool.name));
            self.metrics.set_objects(self.looks.series(world, Timestamp::now(), self.details));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::catalog::Catalog;
    use crate::controller::disruptable::Disruptable;
    use crate::controller::spend::{Price, Spend};
    use crate::controller::{Controller, ControllerSettings};
    use crate::units::MicroUsd;

    fn values<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
        text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with([' ', '{'])).collect()
    }

    #[test]
    fn who_does_not_lead_any_more_serves_nothing_that_it_decided() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = Metrics::of(recorder.handle(), Scope::All);
        let mut telling = Telling::new(metrics.clone(), false);
        let controller = Controller::new(ControllerSettings::default(), Catalog::Fixed(Vec::new()));
        let world = controller.world();
        let pool: Arc<str> = Arc::from("x");
        let price = Price { planned: MicroUsd(1_000_000), realised: MicroUsd(2_000_000), worst: MicroUsd(2_000_000) };
        let spend = Said::Spending(Spend([(pool.clone(), price)].into()));
        let mut disruptable = Disruptable::default();
        disruptable.eligible.insert("empty", 3);
        disruptable.eligible_of_pools.entry(pool).or_default().insert("empty", 3);
        let of_decisions = ["packwright_decision_usd_per_hour", "packwright_consolidation_usd_per_hour"];
        with_local_recorder(&recorder, || {
            let mut look = |stand: &Stand, said: &[Said]| {
                telling.stands(stand);
                for said in said {
                    telling.said(said, world);
                }
                telling.stepped(world, Duration::ZERO);
                metrics.render()
            };
            let leads = Stand::Leads { until: None };
            let text = look(&leads, &[spend, Said::Disruptable(disruptable)]);
            let of_pool = r#"{nodepool="x",price="realised"} 2"#;
            assert!(values(&text, "packwright_nodes_usd_per_hour").contains(&of_pool), "{text}");
            assert_eq!(values(&text, "packwright_nodepools_eligible_nodes"), [r#"{nodepool="x",reason="empty"} 3"#]);
            for name in of_decisions {
                metrics::gauge!(name).set(7.0);
            }
            let text = look(&Stand::StandsBy("other".to_owned()), &[]);
            for name in ["packwright_nodes_usd_per_hour", "karpenter_voluntary_disruption_eligible_nodes"] {
                assert_eq!(values(&text, name), [""; 0], "{name}");
            }
            for name in of_decisions {
                assert_eq!(values(&text, name), [" 0"], "{name}");
            }
            // nobody says again what has not changed
            assert!(values(&look(&leads, &[]), "packwright_nodes_usd_per_hour").contains(&of_pool));
        });
    }
}
