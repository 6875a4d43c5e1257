//! What a plan shows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use super::ladder::Rung;
use super::moves::{Moves, Share, launches, removed, strip};
use super::nodes::{Card, State, cards, drawn};
use super::numbers::{count, counted, usd};
use super::render;
use super::why::Why;
use super::workloads::{Workload, Workloads};
use crate::consolidation::{self, Consolidation};
use crate::explain::facts::Claim;
use crate::observe::Snapshot;
use crate::observe::snapshot::PodKey;
use crate::plan::report::Report;
use crate::plan::{Checked, Plan};

/// Cards that are drawn, and names of pods; the rest is a number.
const MOST_CARDS: usize = 80;
const MOST_NAMES: usize = 8;

/// Everything that a page of a plan is made of.
pub struct Planned<'p> {
    pub title: &'p str,
    /// Of the input.
    pub snapshot: &'p Snapshot,
    /// Nodes for pending pods, where that was asked for.
    pub launched: Option<Launched<'p>>,
    /// Which nodes go, where that was asked for.
    pub consolidated: Option<Consolidated<'p>>,
    pub notes: &'p [String],
    pub errors: &'p [String],
}

/// A plan of launches.
pub struct Launched<'p> {
    pub plan: &'p Plan<Checked>,
    pub report: &'p Report,
    /// The cluster with what it launches.
    pub after: &'p Snapshot,
}

/// What is done to nodes that are there.
pub struct Consolidated<'p> {
    /// The cluster before.
    pub before: &'p Snapshot,
    pub consolidation: &'p Consolidation,
    pub report: &'p consolidation::report::Report,
}

#[derive(Serialize)]
struct View<'p> {
    taken_at: String,
    region: &'p str,
    /// Dollars before and after, and what is saved, where nodes go.
    headline: Option<[String; 3]>,
    launch: Option<LaunchView>,
    moves: Option<Moves>,
    strip: Vec<Share>,
    legend: Vec<&'p Workload>,
    others: usize,
    new: Vec<Card>,
    going: Vec<Card>,
    /// Nodes of the cluster that take pods of the plan, and the rest.
    taking: Vec<Card>,
    staying: Vec<Card>,
    staying_count: String,
    /// Cards that are not drawn.
    more: usize,
    unplaced: Vec<Unplaced>,
    assumptions: &'p [String],
    notes: &'p [String],
    errors: &'p [String],
}

#[derive(Serialize)]
struct LaunchView {
    /// Said in place of the rest, where nothing is bought.
    nothing: Option<String>,
    nodes: String,
    pods: String,
    unplaced: usize,
    usd_hour: String,
    worst: Option<String>,
    usd_month: String,
    ladder: Vec<Rung>,
    /// Than Karpenter's packing.
    is_cheaper: bool,
    /// How good it is, in a sentence.
    verdict: String,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Unplaced {
    reason: Arc<str>,
    pods: String,
    names: String,
}

/// The page of a plan. `why`: the reasons of a launch, by name of the claim, where they are known.
///
/// # Errors
/// A template is wrong: none is.
pub fn of_plan(planned: &Planned, why: &dyn Fn(&Arc<str>) -> Option<Claim>) -> Result<String, minijinja::Error> {
    let snapshot = planned.snapshot;
    let mut workloads = Workloads::of(snapshot);
    let pending: HashSet<&PodKey> = snapshot.pending().map(|(_, pod)| &pod.key).collect();
    let moves = planned.consolidated.as_ref().map(|found| Moves::of(found, &mut workloads, &pending));
    let commands =
        planned.consolidated.as_ref().map(|found| found.consolidation.commands.as_slice()).unwrap_or_default();
    let mut bought: HashMap<_, _> = HashMap::new();
    if let Some(launched) = &planned.launched {
        bought.extend(launched.plan.launches.iter().map(|launch| (launch.name.clone(), launch)));
    }
    let goes = removed(commands);
    let shown = planned.launched.as_ref().map_or(snapshot, |launched| launched.after);
    let mut nodes = drawn(shown, &mut workloads, &goes, &bought, &pending);
    if let Some(found) = &planned.consolidated {
        let replacing = launches(commands);
        let after = drawn(&found.consolidation.after, &mut workloads, &BTreeSet::new(), &replacing, &pending);
        nodes.extend(after.into_iter().filter(|node| node.state == State::New));
    }
    let takes: BTreeSet<&str> =
        planned.launched.iter().flat_map(|of| &of.report.existing_nodes).map(|node| &*node.name).collect();
    let (takers, rest): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| node.state == State::Stays && takes.contains(&*node.name));
    let taking = cards(&takers, &workloads);
    let (mut new, others): (Vec<Card>, Vec<Card>) =
        cards(&rest, &workloads).into_iter().partition(|card| card.state == State::New);
    let (mut going, mut staying): (Vec<Card>, Vec<Card>) =
        others.into_iter().partition(|card| card.state == State::Goes);
    let staying_count = counted(staying.iter().map(|card| card.count).sum(), "node");
    let strip = strip(&new);
    let more = [&mut new, &mut going, &mut staying]
        .into_iter()
        .map(|cards| cards.split_off(cards.len().min(MOST_CARDS)).len())
        .sum();
    for card in &mut new {
        let claim = card.launch.as_ref().and_then(why);
        card.why = claim.map(|claim| Why::of(&claim, &card.bars));
    }
    let (legend, greys): (Vec<&Workload>, Vec<&Workload>) =
        workloads.all.iter().partition(|of| of.colour.starts_with('w'));
    let mut legend = legend;
    legend.sort_by(|a, b| a.colour.cmp(&b.colour));
    let view = View {
        taken_at: snapshot.taken_at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        region: &snapshot.region,
        headline: moves.as_ref().filter(|moves| !moves.commands.is_empty()).map(|moves| moves.headline.clone()),
        launch: planned.launched.as_ref().map(|of| LaunchView::of(of.report)),
        moves,
        strip,
        legend,
        others: greys.iter().filter(|of| of.colour == "rest").count(),
        new,
        going,
        taking,
        staying,
        staying_count,
        more,
        unplaced: planned.launched.as_ref().map(|of| unplaced(of.report)).unwrap_or_default(),
        assumptions: &snapshot.assumptions,
        notes: planned.notes,
        errors: planned.errors,
    };
    render("plan.html", planned.title, &view)
}

