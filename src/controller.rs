//! The controller as a state machine: what is observed and the time in, what is to be done out.
//!
//! ```text
//! watches, answers, decisions --observe(event)--> World --step(now)--> writes, cloud requests, questions; what to say
//! ```
//! It does no I/O and has no clock, so the host of a live cluster and that of a simulated one drive the same code. All state
//! that matters lives in the cluster: what is kept here beside the [`World`] only saves repeating what is under way, and a
//! new process makes the same decisions without it.
//!
//! Each part looks at the whole of what concerns it and says what is missing to what should be (level-triggered), so the
//! order in which events come, and how many are missed, changes nothing but the time that it takes.

pub mod settings;
pub mod event;
pub mod action;
pub mod said;
mod saving;
pub mod world;
mod taking_in;
pub mod writes;
mod index;
mod attention;
mod turn;
mod conditions;
mod claim_status;
mod classes;
mod cluster;
mod health;
mod placement_groups;
mod pools;
mod unavailable;
mod unseen;
mod market;
pub mod on_offer;
mod give_up;
mod hash;
mod class_hash;
mod closing;
mod beginning;
mod consolidating;
mod create;
mod creating;
mod adopt;
mod launch;
mod learn;
mod play;
mod register;
mod replacing;
mod initialize;
mod waiting;
mod batch;
mod question;
mod carry_out;
mod decided;
mod instances;
mod looks;
mod garbage;
mod interruption;
mod reservations;
mod retire;
mod volumes;
mod zonal_shift;
mod drain;
mod drift;
mod expire;
mod repair;
pub mod disruptable;
mod idle;
mod empty;
mod statics;
mod static_drift;
mod buffers;
mod overlays;
mod consistency;
mod protected;
pub mod spend;
pub mod valves;
#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use action::{Action, Verb, Write};
pub use event::{Event, Outcome, Subject};
pub use said::{Bought, GivenUp, Kept, Said};
pub use saving::Saving;
pub use settings::ControllerSettings;
pub use world::World;

use crate::catalog::{Catalog, Learned};
use crate::cloud::{Answer, Provider};
use crate::consolidation::Policy;
use crate::host::Search;
use crate::observe::snapshot::NodePool;
use crate::observe::{Memory, is_launchable};
use crate::solve::carried::Carried;
use attention::{Attention, Later};
use batch::Batch;
use buffers::Buffers;
use carry_out::Asked;
use cluster::{Claimed, Cluster};
use consistency::Consistency;
use consolidating::Consolidating;
use creating::Creating;
use drain::is_going;
use empty::HeldByPods;
use garbage::Garbage;
use health::Health;
use idle::PodEvents;
use instances::Instances;
use interruption::Interruptions;
use launch::Launches;
use looks::Looks;
use market::{Market, Sources};
use on_offer::OnOffer;
use pools::Usages;
use protected::Protected;
use question::{Known, View, Views};
use register::Following;
use replacing::LastLook;
use spend::{Prices, Spend};
use statics::Statics;
use turn::Turn;
use unavailable::Unavailable;
use unseen::unseen;
use valves::{Recent, Room, Valve};
use waiting::{awaited_nodes, coming, last_try, waiting_pods};
use writes::Writes;
use zonal_shift::ZonalShifts;

/// What to do now, what to say, and when time alone will change that.
#[derive(Debug, Default)]
pub struct Step {
    pub actions: Vec<Action>,
    pub said: Vec<Said>,
    pub next: Option<Timestamp>,
    later: Later,
}

/// A node is not taken away for so long after pods were told to bind there.
const NOMINATION: Duration = Duration::from_secs(20);

/// The controller.
#[derive(Debug)]
pub struct Controller {
    settings: ControllerSettings,
    catalog: Catalog,
    /// What nodes of each kind really have.
    learned: Arc<Learned>,
    world: World,
    writes: Writes,
    market: Market,
    memory: Memory,
    unavailable: Unavailable,
    health: Health,
    statics: Statics,
    consistency: Consistency,
    protected: Protected,
    buffers: Buffers,
    launches: Launches,
    instances: Instances,
    looks: Looks,
    garbage: Garbage,
    interruptions: Interruptions,
    zonal_shifts: ZonalShifts,
    following: Following,
    attention: Attention,
    creating: Creating,
    events: PodEvents,
    /// Nodes that pods were told to bind to, until when that is waited for.
    nominated: BTreeMap<Arc<str>, Timestamp>,
    batch: Batch,
    /// What is being decided.
    asked: Option<Asked>,
    /// Decisions that were asked for so far.
    questions: u64,
    carried: Arc<Carried>,
    recent: Recent,
    /// What nodes cost, as it was said last.
    spend: Spend,
    prices: Prices,
    usages: Usages,
    disruptable: disruptable::Looked,
    consolidating: Consolidating,
    last_look: LastLook,
    held_by_pods: HeldByPods,
}

