//! Spot prices that change with time, for every type and zone by itself: the same whatever the controller does.

use std::sync::Arc;

use super::chance::Draw;
use super::queue::after;
use super::scenario::Around;
use super::{Happening, Simulation};
use crate::catalog::{CapacityType, Catalog, Offering};
use crate::controller::Event;
use crate::units::MicroUsd;

/// Tells these numbers from all others that begin with the seed.
const PRICES: u64 = 9;

impl Simulation<'_> {
    pub(super) fn begin_prices(&mut self) {
        if let Some(prices) = &self.scenario.spec.spot_prices {
            self.queue.put(after(self.now, prices.every), Happening::Prices(1));
        }
    }

    /// Prices change, and everybody is told. Running spot instances cost what their kind costs now, as on EC2.
    pub(super) fn change_prices(&mut self, number: u64) {
        let Some(prices) = &self.scenario.spec.spot_prices else { return };
        if self.is_settling {
            return;
        }
        self.queue.put(after(self.now, prices.every), Happening::Prices(number + 1));
        let (seed, most) = (self.options.seed, millionths(prices.by));
        let before = match prices.around {
            Around::Last => &self.catalog,
            Around::Start => &self.options.catalog,
        };
        self.catalog = with_spot_prices_of(before, |kind, zone, price| changed(price, most, seed, number, kind, zone));
        let catalog = &self.catalog;
        self.cloud.reprice(|kind, zone| spot_price(catalog, kind, zone), self.now);
        let lives: Vec<u64> = self.processes.iter().map(|process| process.life).collect();
        for life in lives {
            let event = Event::Catalog(Box::new(self.catalog.clone()));
            self.queue.put(self.now, Happening::Heard(life, Box::new(event)));
        }
    }

    /// Zones in which something can be bought.
    pub(super) fn zones(&self) -> Vec<Arc<str>> {
        match &self.options.catalog {
            Catalog::Ec2(market) => market.zones.iter().map(|zone| zone.name.clone()).collect(),
            Catalog::Fixed(types) => {
                let mut zones: Vec<Arc<str>> =
                    types.iter().flat_map(|kind| &kind.offerings).map(|offering| offering.zone.clone()).collect();
                zones.sort();
                zones.dedup();
                zones
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // of a number from 0 to 1
fn millionths(part: f64) -> i64 {
    (part * 1e6) as i64
}

/// Up to `most` millionths more or less than before.
fn changed(price: MicroUsd, most: i64, seed: u64, number: u64, kind: &str, zone: &str) -> MicroUsd {
    let named = kind.bytes().chain([0]).chain(zone.bytes());
    let name = named.fold(0_u64, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    let share = Draw::of([seed, PRICES, number, name]).between(0, 2_000_000);
    let by = i128::from(most) * (i128::from(share) - 1_000_000) / 1_000_000;
    let price = i128::from(price.0) * (1_000_000 + by) / 1_000_000;
    MicroUsd(i64::try_from(price).unwrap_or(i64::MAX).max(1))
}

/// The same catalogue with other spot prices, never above on-demand: what becomes of the price of a type in a zone.
fn with_spot_prices_of(catalog: &Catalog, change: impl Fn(&str, &str, MicroUsd) -> MicroUsd) -> Catalog {
    match catalog {
        Catalog::Ec2(market) => Catalog::Ec2(Box::new(market.with_changed_spot_prices(change))),
        Catalog::Fixed(types) => {
            let mut types = types.clone();
            for kind in &mut types {
                let (name, offerings) = (&kind.name, &mut kind.offerings);
                let dearest = |zone: &str| {
                    let on_demand = price_of(offerings, CapacityType::OnDemand, zone);
                    on_demand.unwrap_or(MicroUsd::MOST_AN_HOUR)
                };
                let most: Vec<MicroUsd> = offerings.iter().map(|offering| dearest(&offering.zone)).collect();
                for (offering, most) in offerings.iter_mut().zip(most) {
                    if offering.capacity_type == CapacityType::Spot {
                        offering.price = change(name, &offering.zone, offering.price).min(most);
                    }
                }
            }
            Catalog::Fixed(types)
        }
    }
}

fn price_of(offerings: &[Offering], capacity_type: CapacityType, zone: &str) -> Option<MicroUsd> {
    let mut found = offerings.iter().filter(|of| of.capacity_type == capacity_type && &*of.zone == zone);
    found.next().map(|offering| offering.price)
}

/// The spot price of a type in a zone.
fn spot_price(catalog: &Catalog, kind: &str, zone: &str) -> Option<MicroUsd> {
    match catalog {
        Catalog::Ec2(market) => market.spot_price(kind, zone),
        Catalog::Fixed(types) => {
            let kind = types.iter().find(|known| &*known.name == kind)?;
            price_of(&kind.offerings, CapacityType::Spot, zone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Market;

    #[test]
    fn prices_change_within_their_share_and_stay_below_on_demand() {
        let (market, _) = Market::offline("us-east-1").unwrap();
        let first = Catalog::Ec2(Box::new(market));
        let changed_by = |catalog: &Catalog, number| {
            with_spot_prices_of(catalog, |kind, zone, price| changed(price, 200_000, 1, number, kind, zone))
        };
        let price = |catalog: &Catalog| spot_price(catalog, "m5.large", "us-east-1a").unwrap().0;
        let second = changed_by(&first, 1);
        assert_ne!(price(&first), price(&second));
        assert!((price(&second) - price(&first)).abs() * 5 <= price(&first) + 5);
        assert_eq!(price(&changed_by(&first, 1)), price(&second), "the same seed, the same prices");
        let mut last = first;
        for number in 0..200 {
            last = changed_by(&last, number);
            assert!((1..=96_000).contains(&price(&last)), "{number}: {}", price(&last));
        }
    }
}
