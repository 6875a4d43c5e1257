//! What an account says of its region, in the place of what is bundled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Market;
use crate::catalog::ec2::Ec2Facts;
use crate::catalog::node_class::Zone;
use crate::units::MicroUsd;

/// On-demand prices an hour, by type.
pub type OnDemandPrices = BTreeMap<Arc<str>, MicroUsd>;

/// The zones in which each type is offered, both by name.
pub type Offered = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// What has been asked so far; `None`: what is bundled counts.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its types.
    pub facts: Option<Arc<Ec2Facts>>,
    /// The zones in which each type is offered.
    pub offered: Option<Arc<Offered>>,
    /// With their ids.
    pub zones: Option<Vec<Zone>>,
    pub on_demand: Option<Arc<OnDemandPrices>>,
    /// There is one: until it has said what spot costs, that is what on-demand does, as in the reference.
    pub is_asked: bool,
    /// Its first answers are waited for: nothing is to be bought before they are there.
    pub is_awaited: bool,
}

impl Account {
    /// One that has not said anything yet.
    #[must_use]
    pub fn awaited() -> Self {
        Self { is_asked: true, is_awaited: true, ..Self::default() }
    }
}

impl Market {
    /// The same market with what an account says. A type that is not offered in a zone has no offering there, and one without a price
    /// cannot be bought.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        let zones = account.zones.clone().unwrap_or(self.zones);
        Self { zones, account, ..self }
    }

    /// Whether nothing is to be bought before the account has answered.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.account.is_awaited
    }

    /// The types that can be bought.
    #[must_use]
    pub fn facts(&self) -> &Ec2Facts {
        self.account.facts.as_deref().unwrap_or_else(|| Ec2Facts::bundled())
    }

    /// Whether a type is there in a zone.
    pub(in crate::catalog) fn is_offered(&self, instance_type: &str, zone: &str) -> bool {
        let offered = self.account.offered.as_ref();
        offered.is_none_or(|offered| offered.get(instance_type).is_some_and(|zones| zones.contains(zone)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ec2::instance_types;
    use crate::catalog::market::{SpotPrice, SpotPrices};
    use crate::catalog::{CapacityType, NodeClassFacts};
    use crate::settings::Settings;

    #[test]
    fn what_the_account_says_counts() {
        let (market, _) = Market::offline("us-east-1").unwrap();
        let zone = |name: &str, id: &str| Zone { name: Arc::from(name), id: Some(Arc::from(id)) };
        let here = BTreeSet::from([Arc::from("us-east-1b")]);
        let offered = BTreeMap::from([(Arc::from("m5.large"), here.clone()), (Arc::from("c5.large"), here)]);
        let market = market.with_account(Account {
            facts: None,
            offered: Some(Arc::new(offered)),
            zones: Some(vec![zone("us-east-1a", "use1-az1"), zone("us-east-1b", "use1-az2")]),
            on_demand: Some(Arc::new(BTreeMap::from([(Arc::from("m5.large"), MicroUsd(77_000))]))),
            ..Account::awaited()
        });
        let types = instance_types(market.facts(), &NodeClassFacts::default(), &market, &Settings::default());
        let offerings = |name: &str, capacity_type: CapacityType| {
            let kind = types.iter().find(|kind| *kind.name == *name).unwrap();
            let of = |of: &&crate::catalog::Offering| of.capacity_type == capacity_type;
            let shown = kind.offerings.iter().filter(of).map(|of| (of.zone.to_string(), of.price.0, of.available));
            shown.collect::<Vec<_>>()
        };
        for capacity_type in [CapacityType::OnDemand, CapacityType::Spot] {
            // nobody has said what spot costs: as much as on-demand, and never an estimate
            assert_eq!(offerings("m5.large", capacity_type), [("us-east-1b".to_owned(), 77_000, true)]);
            assert_eq!(offerings("c5.large", capacity_type), [("us-east-1b".to_owned(), 0, false)], "it has no price");
            assert!(offerings("m5.xlarge", capacity_type).is_empty());
        }
        let large = types.iter().find(|kind| &*kind.name == "m5.large").unwrap();
        let spot = large.offerings.iter().find(|of| of.capacity_type == CapacityType::Spot).unwrap();
        assert!(spot.lacks_history(), "nothing is consolidated for such a price");
        let mut told = SpotPrices::default();
        told.set(&"c5.large".into(), &"us-east-1b".into(), SpotPrice { price: MicroUsd(30_000), mean: None });
        let known = market.with_spot_prices(told);
        let types = instance_types(known.facts(), &NodeClassFacts::default(), &known, &Settings::default());
        let spot = |name: &str| {
            let kind = types.iter().find(|kind| *kind.name == *name).unwrap();
            let mut spot = kind.offerings.iter().filter(|of| of.capacity_type == CapacityType::Spot);
            spot.next().map(|of| (of.available, of.known_price()))
        };
        assert_eq!(spot("c5.large"), Some((true, Some(MicroUsd(30_000)))));
        assert_eq!(
            spot("m5.large"),
            Some((false, None)),
            "it is told no more: it is sold there, and cannot be bought now"
        );
        assert_eq!(spot("m5.xlarge"), None, "it is not sold there");
    }

    #[test]
    fn nothing_can_be_had_in_a_zone_that_is_shifted_away_from() {
        let (market, _) = Market::offline("us-east-1").unwrap();
        let zone = |name: &str, id: Option<&str>| Zone { name: Arc::from(name), id: id.map(Arc::from) };
        let account = Account { zones: Some(vec![zone("us-east-1a", Some("use1-az6"))]), ..Account::default() };
        let market =
            market.with_account(account).with_shifted_zones(BTreeSet::from(["use1-az6".into(), "use1-az1".into()]));
        // the account has told the id of the first zone, and the class that of the second
        let zones = vec![zone("us-east-1a", None), zone("us-east-1b", Some("use1-az1")), zone("us-east-1c", None)];
        let class = NodeClassFacts { zones: Some(zones), ..NodeClassFacts::default() };
        let types = instance_types(market.facts(), &class, &market, &Settings::default());
        let large = types.iter().find(|kind| &*kind.name == "m5.large").unwrap();
        let open: BTreeSet<&str> = large.offerings.iter().filter(|of| of.available).map(|of| &*of.zone).collect();
        assert_eq!(open, BTreeSet::from(["us-east-1c"]));
        assert_eq!(large.offerings.len(), 6, "they are known all the same");
    }
}