impl Controller {
    /// A controller that knows nothing yet.
    #[must_use]
    pub fn new(settings: ControllerSettings, catalog: Catalog) -> Self {
        Self {
            settings,
            catalog,
            learned: Arc::default(),
            world: World::default(),
            writes: Writes::default(),
            market: Market::default(),
            memory: Memory::default(),
            unavailable: Unavailable::default(),
            health: Health::default(),
            statics: Statics::default(),
            consistency: Consistency::default(),
            protected: Protected::default(),
            buffers: Buffers::default(),
            launches: Launches::default(),
            instances: Instances::default(),
            looks: Looks::default(),
            garbage: Garbage::default(),
            interruptions: Interruptions::default(),
            zonal_shifts: ZonalShifts::default(),
            following: Following::default(),
            attention: Attention::default(),
            creating: Creating::default(),
            events: PodEvents::default(),
            nominated: BTreeMap::new(),
            batch: Batch::default(),
            asked: None,
            questions: 0,
            carried: Arc::default(),
            recent: Recent::default(),
            spend: Spend::default(),
            prices: Prices::default(),
            usages: Usages::default(),
            disruptable: disruptable::Looked::default(),
            consolidating: Consolidating::default(),
            last_look: LastLook::default(),
            held_by_pods: HeldByPods::default(),
        }
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Forgets what is under way: another controller may act from now on.
    pub fn rest(&mut self) {
        self.writes = Writes::default();
        self.health = Health::default();
        self.launches = Launches::default();
        self.instances = Instances::default();
        self.looks = Looks::default();
        self.garbage = Garbage::default();
        self.zonal_shifts = ZonalShifts::default();
        self.nominated.clear();
        self.batch = Batch::default();
        self.buffers = Buffers::default();
        self.asked = None;
        self.disruptable = disruptable::Looked::default();
        self.consolidating = Consolidating::default();
        self.last_look = LastLook::default();
        self.held_by_pods = HeldByPods::default();
        self.attention = Attention::default();
        self.creating = Creating::default();
    }

    /// Takes an event in, and says what it means.
    pub fn observe(&mut self, event: Event, now: Timestamp) -> Step {
        let mut step = Step::default();
        match event {
            Event::Seen { kind, object } => self.see(kind, object, now, &mut step.said),
            Event::Gone { kind, key, uid } => {
                let before = self.pod(kind, &key);
                self.world.lose(kind, &key, &uid);
                self.events.note(before.as_deref(), self.pod(kind, &key).as_deref(), now);
            }
            Event::Listed { kind, objects } => self.list(kind, objects, now, &mut step.said),
            Event::Written { subject, outcome } => self.written(&subject, outcome, now, &mut step.said),
            Event::Cloud(answer) => {
                if matches!(answer, Answer::Listed(_)) {
                    self.world.touch_all();
                }
                self.instances.take(&answer, now, &mut step.said);
                self.garbage.take(&answer, now, &mut step.said);
                self.launches.take(answer, &mut self.unavailable, now);
            }
            Event::Looked { node, pods } => {
                self.world.touch("Node", &Subject::of_cluster("Node", &node).key);
                self.looks.note(node, pods.is_ok(), now);
                pods.into_iter().flatten().for_each(|pod| self.see("Pod", pod, now, &mut step.said));
            }
            Event::Interrupted { provider_id, kind } => self.interruptions.note(provider_id, kind, now),
            Event::Catalog(catalog) => {
                self.catalog = *catalog;
                self.catalog.learn(&self.learned);
                self.market = Market::default();
            }
            Event::Decided { question, decision } => self.decided(question, decision.as_deref(), now, &mut step),
            Event::Consolidated { question, found } => {
                if let Some(asked_at) = self.consolidating.answered(question, found, &mut step.said) {
                    self.recent.note_decision(asked_at, now);
                }
            }
        }
        step
    }

    /// Whether nothing is left to do about an interruption of an instance.
    #[must_use]
    pub fn is_handled(&self, provider_id: &str) -> bool {
        self.interruptions.is_handled(provider_id)
    }

    /// What is to be done now.
    pub fn step(&mut self, now: Timestamp) -> Step {
        let mut step = Step::default();
        if !self.world.is_complete() {
            return step;
        }
        self.writes.forget(now);
        self.unavailable.forget(now);
        let unavailable = self.unavailable.names();
        let mut changes = self.world.take_changes();
        learn::step((&self.world, &changes), &mut self.learned, &mut self.catalog, &mut self.market);
        let sources = Sources { world: &self.world, catalog: &self.catalog, settings: &self.settings.decision };
        let has_new_offers = self.market.update(&sources, &unavailable);
        changes.all |= has_new_offers;
        if self.market.has_more() {
            self.batch.reopen();
        }
        self.market.update_classes(&sources, &changes, &unavailable);
        self.consolidating.stir(changes.all || changes.is_structural || !changes.claims.is_empty());
        #[cfg(test)]
        if self.settings.is_undivided {
            changes.all = true;
            self.memory = Memory::default();
        }
        let due = self.attention.due(&changes, now);
        let is_structural = changes.is_structural || due.is_none();
        let (objects, provider) = (self.world.objects(), self.settings.provider);
        let mut cluster = Cluster::of(objects, self.world.index(), provider, due.as_ref());
        cluster.is_structural = is_structural;
        cluster.unseen = unseen(&cluster, &self.garbage, &self.instances, self.market.pools());
        let observed = register::observe(&cluster, &mut self.following, now);
        let mut turn = Turn { now, settings: &self.settings, writes: &mut self.writes, step: &mut step };
        if has_new_offers && provider == Provider::Ec2 {
            turn.say(Said::Offered(Arc::new(OnOffer::of(self.market.pools()))));
            self.zonal_shifts.step(&self.market, &mut turn);
        }
        self.creating.step(&cluster, &mut turn);
        if is_structural {
            classes::step(&cluster, &mut turn);
            self.health.observe(&cluster, now);
            pools::step(&cluster, &mut self.usages, &self.health, &mut turn);
            let spend = Spend::of(&cluster, self.market.pools(), &mut self.prices);
            if spend != self.spend {
                turn.say(Said::Spending(spend.clone()));
                self.spend = spend;
            }
            overlays::step(&cluster, &self.market, &mut turn);
            let room = || Room::of(&self.settings.valves, &cluster, &self.spend, &mut self.recent, now);
            statics::step(&cluster, &self.market, (&mut self.statics, &mut self.creating, room), &mut turn);
        }
        adopt::step(&cluster, &mut turn);
        hash::step(&cluster, &self.market, &mut turn);
        class_hash::step(&cluster, &mut turn);
        drift::step(&cluster, &self.market, &self.garbage, &mut turn);
        launch::step(&cluster, &self.market, &mut self.launches, &mut turn);
        if provider == Provider::Kwok {
            play::step(&cluster, &mut turn);
            play::sweep(&cluster, &mut turn);
        }
        let all_read = self.world.can_read_all("NodeClaim");
        garbage::step(&cluster, &self.market, &mut self.garbage, all_read, &mut self.instances, &mut turn);
        interruption::step(&cluster, &mut self.interruptions, &mut turn);
        reservations::step(&cluster, &self.garbage, &mut turn);
        placement_groups::step(&cluster, &mut self.garbage, &mut turn);
        expire::step(&cluster, &mut turn);
        repair::step(&cluster, &self.market, &mut turn);
        register::step(&cluster, &observed, &mut self.following, &mut turn);
        initialize::step(&cluster, &mut turn);
        consistency::step(&cluster, &mut self.consistency, &mut turn);
        protected::step(&cluster, &mut self.protected, &mut turn);
        idle::step(&cluster, &mut self.events, &mut turn);
        let mut coming = coming(&cluster, &observed, now);
        coming.unseen = self.creating.pods();
        self.batch.leave(&coming.pods);
        if let Some(until) = coming.until {
            turn.step_again(until);
        }
        self.nominated.retain(|_, until| *until > now);
        let mut wanted: BTreeSet<Arc<str>> = coming.nodes.iter().chain(self.nominated.keys()).cloned().collect();
        wanted.extend(awaited_nodes(&observed));
        self.buffers.step(&cluster, &mut turn);
        wanted.extend(self.buffers.held(&cluster));
        coming.leaving.extend(self.consolidating.under_way(&cluster, now));
        coming.staying = static_drift::staying(&cluster);
        let leaving = self.consolidating.leaving(&cluster);
        wanted.extend(coming.leaving.values().chain(leaving.values().flatten()).cloned());
        let mut nominated = self.nominated.clone();
        for node in &wanted {
            nominated.entry(node.clone()).or_insert(now + NOMINATION);
        }
        let known = Known {
            settings: &self.settings,
            market: &self.market,
            nominated: &nominated,
            leaving: &leaving,
            buffers: &self.buffers,
            unseen: &cluster.unseen,
            memory: &mut self.memory,
        };
        let mut views = Views::new(cluster.objects, &coming, known, now);
        self.disruptable.step(|| views.of(View::Now), &mut turn);
        empty::step(
            &cluster,
            (&wanted, &self.consolidating.in_hand()),
            (&mut self.looks, &mut views, &mut self.held_by_pods),
            &mut turn,
        );
        let room = || Room::of(&self.settings.valves, &cluster, &self.spend, &mut self.recent, now);
        self.consolidating.go_on(&cluster, (&mut self.looks, &mut views), room, self.asked.is_none(), &mut turn);
        let in_hand = self.consolidating.in_hand();
        replacing::step(&cluster, &in_hand, (&mut self.last_look, || views.of(View::Now)), &mut turn);
        drain::step(&cluster, &self.garbage, (&mut self.looks, &mut self.instances), &mut turn);
        self.looks.keep(|node| cluster.objects.metadata("Node", &Subject::of_cluster("Node", node).key).is_some());
        retire::step(&cluster, &self.launches, &mut self.garbage, &mut self.instances, &mut turn);
        let (launches, garbage) = (&self.launches, &self.garbage);
        let is_known = |id: &str| launches.instances().chain(garbage.instances()).any(|known| known == id);
        self.instances.keep(|id| cluster.is_claimed(id) || is_known(id));
        // what is under way will change what is decided about
        let is_busy = self.asked.is_some() || self.launches.is_busy(&self.market, now) || turn.writes.is_creating();
        let mut waiting = waiting_pods(&cluster, &coming);
        let pods = waiting.len();
        let buffers = self.buffers.waiting(&mut turn);
        waiting.extend(buffers.as_deref());
        let decides = !is_busy && self.batch.step(&waiting, &mut turn);
        if !is_busy && !decides {
            // Karpenter's packing decides on launches then, and what is there may stay for as long
            let may_search = self.recent.lets_search(self.market.pools(), &mut turn);
            let policy = if may_search { self.settings.consolidation } else { Policy::off() };
            let room = || Room::of(&self.settings.valves, &cluster, &self.spend, &mut self.recent, now);
            let asking = (policy, self.batch.is_at_rest(), &mut self.questions);
            let has_begun = self.consolidating.step(&cluster, &mut views, room, asking, &mut turn);
            let room = || Room::of(&self.settings.valves, &cluster, &self.spend, &mut self.recent, now);
            if has_begun | self.consolidating.replace_static(&cluster, &mut views, room, &mut turn) {
                let room = || Room::of(&self.settings.valves, &cluster, &self.spend, &mut self.recent, now);
                self.consolidating.go_on(&cluster, (&mut self.looks, &mut views), room, true, &mut turn);
            }
        }
        if decides {
            turn.say(Said::FoundPods { pods });
            let asked = views.question();
            self.buffers.ask();
            let is_bare = |pool: &&NodePool| pool.replicas.is_none() && pool.unusable.is_none() && !is_launchable(pool);
            for pool in asked.node_pools.iter().filter(is_bare) {
                turn.say(Said::NoCompatibleTypes { pool: pool.name.clone() });
            }
            self.questions += 1;
            let question = self.questions;
            self.asked = Some(Asked { question, at: now, snapshot: asked.clone() });
            let (carried, search) = (self.carried.clone(), self.recent.search(&self.settings.valves, now));
            if search == Search::Greedy {
                let pools = asked.node_pools.iter().filter(|pool| pool.unusable.is_none());
                let valve = Valve::SolverSecondsPerHour;
                step.said.extend(pools.map(|pool| Said::HeldBack { valve, pool: pool.name.clone(), claims: 0 }));
            }
            step.actions.push(Action::Decide { question, snapshot: asked, carried, search });
        }
        let is_active = |claimed: &&Claimed<'_>| {
            let is_on_its_way = observed.claims.get(&claimed.key.name).is_some_and(|state| !state.is_settled);
            claimed.is_deleting() || is_on_its_way || claimed.nodes.iter().any(|node| is_going(node))
        };
        let active = cluster.claims.iter().filter(is_active).map(|claimed| claimed.key.name.clone()).collect();
        let said = std::mem::take(&mut step.later);
        self.attention.note(due.as_ref(), active, said, now);
        let next = self.attention.next();
        step.next = Some(step.next.map_or(next, |known| known.min(next)));
        step
    }
}
