//! A controller as a task that can be killed, and what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use packwright::catalog::Catalog;
use packwright::cluster::{Hosting, Listener, Outside, Stand, control};
use packwright::consolidation::Policy;
use packwright::controller::{Controller, ControllerSettings, Said, World};
use packwright::host::worker::Worker;
use packwright::placement::{Landed, Limits, Mode};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct Follower {
    task: JoinHandle<()>,
    said: Arc<Mutex<Vec<Said>>>,
    /// It leads for as long as this is there.
    _stand: watch::Sender<Stand>,
}

/// It follows plans, and takes nothing away.
pub fn in_mode(mode: Mode) -> ControllerSettings {
    ControllerSettings {
        placement: mode,
        consolidation: Policy::off(),
        disruption_looks: None,
        ..ControllerSettings::default()
    }
}

/// As usual, but a node is reserved for so long only.
pub fn reserving(reserved: Duration) -> ControllerSettings {
    ControllerSettings { placement_limits: Limits { reserved, ..Limits::default() }, ..in_mode(Mode::Reserve) }
}

struct Heard(Arc<Mutex<Vec<Said>>>);

impl Listener for Heard {
    fn said(&mut self, said: &Said, _: &World) {
        self.0.lock().unwrap().push(said.clone());
    }

    fn blind(&mut self, _: &str) {}

    fn stands(&mut self, _: &Stand) {}

    fn stepped(&mut self, _: &World, _: Duration) {}
}

impl Follower {
    pub fn start(client: &Client, settings: ControllerSettings) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let (sender, stand) = watch::channel(Stand::Leads { until: None });
        let controller = Controller::new(settings, Catalog::from_option("kwok").unwrap());
        let worker = Worker { program: env!("CARGO_BIN_EXE_packwright").into(), memory_limit: None };
        let (client, mut heard) = (client.clone(), Heard(said.clone()));
        let task = tokio::spawn(async move {
            control(client, controller, Hosting::usual(worker), stand, Outside::kwok(), &mut heard).await;
        });
        Self { task, said, _stand: sender }
    }

    /// Ends it at whatever it waits for.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await; // that it was cancelled is no news
    }

    pub fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    /// How many nodes have registered.
    pub fn registered(&self) -> usize {
        self.said().iter().filter(|said| matches!(said, Said::Registered { .. })).count()
    }

    /// Of all claims, what was told last: pods where they are planned, and the others.
    pub fn landed(&self) -> (usize, usize) {
        let mut last = BTreeMap::new();
        for said in self.said() {
            if let Said::Landed(landed) = said {
                last.insert(landed.claim.clone(), landed);
            }
        }
        let others = |landed: &Landed| landed.elsewhere + landed.unbound + landed.gone;
        (last.values().map(|landed| landed.as_planned).sum(), last.values().map(others).sum())
    }

    /// Each reason for which the plan is not guaranteed, in words.
    pub fn losses(&self) -> Vec<String> {
        let lost = |said| if let Said::NotGuaranteed(loss) = said { Some(loss.to_string()) } else { None };
        self.said().into_iter().filter_map(lost).collect()
    }
}
