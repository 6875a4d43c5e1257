//! Which commands are worth it, and what the cloud may choose for their launches.
//!
//! Source: the design's rule of release, and the reference's price rule (karpenter-core 4.5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cut::offer_only;
use super::means::{Bill, Means};
use super::policies::Policies;
use super::{Command, Policy};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::{Candidate, RescheduleCost};
use crate::observe::Snapshot;
use crate::observe::snapshot::{Node, Pod};
use crate::plan::{Launch, Offer};
use crate::units::MicroUsd;

/// Where one spot node replaces one, it may become so many types at least: else interruptions follow one another.
const SPOT_TO_SPOT: usize = 15;

/// What is saved is at least the inverse of this as large as what is disturbed, each as a part of its pool's (the reference's k).
const BALANCE: i128 = 2;

/// What is known of the nodes that may go.
pub(super) struct Facts<'f> {
    pub snapshot: &'f Snapshot,
    pub candidates: &'f BTreeMap<Arc<str>, Candidate>,
    pub policies: &'f Policies,
    /// What each pod that moves has to win besides, once.
    pub hurdle: MicroUsd,
    pub now: Timestamp,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotWorth {
    Off,
    SpotForSpot,
    FewSpotTypes,
    NotOneForOne,
    Unbalanced {
        pool: Arc<str>,
    },
    /// Of an hour.
    TooLittle {
        saved: MicroUsd,
        least: MicroUsd,
    },
    /// What it costs once is not paid back in time.
    Late {
        saved: MicroUsd,
        once: MicroUsd,
        /// `None`: nothing is paid back by a node whose age is over.
        time: Option<Duration>,
    },
    /// It would be worth it at the prices of now alone.
    AtMeans(Box<Self>),
}

impl NotWorth {
    fn at_means(self) -> Self {
        Self::AtMeans(Box::new(self))
    }
}

impl fmt::Display for NotWorth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("the policy of its pool lets no node go because something else is cheaper"),
            Self::Unbalanced { pool } => write!(
                f,
                "of nodepool {pool} it saves, as a part of what all nodes cost, less than half of what it disturbs, as a part of what \
                 all of them would (Balanced)"
            ),
            Self::SpotForSpot => {
                f.write_str("spot nodes come for spot nodes only with the gate SpotToSpotConsolidation")
            }
            Self::FewSpotTypes => {
                write!(f, "the spot node that replaces it could become fewer than {SPOT_TO_SPOT} types")
            }
            Self::AtMeans(why) => write!(f, "at the mean prices of the last 24 hours {why}"),
            Self::NotOneForOne => f.write_str("the policy only removes nodes, or replaces one by one"),
            Self::TooLittle { saved, .. } if *saved <= MicroUsd::ZERO => {
                f.write_str("nothing that costs less has room for its pods")
            }
            Self::TooLittle { saved, least } => {
                write!(f, "it saves ${:.4}/h, and the policy asks for ${:.4}/h", saved.as_usd(), least.as_usd())
            }
            Self::Late { saved, once, time } => {
                let (saved, once) = (saved.as_usd(), once.as_usd());
                write!(f, "it saves ${saved:.4}/h, and evictions and boots of ${once:.4} are not paid back ")?;
                match time {
                    None => f.write_str("by a node that is past its expireAfter, and goes anyway"),
                    Some(time) => write!(f, "in the {:.1} h that count", time.as_secs_f64() / 3_600.0),
                }
            }
        }
    }
}

