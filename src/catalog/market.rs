//! Where types are sold and for how much: a region's zones, on-demand and spot prices.

mod account;
mod history;
mod spot;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use account::{Account, Offered, OnDemandPrices};
pub use history::SpotHistory;
pub use spot::{LINUX, SpotFileError, SpotPrice, SpotPrices, read_price};
pub use zones::region_of_zone;

use super::ec2::{Ec2Facts, Ec2Type, PriceTable};
use super::learned::Learned;
use super::node_class::reservations::Reservations;
use super::node_class::{PlacementGroupFacts, Zone};
use crate::units::MicroUsd;

/// One region. Without a cloud connection: zones of a committed table, types and prices of the bundled data; with one, what the
/// account says of them, as far as it has said anything yet.
#[derive(Debug, Clone)]
pub struct Market {
    pub region: Arc<str>,
    pub zones: Vec<Zone>,
    prices: PriceTable,
    /// Recorded spot prices; without them an estimate stands in, or the on-demand price where there is an account.
    spot: Option<SpotPrices>,
    /// Recorded capacity reservations; without them it is not known what is free.
    reservations: Option<Reservations>,
    /// What the account has said.
    account: Account,
    /// What the selectors of node classes mean, by the name of the class.
    placement_groups: Arc<BTreeMap<String, PlacementGroupFacts>>,
    /// Ids of zones that ARC has shifted away from: nothing is launched there.
    shifted: Arc<BTreeSet<Arc<str>>>,
    /// What nodes really have, as far as some were seen.
    pub(super) learned: Arc<Learned>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    #[error("'{region}' is not the name of an AWS region, such as us-east-1")]
    Region { region: String },
}

impl Market {
    /// The market of a region, and what had to be assumed, one sentence each.
    ///
    /// # Errors
    /// It is not the name of a region.
    pub fn offline(region: &str) -> Result<(Self, Vec<String>), MarketError> {
        if !is_region_name(region) {
            return Err(MarketError::Region { region: region.to_owned() });
        }
        let mut notes = Vec::new();
        let zones = zones::of_region(region).unwrap_or_else(|| {
            notes.push(format!("region {region} is not in the zone table: zones {region}a to {region}c are assumed"));
            zones::lettered(region, "abc")
        });
        let prices = PriceTable::of_region(region).unwrap_or_else(|| {
            let (instead, table) = if is_in_china(region) {
                ("cn-north-1", PriceTable::CnNorth1)
            } else {
                ("us-east-1", PriceTable::UsEast1)
            };
            notes.push(format!("no on-demand prices for {region}: {instead} prices are used"));
            table
        });
        if is_in_china(region) {
            notes.push(format!("prices of {region} are in CNY: so is every amount that is said to be in dollars"));
        }
        let names: Vec<&str> = zones.iter().map(|zone| &*zone.name).collect();
        notes.push(format!("every type is taken to be offered in every zone: {}", names.join(", ")));
        notes.push(
            "spot prices are estimates between 30 % and 75 % of on-demand; --spot-prices replaces them".to_owned(),
        );
        let market = Self {
            region: Arc::from(region),
            zones,
            prices,
            spot: None,
            reservations: None,
            account: Account::default(),
            placement_groups: Arc::default(),
            shifted: Arc::default(),
            learned: Arc::default(),
        };
        Ok((market, notes))
    }

    /// Replaces the estimated spot prices. A type and zone without a recorded price has no spot offering from then on; with an account it
    /// has one that cannot be had (karpenter-provider-aws, pricing): nodes that run there are what they should be all the same.
    #[must_use]
    pub fn with_spot_prices(self, spot: SpotPrices) -> Self {
        Self { spot: Some(spot), ..self }
    }

    #[must_use]
    pub fn with_reservations(self, reservations: Reservations) -> Self {
        Self { reservations: Some(reservations), ..self }
    }

    /// The same market with the placement groups of node classes, by the name of the class.
    #[must_use]
    pub fn with_placement_groups(self, groups: BTreeMap<String, PlacementGroupFacts>) -> Self {
        Self { placement_groups: Arc::new(groups), ..self }
    }

    /// The placement group of a node class.
    #[must_use]
    pub fn placement_group(&self, class: &str) -> Option<&PlacementGroupFacts> {
        self.placement_groups.get(class)
    }

    /// The same market while ARC has shifted away from zones, by their ids: what is offered there cannot be had.
    #[must_use]
    pub fn with_shifted_zones(self, ids: BTreeSet<Arc<str>>) -> Self {
        Self { shifted: Arc::new(ids), ..self }
    }

    /// The id of a zone that ARC has shifted away from; `None` of others, and where nobody knows the id.
    #[must_use]
    pub fn shifted(&self, zone: &Zone) -> Option<&Arc<str>> {
        let known = || self.zones.iter().find(|known| known.name == zone.name)?.id.as_ref();
        zone.id.as_ref().or_else(known).and_then(|id| self.shifted.get(id))
    }

    #[must_use]
    pub fn reservations(&self) -> Option<&Reservations> {
        self.reservations.as_ref()
    }

