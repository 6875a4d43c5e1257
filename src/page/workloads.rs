//! Whose pods fill the bars, and in which colour.

use std::collections::HashMap;

use serde::Serialize;

use crate::explain::edit::object_of;
use crate::observe::Snapshot;
use crate::resources::{CPU, MEMORY, Resources};

/// Colours that can be told apart; what comes after them by size is grey.
const COLOURS: usize = 8;
/// The class of the rest, and of pods that each node has.
const GREY: &str = "rest";
const HATCHED: &str = "daemon";

/// Pods of one owner.
#[derive(Debug, Clone, Serialize)]
pub struct Workload {
    /// `Deployment default/web`.
    pub name: String,
    /// Of the style sheet.
    pub colour: String,
    pub pods: usize,
}

/// Every workload of a picture, and which one each pod belongs to.
pub struct Workloads {
    pub all: Vec<Workload>,
    known: HashMap<String, usize>,
}

impl Workloads {
    /// Of the pods of a Snapshot, whether they have a node or not.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut known: HashMap<String, usize> = HashMap::new();
        let (mut all, mut sizes): (Vec<Workload>, Vec<Resources>) = (Vec::new(), Vec::new());
        for (index, pod) in snapshot.pods.iter().enumerate() {
            let workload = *known.entry(object_of(snapshot, index)).or_insert_with_key(|name| {
                let colour = if pod.is_daemon() || pod.is_mirror() { HATCHED } else { GREY };
                all.push(Workload { name: name.clone(), colour: colour.to_owned(), pods: 0 });
                sizes.push(Resources::new());
                all.len() - 1
            });
            all[workload].pods += 1;
            sizes[workload].add(&pod.template.spec.requests);
        }
        let weights = weights(&sizes);
        let mut order: Vec<usize> = (0..all.len()).filter(|index| all[*index].colour == GREY).collect();
        order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then_with(|| all[*a].name.cmp(&all[*b].name)));
        for (colour, index) in order.into_iter().take(COLOURS).enumerate() {
            all[index].colour = format!("w{colour}");
        }
        Self { all, known }
    }

    /// The workload of a pod of the Snapshot, or of one that was made of it.
    pub fn of_pod(&self, snapshot: &Snapshot, pod: usize) -> Option<usize> {
        self.known.get(&object_of(snapshot, pod)).copied()
    }

    /// Where pods belong that no Snapshot has: those that daemonsets will put on nodes to come.
    pub fn daemons(&mut self) -> usize {
        let name = "Daemon pods of new nodes";
        self.all.iter().position(|workload| workload.name == name).unwrap_or_else(|| {
            self.all.push(Workload { name: name.to_owned(), colour: HATCHED.to_owned(), pods: 0 });
            self.all.len() - 1
        })
    }
}

/// How much of the cluster each takes: the larger of its parts of all cpu and all memory.
#[allow(clippy::cast_precision_loss)] // only to compare
fn weights(sizes: &[Resources]) -> Vec<f64> {
    let all = |resource: &str| sizes.iter().map(|size| size.get(resource)).fold(0, i64::saturating_add).max(1) as f64;
    let (cpu, memory) = (all(CPU), all(MEMORY));
    sizes.iter().map(|size| (size.get(CPU) as f64 / cpu).max(size.get(MEMORY) as f64 / memory)).collect()
}