impl Facts<'_> {
    /// The command with its saving, and launches that keep it whatever the cloud chooses.
    ///
    /// # Errors
    /// It is not worth it.
    pub fn released(&self, mut command: Command) -> Result<Command, NotWorth> {
        let goes = command.removed.iter().filter_map(|of| self.candidates.get(&of.node));
        let policy = &Policy { hurdle: self.hurdle, ..self.policies.of_all(self.snapshot, goes) };
        if policy.is_off() {
            return Err(NotWorth::Off);
        }
        let nodes = || command.removed.iter().filter_map(|of| self.candidates.get(&of.node));
        let evictions: MicroUsd = nodes().map(|of| of.eviction_price).sum();
        let lasts = nodes().map(|of| self.lasts(&self.snapshot.nodes[of.node])).min().unwrap_or(Duration::MAX);
        let means = Means { snapshot: self.snapshot };
        let now = Bill { price: command.price(), chosen: command.launches.iter().map(Launch::price).sum() };
        let mean = means.bill(&command);
        command.once = policy.evictions(evictions) + policy.boots(now.chosen);
        let hurdles = policy.hurdles(command.moves.len());
        if !command.launches.is_empty() {
            let is_one_for_one = command.removed.len() == 1 && command.launches.len() == 1;
            if !self.may_be_spot(&command) {
                return Err(NotWorth::SpotForSpot);
            }
            if policy.one_for_one && !is_one_for_one {
                return Err(NotWorth::NotOneForOne);
            }
            let paid_back = Self::paid_back(policy, command.once + hurdles, lasts);
            let count = i64::try_from(command.launches.len()).unwrap_or(i64::MAX);
            let slack = |bill: Bill| {
                let slack = bill.saved() - policy.least(bill.price) - paid_back - MicroUsd(1);
                let why = || too_little(policy, bill.saved(), bill.price, (command.once, lasts));
                if slack < MicroUsd::ZERO { Err(why()) } else { Ok(MicroUsd(slack.0 / count)) }
            };
            let (by_now, by_mean) = (slack(now)?, slack(mean).map_err(NotWorth::at_means)?);
            for launch in &mut command.launches {
                cheapen(launch, by_now, by_mean, means);
            }
            if command.removed.len() == 1 && self.is_spot_to_spot(&command) {
                let spot = || command.launches.iter().filter(|launch| launch.capacity_type == CapacityType::Spot);
                if spot().any(|launch| types(launch) < SPOT_TO_SPOT) {
                    return Err(NotWorth::FewSpotTypes);
                }
                command.launches.iter_mut().for_each(keep_cheapest);
            }
        }
        let saved = now.price - command.launches.iter().map(Launch::worst_price).sum();
        let saved_at_means = mean.price - command.launches.iter().map(|launch| means.of_launch(launch).worst()).sum();
        let check = |saved: MicroUsd, price: MicroUsd| {
            let pays = policy.net(saved, command.once + hurdles, lasts) >= MicroUsd::ZERO;
            let is_enough = saved >= policy.least(price) && pays;
            if is_enough { Ok(()) } else { Err(too_little(policy, saved, price, (command.once, lasts))) }
        };
        check(saved, now.price)?;
        check(saved_at_means, mean.price).map_err(NotWorth::at_means)?;
        if policy.balanced {
            self.is_balanced(now.saved(), now.price, &nodes().collect::<Vec<_>>())?;
        }
        command.saved = saved.min(saved_at_means);
        Ok(command)
    }

    /// The reference's score of each pool that asks for it (karpenter-core 4.5): what is saved is split by what its nodes cost.
    fn is_balanced(&self, saved: MicroUsd, price: MicroUsd, nodes: &[&Candidate]) -> Result<(), NotWorth> {
        let node_of = |of: &Candidate| &self.snapshot.nodes[of.node];
        let balanced = nodes.iter().filter(|of| self.policies.of_node(node_of(of)).balanced);
        let pools: BTreeSet<&Arc<str>> = balanced.filter_map(|of| node_of(of).pool.as_ref()).collect();
        for pool in pools {
            let here = || nodes.iter().filter(|of| node_of(of).pool.as_ref() == Some(pool));
            let share: MicroUsd = here().map(|of| of.price.unwrap_or_default()).sum();
            let disturbed: RescheduleCost = here().map(|of| of.reschedule_cost).sum();
            let (cost, all) = self.totals(pool);
            // saved * share / price / cost >= disturbed / all / BALANCE
            let won = BALANCE * i128::from(saved.0) * i128::from(share.0) * i128::from(all.parts());
            let lost = i128::from(disturbed.parts()) * i128::from(price.0) * i128::from(cost.0);
            if saved <= MicroUsd::ZERO || won < lost {
                return Err(NotWorth::Unbalanced { pool: pool.clone() });
            }
        }
        Ok(())
    }

    /// What the nodes of a pool cost an hour, and what disturbing all of them would be.
    fn totals(&self, pool: &Arc<str>) -> (MicroUsd, RescheduleCost) {
        let nodes = || self.snapshot.nodes.iter().filter(|node| node.pool.as_ref() == Some(pool));
        let names: BTreeSet<&Arc<str>> = nodes().map(|node| &node.name).collect();
        let here = |pod: &&Pod| pod.is_reschedulable() && pod.node.as_ref().is_some_and(|node| names.contains(node));
        let of_nodes = nodes().map(|_| RescheduleCost::of([]));
        let of_pods = self.snapshot.pods.iter().filter(here).map(RescheduleCost::of_pod);
        (nodes().filter_map(|node| node.price).sum(), of_nodes.chain(of_pods).sum())
    }

    /// How long a node would still be there.
    fn lasts(&self, node: &Node) -> Duration {
        let left = node.disruption.expires_at.map(|end| end.duration_since(self.now));
        left.map_or(Duration::MAX, |left| Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// What has to be saved an hour so that a cost is paid back in time.
    fn paid_back(policy: &Policy, once: MicroUsd, lasts: Duration) -> MicroUsd {
        let seconds = i64::try_from(policy.horizon.min(lasts).as_secs()).unwrap_or(i64::MAX).max(1);
        MicroUsd(once.0.saturating_mul(3_600).div_euclid(seconds))
    }

    fn is_spot_to_spot(&self, command: &Command) -> bool {
        let is_spot = |name: &Arc<str>| {
            let node = self.candidates.get(name).map(|of| &self.snapshot.nodes[of.node]);
            node.is_some_and(|node| node.label(labels::CAPACITY_TYPE) == Some(labels::CAPACITY_SPOT))
        };
        command.removed.iter().all(|of| is_spot(&of.node))
            && command.launches.iter().any(|launch| launch.capacity_type == CapacityType::Spot)
    }

    /// Spot nodes come for spot nodes only where the gate `SpotToSpotConsolidation` is open.
    fn may_be_spot(&self, command: &Command) -> bool {
        self.snapshot.settings.feature_gates.spot_to_spot_consolidation || !self.is_spot_to_spot(command)
    }
}

fn too_little(policy: &Policy, saved: MicroUsd, price: MicroUsd, (once, lasts): (MicroUsd, Duration)) -> NotWorth {
    let time = Some(policy.horizon.min(lasts)).filter(|time| !time.is_zero());
    let least = policy.least(price);
    if saved < least.max(MicroUsd(1)) {
        NotWorth::TooLittle { saved, least }
    } else {
        NotWorth::Late { saved, once, time }
    }
}

/// How many types a launch may become.
fn types(launch: &Launch) -> usize {
    let mut names: Vec<&Arc<str>> = launch.offers.iter().map(|offer| &offer.instance_type).collect();
    names.dedup(); // the offers of a type stand together
    names.len()
}

/// Leaves the cheapest types alone: with more of them the node might be replaced again.
fn keep_cheapest(launch: &mut Launch) {
    let mut prices: BTreeMap<&Arc<str>, MicroUsd> = BTreeMap::new();
    for offer in launch.offers.iter() {
        let least = prices.entry(&offer.instance_type).or_insert(offer.price);
        *least = offer.price.min(*least);
    }
    let mut order: Vec<(MicroUsd, Arc<str>)> = prices.into_iter().map(|(name, price)| (price, name.clone())).collect();
    order.sort_unstable();
    order.truncate(SPOT_TO_SPOT);
    let kept: Vec<Offer> =
        launch.offers.iter().filter(|of| order.iter().any(|(_, name)| *name == of.instance_type)).cloned().collect();
    offer_only(launch, kept);
}

/// Leaves out what costs more than so much above the chosen offer, now or on average.
fn cheapen(launch: &mut Launch, by_now: MicroUsd, by_mean: MicroUsd, means: Means<'_>) {
    let of = means.of_launch(launch);
    let (most, most_on_average) = (launch.price() + by_now, of.chosen() + by_mean);
    let is_cheap = |offer: &&Offer| offer.price <= most && of.of(offer) <= most_on_average;
    let offers = launch.offers.iter().filter(is_cheap).cloned().collect();
    offer_only(launch, offers);
}
