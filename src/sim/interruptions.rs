//! Spot instances that are taken back: what the cloud says two minutes before, as a queue delivers it.
//!
//! A message comes again until the controller that heard it says that nothing is left to do: one that ends, or stands still, does
//! not lose it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::queue::after;
use super::{Happening, Planted, Simulation};
use crate::cloud::InterruptionKind;
use crate::controller::Event;

/// The notice that EC2 gives.
const NOTICE: Duration = Duration::from_secs(120);
/// From the word to the message.
const HEARD: Duration = Duration::from_secs(1);
/// A message that is not deleted is delivered again after so long, as Karpenter sets up its queue.
const AGAIN: Duration = Duration::from_secs(20);

/// An instance that is about to end.
#[derive(Debug)]
pub(super) struct Interruption {
    pub since: Timestamp,
    /// Which process has heard of it last.
    told: Option<u64>,
}

impl Simulation<'_> {
    /// The cloud is about to take an instance back.
    pub(super) fn interrupt(&mut self, id: &Arc<str>) {
        if self.interrupted.contains_key(id) {
            return;
        }
        self.interrupted.insert(id.clone(), Interruption { since: self.now, told: None });
        self.queue.put(after(self.now, HEARD), Happening::Told(id.clone()));
        self.queue.put(after(self.now, NOTICE), Happening::Ends(id.clone()));
    }

    /// Delivers the message to the process that acts, unless it has dealt with it.
    pub(super) fn tell(&mut self, id: &Arc<str>) {
        let (now, acting) = (self.now, self.acting);
        if self.is_planted(Planted::Deaf) {
            return;
        }
        let told = self.interrupted.get(id).and_then(|of| of.told);
        let Some(process) = self.process(acting).filter(|process| process.leads && !process.is_paused()) else {
            return self.queue.put(after(now, AGAIN), Happening::Told(id.clone()));
        };
        if told == Some(acting) && process.controller.is_handled(id) {
            return;
        }
        if let Some(interruption) = self.interrupted.get_mut(id) {
            interruption.told = Some(acting);
            self.queue.put(after(now, AGAIN), Happening::Told(id.clone()));
            self.hear(acting, Event::Interrupted { provider_id: id.clone(), kind: InterruptionKind::SpotInterrupted });
        }
    }

    /// The two minutes are over.
    pub(super) fn take_back(&mut self, id: &Arc<str>) {
        if let Some(interruption) = self.interrupted.remove(id) {
            self.check_handled(id, interruption.since);
        }
        self.lose_instance(id);
    }
}
