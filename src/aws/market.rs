//! What can be bought in the account, and for how much: asked at the start and then again and again. Nothing is bought before the first
//! answers are there, or have taken too long: then what was not answered is as the bundled data have it, and spot costs what on-demand does.
//! What was answered once counts until the next answer.
//!
//! Source: the reference's `providers.instancetype` and `providers.pricing`, both every 12 hours; its spot prices, too, which here are as old
//! as a setting says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use metrics::gauge;
use tokio::time::Instant;
use tracing::{info, warn};

use super::connect::Aws;
use super::reserved::Reserved;
use super::told::{Teller, tell};
use super::zonal_shift::Resource;
use super::{prices, spot, types};
use crate::api::ec2_node_class::ReservationType;
use crate::catalog::market::{Account, SpotHistory};
use crate::catalog::node_class::{PlacementGroupFacts, ReservationFacts};
use crate::catalog::{Catalog, Market, Reservations, SpotPrices};
use crate::cloud::ec2::class_status::FoundReservation;
use crate::cloud::ec2::zonal_shift::{ZonalShift, shifted};
use crate::controller::Event;

/// How often what is asked.
#[derive(Debug, Clone)]
pub struct MarketSettings {
    pub spot_every: Duration,
    /// `ISOLATED_VPC`: there is no Pricing API to be reached.
    pub is_isolated: bool,
    /// `ENABLE_ZONAL_SHIFT`: the name of the cluster whose zonal shifts count.
    pub shifts_of: Option<Arc<str>>,
}

const TYPES_EVERY: Duration = Duration::from_secs(12 * 60 * 60);
const ON_DEMAND_EVERY: Duration = Duration::from_secs(12 * 60 * 60);
/// Zonal shifts.
const SHIFTS_EVERY: Duration = Duration::from_secs(30);
/// What failed is tried again after a pause that doubles, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Launches wait for first answers so long: bundled prices of another region, or zones where a type is not sold, cost more than a minute.
const FIRST_ANSWERS: Duration = Duration::from_secs(60);
/// Prices are asked for so much further back than the last ones, as those of a moment ago may not have been told.
const OVERLAP: Duration = Duration::from_secs(5 * 60);
/// When the bundled types and prices were taken (2026-08-06, 2026-07-20), seconds.
const BUNDLED_TYPES: f64 = 1_785_974_400.0;
const BUNDLED_PRICES: f64 = 1_784_505_600.0;

/// What is known so far.
#[derive(Debug)]
struct Known {
    base: Market,
    account: Account,
    /// Of the last 24 hours.
    spot: SpotHistory,
    /// Newest prices and means, as of the last answer.
    spot_prices: SpotPrices,
    reservations: Reserved,
    /// Placement groups of classes, by the name of the class.
    placement_groups: BTreeMap<String, PlacementGroupFacts>,
    /// Zones that ARC has shifted away from, by id.
    shifted: BTreeSet<Arc<str>>,
    /// What is asked for and was never answered.
    unanswered: BTreeSet<&'static str>,
}

/// Parts of what is known, as logs and metrics call them.
const TYPES: &str = "types";
const ON_DEMAND: &str = "on-demand";
const SPOT: &str = "spot";
const SHIFTS: &str = "zonal-shifts";

/// Asks, and tells the controller, for as long as it runs.
#[derive(Debug)]
pub struct Keeper {
    aws: Aws,
    known: Mutex<Known>,
    teller: Teller,
}

impl Keeper {
    /// `base`: the bundled data of the region.
    #[must_use]
    pub fn new(aws: Aws, base: Market, teller: Teller) -> Self {
        Self {
            aws,
            known: Mutex::new(Known {
                base,
                account: Account::awaited(),
                spot: SpotHistory::default(),
                spot_prices: SpotPrices::default(),
                reservations: Reserved::default(),
                placement_groups: BTreeMap::new(),
                shifted: BTreeSet::new(),
                unanswered: BTreeSet::from([TYPES, ON_DEMAND, SPOT, SHIFTS]),
            }),
            teller,
        }
    }

    /// Does not end.
    pub async fn run(&self, settings: MarketSettings) {
        for (part, at) in [(TYPES, BUNDLED_TYPES), (ON_DEMAND, BUNDLED_PRICES)] {
            gauge!("packwright_catalog_updated_timestamp_seconds", "part" => part).set(at);
        }
        futures::join!(
            self.keep_types(),
            self.keep_on_demand(settings.is_isolated),
            self.keep_spot(settings.spot_every),
            self.keep_shifts(settings.shifts_of),
            self.go_on_without(FIRST_ANSWERS)
        );
    }

