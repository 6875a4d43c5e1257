//! Processes of the controller: which one holds the Lease, which ones wait for it, and which one stands still.
//!
//! As in the live host, one that does not lead observes and does nothing. What one was about to send that stood still while another
//! took the Lease may still arrive. Then it rests, and waits for the Lease like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::chance::Purpose;
use super::queue::after;
use super::{Happening, Simulation};
use crate::controller::Controller;
use crate::observe::objects::KINDS;

/// How long a Lease is good for that nobody renews, and how often others look.
const LEASE: Duration = Duration::from_secs(15);
const LOOKED: Duration = Duration::from_secs(2);

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub life: u64,
    pub controller: Controller,
    /// It believes that it holds the Lease.
    pub leads: bool,
    /// When the next step is due.
    pub step_at: Option<Timestamp>,
    pub watches: BTreeMap<&'static str, Watch>,
    pause: Option<Pause>,
}

/// The watch of a kind.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// How often it was dropped: what one had still to say does not come.
    pub number: u64,
    /// Until when nothing is seen.
    pub blind: Option<Timestamp>,
    /// When it has said its last.
    pub told: Option<Timestamp>,
}

/// A process that stands still.
#[derive(Debug)]
struct Pause {
    since: Timestamp,
    /// What concerns it, for later.
    late: Vec<Happening>,
}

impl Process {
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }
}

impl Simulation<'_> {
    pub(super) fn process(&mut self, life: u64) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.life == life)
    }

    /// Whether what a process does now is done by the one that holds the Lease.
    pub(super) fn acts(&self, life: u64) -> bool {
        self.acting == life
    }

    /// One that knows nothing, lists everything and acts.
    pub(super) fn start_leader(&mut self, down: Duration) {
        self.lives += 1;
        let (life, controller) = (self.lives, Controller::new(self.options.settings.clone(), self.catalog.clone()));
        let watches = BTreeMap::new();
        self.processes.push(Process { life, controller, leads: true, step_at: None, watches, pause: None });
        self.acting = life;
        for kind in KINDS {
            let mut draw = self.chance.draw(Purpose::Watches);
            let span = draw.span(Duration::from_millis(200)).min(Duration::from_secs(2));
            self.drop_watch(life, kind.name, down + span);
        }
    }

    /// The process that acts ends, and another one acts after a while: what was sent has arrived by then, or never does.
    pub(super) fn end_leader(&mut self, down: Duration) {
        self.report.restarts += 1;
        let before = self.acting;
        self.processes.retain(|process| process.life != before);
        if self.processes.is_empty() {
            self.start_leader(down);
        } else {
            self.queue.put(after(self.now, down), Happening::TakesOver(before));
        }
    }

    /// The process that acts stands still.
    pub(super) fn pause_leader(&mut self, span: Duration) {
        let (now, life) = (self.now, self.acting);
        let Some(process) = self.process(life).filter(|process| !process.is_paused()) else { return };
        process.pause = Some(Pause { since: now, late: Vec::new() });
        self.report.pauses += 1;
        self.queue.put(after(now, span), Happening::Resumes(life));
        let looked = self.chance.draw(Purpose::Processes).span(LOOKED / 2).min(LOOKED);
        self.queue.put(after(now, LEASE + looked), Happening::TakesOver(life));
    }

    /// Another process takes the Lease of one that is gone or has not renewed it.
    pub(super) fn take_over(&mut self, before: u64) {
        let now = self.now;
        let has_renewed = |process: &Process| {
            process.pause.as_ref().is_none_or(|pause| after(pause.since, LEASE) > now) && process.life == before
        };
        if self.acting != before || self.processes.iter().any(has_renewed) {
            return;
        }
        match self.processes.iter_mut().find(|process| process.life != before && !process.is_paused()) {
            Some(next) => {
                (next.leads, self.acting) = (true, next.life);
                self.plan_step(self.acting, now);
            }
            None => self.start_leader(Duration::ZERO),
        }
    }

    /// What concerns a process that stands still waits; of what it has sent, half is on its way already.
    pub(super) fn hold(&mut self, what: Happening) -> Option<Happening> {
        let (life, is_sent) = match &what {
            Happening::Seen(life, _)
            | Happening::Listed(life, _)
            | Happening::Heard(life, _)
            | Happening::Step(life) => (*life, false),
            Happening::Arrives(life, _) | Happening::Asked(life, _) | Happening::Looked(life, _) => (*life, true),
            _ => return Some(what),
        };
        let Some(pause) =
            self.processes.iter_mut().find(|process| process.life == life).and_then(|of| of.pause.as_mut())
        else {
            return Some(what);
        };
        if is_sent && self.chance.draw(Purpose::Processes).happens(0.5) {
            return Some(what);
        }
        pause.late.push(what);
        None
    }

    /// A process goes on where it was: with what it was about to send, and with a step that it makes before or after it sees what
    /// has happened meanwhile. One whose Lease another one has taken knows by its clock that it cannot have it any more: it makes
    /// no step, and of what it was about to send only that arrives which was on its way.
    pub(super) fn resume(&mut self, life: u64) {
        let now = self.now;
        let mut draw = self.chance.draw(Purpose::Processes);
        let Some(pause) = self.process(life).and_then(|process| {
            process.step_at = None;
            process.pause.take()
        }) else {
            return;
        };
        let acts = self.acts(life);
        if let Some(process) = self.process(life) {
            process.leads = acts;
        }
        if draw.happens(0.5) {
            self.plan_step(life, now);
        }
        for what in pause.late {
            let is_to_send =
                matches!(what, Happening::Arrives(..) | Happening::Asked(..) | Happening::Looked(..)) && !acts;
            if !is_to_send || draw.happens(0.5) {
                self.queue.put(now, what);
            }
        }
        self.plan_step(life, after(now, self.scenario.spec.machines.pause));
        if !acts {
            self.queue.put(after(now, draw.span(LOOKED / 2).min(LOOKED)), Happening::Deposed(life));
        }
    }

    /// A process learns that another one has the Lease.
    pub(super) fn depose(&mut self, life: u64) {
        if self.acts(life) {
            return;
        }
        if let Some(process) = self.process(life) {
            process.leads = false;
            process.controller.rest();
        }
        // two replicas, as the chart has them
        let acting = self.acting;
        self.processes.retain(|process| process.life == acting || process.life == life);
    }
}