impl LaunchView {
    fn of(report: &Report) -> Self {
        let of = &report.summary;
        let bound = of.gap.map(|_| of.bound_usd_hour);
        let greedy = of.greedy_usd_hour;
        let most = [Some(of.cost_usd_hour), bound, greedy].into_iter().flatten().fold(0.0, f64::max);
        let rung = |kind, name, usd_hour: f64, note: String| Rung::of(kind, name, usd_hour, most, note);
        let left = |pods: usize| if pods == 0 { String::new() } else { format!("without {}", counted(pods, "pod")) };
        // one that leaves more may well cost less
        let whose = if of.pods_unplaced == 0 { "for these pods" } else { "that leaves as few pods" };
        let mut ladder = Vec::new();
        ladder.extend(
            greedy.map(|cost| rung("greedy", "Karpenter's packing", cost, left(of.greedy_pods_unplaced.unwrap_or(0)))),
        );
        ladder.push(rung("plan", "this plan", of.cost_usd_hour, left(of.pods_unplaced)));
        ladder.extend(bound.map(|bound| rung("bound", "proven bound", bound, format!("no plan {whose} costs less"))));
        let same_pods = of.greedy_pods_unplaced == Some(of.pods_unplaced);
        let below = greedy
            .filter(|greedy| same_pods && *greedy > of.cost_usd_hour)
            .map(|greedy| format!("{:.0} % below Karpenter's packing", 100.0 * (greedy - of.cost_usd_hour) / greedy));
        let gap = of.gap.map(|gap| match gap {
            gap if gap <= 0.0 => format!("proven: no plan {whose} is cheaper"),
            gap => format!("proven: no plan {whose} saves more than {:.1} % of it", 100.0 * gap),
        });
        Self {
            nothing: (of.nodes == 0).then(|| nothing(of.pods_placed, of.pods_unplaced)),
            nodes: counted(of.nodes, "node"),
            pods: counted(of.pods_placed, "pod"),
            unplaced: of.pods_unplaced,
            usd_hour: usd(of.cost_usd_hour),
            worst: (of.worst_usd_hour > of.cost_usd_hour).then(|| usd(of.worst_usd_hour)),
            usd_month: usd(of.cost_usd_month),
            ladder,
            is_cheaper: below.is_some(),
            remarks: of.remarks(),
            verdict: below.into_iter().chain(gap).collect::<Vec<_>>().join("; "),
        }
    }
}

/// Where no node is to be launched.
fn nothing(placed: usize, left: usize) -> String {
    match (placed, left) {
        (0, 0) => "No pod waits for a node.".to_owned(),
        (placed, 0) => {
            format!("Nothing has to be bought: {} that wait find room on nodes that are there.", counted(placed, "pod"))
        }
        (0, left) => format!("Nothing is bought: {} that wait cannot be placed.", counted(left, "pod")),
        (placed, left) => format!(
            "Nothing is bought: {} that wait find room on nodes that are there, {left} cannot be placed.",
            counted(placed, "pod")
        ),
    }
}

fn unplaced(report: &Report) -> Vec<Unplaced> {
    let mut reasons: BTreeMap<&Arc<str>, Vec<&str>> = BTreeMap::new();
    for of in &report.unplaced {
        reasons.entry(&of.reason).or_default().push(&of.pod);
    }
    let one = |(reason, pods): (&Arc<str>, Vec<&str>)| {
        let rest = pods.len().saturating_sub(MOST_NAMES);
        let more = if rest > 0 { format!(" and {} more", count(rest)) } else { String::new() };
        let names = pods.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        Unplaced { reason: reason.clone(), pods: counted(pods.len(), "pod"), names: format!("{names}{more}") }
    };
    reasons.into_iter().map(one).collect()
}