    /// After a time nothing waits for first answers any more.
    async fn go_on_without(&self, after: Duration) {
        tokio::time::sleep(after).await;
        self.tell_if(|known| {
            if known.account.is_awaited {
                let missing: Vec<&str> = known.unanswered.iter().copied().collect();
                warn!(
                    controller = "providers.pricing",
                    "launches go on without the account's first answers of {}, for which they have waited {} s: bundled types and \
                     on-demand prices count, and spot costs as much as on-demand",
                    missing.join(", "),
                    after.as_secs()
                );
            }
            std::mem::replace(&mut known.account.is_awaited, false)
        });
    }

    async fn keep_types(&self) {
        let mut rhythm = Rhythm::new(TYPES, TYPES_EVERY);
        loop {
            rhythm.rest(self.ask_types().await).await;
        }
    }

    async fn keep_on_demand(&self, is_isolated: bool) {
        if is_isolated || !prices::are_served(&self.aws.region) {
            info!(controller = "providers.pricing", "there is no Pricing API here: bundled on-demand prices count");
            self.tell(|known| known.answered(ON_DEMAND));
            return;
        }
        let mut rhythm = Rhythm::new(ON_DEMAND, ON_DEMAND_EVERY);
        loop {
            rhythm.rest(self.ask_on_demand().await).await;
        }
    }

    async fn keep_spot(&self, every: Duration) {
        let mut rhythm = Rhythm::new(SPOT, every);
        let mut since = SystemTime::now() - spot::LOOK_BACK;
        loop {
            let now = SystemTime::now();
            let told = self.ask_spot(since).await;
            if told.is_ok() {
                since = now - OVERLAP;
            }
            rhythm.rest(told).await;
        }
    }

    async fn keep_shifts(&self, cluster: Option<Arc<str>>) {
        let Some(cluster) = cluster else { return self.tell(|known| known.answered(SHIFTS)) };
        let resource = Resource::of(cluster);
        let mut shifts: Vec<ZonalShift> = Vec::new();
        let mut is_registered = true;
        loop {
            let told = resource.shifts(&self.aws).await;
            let has_answered = told.is_ok();
            match told {
                Ok(Some(found)) => (shifts, is_registered) = (found, true),
                Ok(None) => {
                    shifts.clear();
                    if std::mem::replace(&mut is_registered, false) {
                        let name = &resource.cluster;
                        warn!(
                            controller = "zonalshift",
                            "cluster {name} is not registered with ARC: no zonal shift can begin"
                        );
                    }
                }
                // what was said before counts until it expires
                Err(reason) => warn!(controller = "zonalshift", "{reason}"),
            }
            let now = shifted(&shifts, Timestamp::now());
            self.tell_if(|known| {
                let is_first = has_answered && known.unanswered.contains(SHIFTS);
                if is_first {
                    known.answered(SHIFTS);
                }
                std::mem::replace(&mut known.shifted, now.clone()) != now || is_first
            });
            tokio::time::sleep(SHIFTS_EVERY).await;
        }
    }

    /// As far as it is known now.
    pub(super) fn catalog(&self) -> Catalog {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).catalog()
    }

    /// The id of a zone, once the account has told it.
    pub(super) fn zone_id(&self, name: &str) -> Option<Arc<str>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.account.zones.iter().flatten().find(|zone| &*zone.name == name)?.id.clone()
    }

    /// What is free of the capacity reservations that a class selects, and when EC2 was asked.
    pub(super) fn learn_reservations(&self, class: &str, asked: Instant, found: &[FoundReservation]) {
        let facts = found.iter().filter(|of| of.is_active).map(facts_of).collect();
        self.tell_if(|known| known.reservations.learn(class, asked, facts));
    }

    /// A class is gone: nothing that it selected counts any more.
    pub(super) fn forget_class(&self, class: &str) {
        self.tell_if(|known| known.placement_groups.remove(class).is_some() | known.reservations.forget(class));
    }

    /// Launches have taken so much of capacity reservations, by id: it is not free any more, before EC2 is asked again.
    pub(super) fn take_reserved(&self, taken: &BTreeMap<Arc<str>, u32>) {
        if !taken.is_empty() {
            self.tell(|known| known.reservations.take(taken, Instant::now()));
        }
    }

    /// What the selector of a class means; `None`: it has none, or there is no such group.
    pub(super) fn learn_placement_group(&self, class: &str, group: Option<&PlacementGroupFacts>) {
        self.tell_if(|known| {
            let before = match group {
                Some(group) => known.placement_groups.insert(class.to_owned(), group.clone()),
                None => known.placement_groups.remove(class),
            };
            before.as_ref() != group
        });
    }

    async fn ask_types(&self) -> Result<String, String> {
        let aws = &self.aws;
        let (facts, offered) = futures::try_join!(types::types(aws), types::offered(aws))?;
        let zones = types::zones(aws, &offered).await?;
        let said = format!("{} instance types in {} zones", facts.types().len(), zones.len());
        self.tell(|known| {
            known.account.facts = Some(Arc::new(facts));
            known.account.offered = Some(Arc::new(offered));
            known.account.zones = Some(zones);
            known.answered(TYPES);
        });
        Ok(said)
    }

    async fn ask_on_demand(&self) -> Result<String, String> {
        let found = prices::on_demand(&self.aws).await?;
        let said = format!("on-demand prices of {} instance types", found.len());
        self.tell(|known| {
            known.account.on_demand = Some(Arc::new(found));
            known.answered(ON_DEMAND);
        });
        Ok(said)
    }

    async fn ask_spot(&self, since: SystemTime) -> Result<String, String> {
        let hear = |told: spot::Told| {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.spot.note(&told.instance_type, &told.zone, told.at, told.price);
        };
        spot::since(&self.aws, since, hear).await?;
        let prices = {
            let now = Timestamp::now();
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.spot.forget_before(now);
            known.spot.prices(now)
        };
        if prices.is_empty() {
            return Err("DescribeSpotPriceHistory: expected at least one price, found none".to_owned());
        }
        let said = format!("spot prices of {} pairs of type and zone", prices.len());
        self.tell(|known| {
            known.spot_prices = prices;
            known.answered(SPOT);
        });
        Ok(said)
    }

    fn tell(&self, change: impl FnOnce(&mut Known)) {
        self.tell_if(|known| {
            change(known);
            true
        });
    }

    /// Where the change says that there was one.
    fn tell_if(&self, change: impl FnOnce(&mut Known) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut known) {
            tell(&self.teller, Event::Catalog(Box::new(known.catalog())));
        }
    }
}

