//! A process that follows plans, as a task that can be killed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use packwright::cluster::{Event, Following, follow};
use packwright::placement::{Landed, Limits, Mode, What};

pub struct Follower {
    task: tokio::task::JoinHandle<()>,
    log: Arc<Mutex<Vec<(Instant, Event)>>>,
}

pub fn in_mode(mode: Mode) -> Following {
    Following { mode, ..Following::default() }
}

/// As usual, but a node is reserved for so long only.
pub fn reserving(reserved: Duration) -> Following {
    Following { limits: Limits { reserved, ..Limits::default() }, ..in_mode(Mode::Reserve) }
}

impl Follower {
    pub fn start(client: &Client, settings: Following) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let into = log.clone();
        let tell = move |event| into.lock().unwrap().push((Instant::now(), event));
        Self { task: tokio::spawn(follow(client.clone(), settings, tell)), log }
    }

    /// Ends it at whatever it waits for.
    pub async fn kill(self) -> Vec<(Instant, Event)> {
        self.task.abort();
        let _ = self.task.await; // that it was cancelled is no news
        self.log.lock().unwrap().clone()
    }

    pub fn events(&self) -> Vec<Event> {
        self.log.lock().unwrap().iter().map(|(_, event)| event.clone()).collect()
    }

    /// What was done, in words.
    pub fn done(&self) -> Vec<What> {
        self.events()
            .into_iter()
            .filter_map(|event| if let Event::Done(what) = event { Some(what) } else { None })
            .collect()
    }

    /// Of all claims, what was told last: pods where they are planned, and the others.
    pub fn landed(&self) -> (usize, usize) {
        let mut last = BTreeMap::new();
        for event in self.events() {
            if let Event::Landed(landed) = event {
                last.insert(landed.claim.clone(), landed);
            }
        }
        let others = |landed: &Landed| landed.elsewhere + landed.unbound + landed.gone;
        (last.values().map(|landed| landed.as_planned).sum(), last.values().map(others).sum())
    }

    /// Each reason for which the plan is not guaranteed, in words.
    pub fn losses(&self) -> Vec<String> {
        let lost = |event| if let Event::Lost(loss) = event { Some(loss.to_string()) } else { None };
        self.events().into_iter().filter_map(lost).collect()
    }
}

/// How long each node was cordoned, sorted.
pub fn cordons(log: &[(Instant, Event)]) -> Vec<Duration> {
    let mut found = Vec::new();
    for (from, event) in log {
        let Event::Done(What::Register { node, cordon: true }) = event else { continue };
        let opened = log.iter().find_map(|(at, event)| match event {
            Event::Done(What::Open { node: opened, .. }) if opened == node => Some(*at),
            _ => None,
        });
        found.extend(opened.map(|at| at - *from));
    }
    found.sort();
    found
}
