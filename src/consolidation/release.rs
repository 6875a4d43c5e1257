//! Which commands are worth it, and what the cloud may choose for their launches.
//!
//! Source: the design's rule of release, and the reference's price rule (karpenter-core 4.5).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Command, Policy};
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::disruption::Candidate;
use crate::observe::Snapshot;
use crate::observe::snapshot::Node;
use crate::plan::{Launch, Offer};
use crate::requirements::{Requirement, Requirements};
use crate::units::MicroUsd;

/// Where one spot node replaces one, it may become so many types at least: else interruptions follow one another.
const SPOT_TO_SPOT: usize = 15;

/// What is known of the nodes that may go.
pub(super) struct Facts<'f> {
    pub snapshot: &'f Snapshot,
    pub candidates: &'f BTreeMap<Arc<str>, Candidate>,
    pub policy: &'f Policy,
    pub now: Timestamp,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotWorth {
    SpotForSpot,
    FewSpotTypes,
    NotOneForOne,
    /// Of an hour.
    TooLittle {
        saved: MicroUsd,
        least: MicroUsd,
    },
    /// What it costs once is not paid back in time.
    Late {
        saved: MicroUsd,
        once: MicroUsd,
    },
}

impl fmt::Display for NotWorth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpotForSpot => {
                f.write_str("spot nodes come for spot nodes only with the gate SpotToSpotConsolidation")
            }
            Self::FewSpotTypes => {
                write!(f, "the spot node that replaces it could become fewer than {SPOT_TO_SPOT} types")
            }
            Self::NotOneForOne => f.write_str("the policy only removes nodes, or replaces one by one"),
            Self::TooLittle { saved, .. } if *saved <= MicroUsd::ZERO => {
                f.write_str("nothing that costs less has room for its pods")
            }
            Self::TooLittle { saved, least } => {
                write!(f, "it saves ${:.4}/h, and the policy asks for ${:.4}/h", saved.as_usd(), least.as_usd())
            }
            Self::Late { saved, once } => write!(
                f,
                "it saves ${:.4}/h, and evictions and boots of ${:.4} are not paid back in time",
                saved.as_usd(),
                once.as_usd()
            ),
        }
    }
}

impl Facts<'_> {
    /// The command with its saving, and launches that keep it whatever the cloud chooses.
    ///
    /// # Errors
    /// It is not worth it.
    pub fn released(&self, mut command: Command) -> Result<Command, NotWorth> {
        let Self { policy, .. } = self;
        let nodes = || command.removed.iter().filter_map(|of| self.candidates.get(&of.node));
        let evictions: MicroUsd = nodes().map(|of| of.eviction_price).sum();
        let lasts = nodes().map(|of| self.lasts(&self.snapshot.nodes[of.node])).min().unwrap_or(Duration::MAX);
        let (price, chosen) = (command.price(), command.launches.iter().map(Launch::price).sum::<MicroUsd>());
        command.once = policy.evictions(evictions) + policy.boots(chosen);
        let hurdles = policy.hurdles(command.moves.len());
        if !command.launches.is_empty() {
            let is_one_for_one = command.removed.len() == 1 && command.launches.len() == 1;
            if !self.may_be_spot(&command) {
                return Err(NotWorth::SpotForSpot);
            }
            if policy.one_for_one && !is_one_for_one {
                return Err(NotWorth::NotOneForOne);
            }
            let (saved, least) = (price - chosen, policy.least(price));
            let paid_back = self.paid_back(command.once + hurdles, lasts);
            let slack = saved - least - paid_back - MicroUsd(1);
            if slack < MicroUsd::ZERO {
                return Err(self.too_little(saved, price, command.once));
            }
            let each = MicroUsd(slack.0 / i64::try_from(command.launches.len()).unwrap_or(i64::MAX));
            command.launches.iter_mut().for_each(|launch| cheapen(launch, each));
            if command.removed.len() == 1 && self.is_spot_to_spot(&command) {
                let spot = || command.launches.iter().filter(|launch| launch.capacity_type == CapacityType::Spot);
                if spot().any(|launch| types(launch) < SPOT_TO_SPOT) {
                    return Err(NotWorth::FewSpotTypes);
                }
                command.launches.iter_mut().for_each(keep_cheapest);
            }
        }
        command.saved = price - command.launches.iter().map(Launch::worst_price).sum();
        let pays = policy.net(command.saved, command.once + hurdles, lasts) >= MicroUsd::ZERO;
        if command.saved >= policy.least(price) && pays {
            Ok(command)
        } else {
            Err(self.too_little(command.saved, price, command.once))
        }
    }

    fn too_little(&self, saved: MicroUsd, price: MicroUsd, once: MicroUsd) -> NotWorth {
        let least = self.policy.least(price);
        if saved < least.max(MicroUsd(1)) {
            NotWorth::TooLittle { saved, least }
        } else {
            NotWorth::Late { saved, once }
        }
    }

    /// How long a node would still be there.
    fn lasts(&self, node: &Node) -> Duration {
        let left = node.disruption.expires_at.map(|end| end.duration_since(self.now));
        left.map_or(Duration::MAX, |left| Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// What has to be saved an hour so that a cost is paid back in time.
    fn paid_back(&self, once: MicroUsd, lasts: Duration) -> MicroUsd {
        let seconds = i64::try_from(self.policy.horizon.min(lasts).as_secs()).unwrap_or(i64::MAX).max(1);
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

/// Leaves out what costs more than so much above the chosen offer.
fn cheapen(launch: &mut Launch, by: MicroUsd) {
    let most = launch.price() + by;
    let offers = launch.offers.iter().filter(|offer| offer.price <= most).cloned().collect();
    offer_only(launch, offers);
}

fn offer_only(launch: &mut Launch, offers: Vec<Offer>) {
    if offers.len() < launch.offers.len() {
        let mut requirements = Requirements::clone(&launch.requirements);
        let of = |name: fn(&Offer) -> &Arc<str>| Requirement::one_of(offers.iter().map(name).cloned());
        requirements.add(labels::INSTANCE_TYPE, of(|offer| &offer.instance_type));
        requirements.add(labels::ZONE, of(|offer| &offer.zone));
        launch.requirements = Arc::new(requirements);
        launch.offers = Arc::new(offers);
    }
}