impl Known {
    /// A part is known, and counts from now on.
    fn answered(&mut self, part: &'static str) {
        self.unanswered.remove(part);
        self.account.is_awaited &= !self.unanswered.is_empty();
    }

    fn catalog(&self) -> Catalog {
        let market = self.base.clone().with_account(self.account.clone()).with_shifted_zones(self.shifted.clone());
        let market = market.with_reservations(Reservations::of_account(self.reservations.facts().cloned()));
        let market = market.with_placement_groups(self.placement_groups.clone());
        let spot = &self.spot_prices;
        let market = if spot.is_empty() { market } else { market.with_spot_prices(spot.clone()) };
        Catalog::Ec2(Box::new(market))
    }
}

fn facts_of(of: &FoundReservation) -> ReservationFacts {
    let kind = match of.kind {
        ReservationType::Default => "default",
        ReservationType::CapacityBlock => "capacity-block",
    };
    ReservationFacts {
        id: Arc::from(of.id.as_str()),
        zone: Arc::from(of.zone.as_str()),
        instance_type: Arc::from(of.instance_type.as_str()),
        kind: Arc::from(kind),
        interruptible: of.is_interruptible,
        free: of.free,
    }
}

/// When a part of what is known is asked for again.
struct Rhythm {
    part: &'static str,
    every: Duration,
    /// After the next failure.
    pause: Duration,
}

impl Rhythm {
    fn new(part: &'static str, every: Duration) -> Self {
        Self { part, every, pause: FIRST_PAUSE }
    }

    /// Says what became of it, and waits.
    async fn rest(&mut self, told: Result<String, String>) {
        let part = self.part;
        let pause = match told {
            Ok(said) => {
                info!(controller = "providers.pricing", part, "discovered {said}");
                gauge!("packwright_catalog_updated_timestamp_seconds", "part" => part).set(seconds(SystemTime::now()));
                self.pause = FIRST_PAUSE;
                self.every
            }
            Err(reason) => {
                warn!(controller = "providers.pricing", part, "what was known before counts: {reason}");
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::config::Credentials;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::aws::{Mode, environment};

    #[tokio::test]
    async fn after_a_while_launches_wait_no_longer() {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let loader = environment().credentials_provider(credentials);
        let aws = Aws::connect(loader, Some("us-east-1"), Mode::ReadsOnly).await.unwrap();
        let (teller, mut told) = unbounded_channel();
        let keeper = Keeper::new(aws, Market::offline("us-east-1").unwrap().0, teller);
        assert!(keeper.catalog().is_awaited());
        keeper.tell(|known| known.answered(TYPES));
        assert!(keeper.catalog().is_awaited(), "prices are missing");
        keeper.go_on_without(Duration::ZERO).await;
        assert!(!keeper.catalog().is_awaited());
        let mut heard = Vec::new();
        while let Ok(told) = told.try_recv() {
            let Event::Catalog(catalog) = told.event else { continue };
            heard.push(catalog.is_awaited());
        }
        assert_eq!(heard, [true, false]);
        keeper.go_on_without(Duration::ZERO).await;
        assert!(told.try_recv().is_err(), "it is said once");
    }
}