    /// The same market with other spot prices, never above on-demand: what becomes of the price and the mean of each type and zone. Only zones of
    /// the market have spot offerings from then on.
    #[must_use]
    pub fn with_changed_spot_prices(&self, change: impl Fn(&str, &str, MicroUsd) -> MicroUsd) -> Self {
        let mut changed = SpotPrices::default();
        for kind in self.facts().types() {
            for zone in &self.zones {
                if let SpotQuote::Price(SpotPrice { price, mean }) = self.spot(kind, &zone.name) {
                    let most = self.on_demand(kind).unwrap_or(MicroUsd::MOST_AN_HOUR);
                    let change = |price| change(&kind.name, &zone.name, price).min(most);
                    let price = SpotPrice { price: change(price), mean: mean.map(change) };
                    changed.set(&kind.name, &zone.name, price);
                }
            }
        }
        Self { spot: Some(changed), ..self.clone() }
    }

    /// The spot price of a type in a zone, recorded or what stands in for it.
    #[must_use]
    pub fn spot_price(&self, instance_type: &str, zone: &str) -> Option<MicroUsd> {
        match self.spot(self.facts().get(instance_type)?, zone) {
            SpotQuote::Price(SpotPrice { price, .. }) => Some(price),
            SpotQuote::Unpriced | SpotQuote::NotOffered => None,
        }
    }

    /// Keeps only the named zones; zones that the region does not have are added as they are.
    #[must_use]
    pub fn with_zones(self, names: &[String]) -> Self {
        let zones = names.iter().map(|name| Zone { name: Arc::from(name.as_str()), id: None }).collect();
        Self { zones, ..self }
    }

    /// The on-demand price, if the type has one.
    #[must_use]
    pub fn on_demand(&self, ec2_type: &Ec2Type) -> Option<MicroUsd> {
        match &self.account.on_demand {
            Some(known) => known.get(&ec2_type.name).copied(),
            // described types bring no prices
            None => ec2_type.price(self.prices).or_else(|| Ec2Facts::bundled().get(&ec2_type.name)?.price(self.prices)),
        }
    }

    pub(super) fn spot(&self, ec2_type: &Ec2Type, zone: &str) -> SpotQuote {
        match &self.spot {
            Some(recorded) => match recorded.get(&ec2_type.name, zone) {
                Some(price) => SpotQuote::Price(price),
                None if self.account.is_asked => SpotQuote::Unpriced,
                None => SpotQuote::NotOffered,
            },
            None => match self.on_demand(ec2_type) {
                Some(on_demand) => {
                    let is_estimated = !self.account.is_asked;
                    let price = if is_estimated { spot::estimate(on_demand, &ec2_type.name, zone) } else { on_demand };
                    SpotQuote::Price(SpotPrice { price, mean: None })
                }
                None => SpotQuote::Unpriced,
            },
        }
    }
}

/// What is known of a spot offering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpotQuote {
    Price(SpotPrice),
    /// It may exist, but nobody knows its price.
    Unpriced,
    /// The recorded prices leave it out.
    NotOffered,
}

/// Whether prices are in yuan.
#[must_use]
pub fn is_in_china(region: &str) -> bool {
    region.starts_with("cn-")
}

/// Three or more parts such as `us-gov-west-1`: letters, then a number.
fn is_region_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let Some((number, words)) = parts.split_last() else { return false };
    words.len() >= 2 && words.iter().all(is_word) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assumptions_are_said() {
        let (market, notes) = Market::offline("us-east-1").unwrap();
        assert_eq!(market.zones.len(), 6);
        assert!(!notes.iter().any(|note| note.contains("us-east-1 prices")), "{notes:?}");

        let (market, notes) = Market::offline("xx-nowhere-9").unwrap();
        assert_eq!(
            market.zones.iter().map(|z| z.name.to_string()).collect::<Vec<_>>().join(" "),
            "xx-nowhere-9a xx-nowhere-9b xx-nowhere-9c"
        );
        assert!(notes.iter().any(|note| note.contains("not in the zone table")), "{notes:?}");
        assert!(notes.iter().any(|note| note.contains("us-east-1 prices")), "{notes:?}");
    }

    #[test]
    fn prices_of_china_are_in_its_currency() {
        let price = |region: &str| {
            let (market, notes) = Market::offline(region).unwrap();
            let is_told = notes.iter().any(|note| note.contains("are in CNY"));
            (market.on_demand(market.facts().get("m5.large").unwrap()), is_told)
        };
        assert_eq!(price("us-east-1"), (Some(MicroUsd(96_000)), false));
        assert_eq!(price("cn-north-1"), price("cn-northwest-1"));
        let (yuan, is_told) = price("cn-north-1");
        assert!(yuan > Some(MicroUsd(600_000)) && is_told, "{yuan:?}");
    }

    #[test]
    fn other_words_are_refused() {
        assert!(matches!(Market::offline("us-east-1a"), Err(MarketError::Region { .. })));
        assert!(matches!(Market::offline("Ohio"), Err(MarketError::Region { .. })));
    }
}
