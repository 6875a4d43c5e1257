//! Spot prices: from the history that `aws ec2 describe-spot-price-history` prints, or an estimate without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::history::SpotHistory;
use crate::units::MicroUsd;
use crate::units::quantity::Quantity;

/// The newest recorded price of each type and zone, and what it was on average.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpotPrices {
    /// By type, then zone.
    prices: BTreeMap<Arc<str>, BTreeMap<Arc<str>, SpotPrice>>,
    /// Entries that could not be read, and entries of other products (Windows, SUSE, RHEL).
    pub malformed: usize,
    pub other_products: usize,
    /// Prices of zones in other regions.
    pub other_regions: usize,
}

/// What a type costs in a zone, micro-dollars an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpotPrice {
    /// Now.
    pub price: MicroUsd,
    /// The time-weighted mean over 24 hours; `None` where nobody knows what it was before.
    pub mean: Option<MicroUsd>,
}

/// Why a file gives no prices; each says what was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpotFileError {
    #[error("not JSON (line {line}, column {column}): expected the JSON of 'aws ec2 describe-spot-price-history'")]
    Json { line: usize, column: usize },
    #[error(
        "no spot price history: expected the JSON of 'aws ec2 describe-spot-price-history', an object with the list \
         SpotPriceHistory"
    )]
    Shape,
    #[error("no prices: expected at least one entry in SpotPriceHistory, found none")]
    Empty,
    #[error(
        "no prices for Linux: expected entries with ProductDescription Linux/UNIX, found {other_products} of other \
         products and {malformed} that cannot be read"
    )]
    NothingUsable { other_products: usize, malformed: usize },
    #[error("no prices of {region}: expected availability zones of that region, found {found}")]
    Region { region: String, found: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    availability_zone: String,
    instance_type: String,
    product_description: String,
    spot_price: String,
    timestamp: Timestamp,
}

/// The products whose prices are those of Linux.
pub const LINUX: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

impl SpotPrices {
    /// Reads the JSON of `aws ec2 describe-spot-price-history`. Of several entries for a type and zone the newest counts,
    /// of several with the same time the dearest. Means are up to the newest of all. Entries that cannot be read are counted, not fatal.
    ///
    /// # Errors
    /// The text is not JSON, has no list of entries, or none of them is a price of Linux.
    pub fn parse(text: &str) -> Result<Self, SpotFileError> {
        let mut document: Value = serde_json::from_str(text)
            .map_err(|error| SpotFileError::Json { line: error.line(), column: error.column() })?;
        let list = match &mut document {
            Value::Object(fields) => fields.get_mut("SpotPriceHistory").map(Value::take),
            Value::Array(_) => Some(document.take()),
            _ => None,
        };
        let Some(Value::Array(entries)) = list else { return Err(SpotFileError::Shape) };
        if entries.is_empty() {
            return Err(SpotFileError::Empty);
        }
        let mut history = SpotHistory::default();
        let (mut malformed, mut other_products) = (0, 0);
        for entry in entries {
            let Ok(entry) = serde_json::from_value::<Entry>(entry) else {
                malformed += 1;
                continue;
            };
            match read_price(&entry.spot_price) {
                _ if !LINUX.contains(&entry.product_description.as_str()) => other_products += 1,
                Some(price) => history.note(&entry.instance_type, &entry.availability_zone, entry.timestamp, price),
                None => malformed += 1,
            }
        }
        let Some(newest) = history.newest() else {
            return Err(SpotFileError::NothingUsable { other_products, malformed });
        };
        Ok(Self { malformed, other_products, ..history.prices(newest) })
    }

    /// Drops the prices of other regions.
    ///
    /// # Errors
    /// No price is left.
    pub fn of_region(mut self, region: &str) -> Result<Self, SpotFileError> {
        // us-east-1a, and the local zone us-east-1-bos-1a
        let is_here =
            |zone: &str| zone.strip_prefix(region).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        let zones: BTreeSet<Arc<str>> = self.prices.values().flat_map(BTreeMap::keys).cloned().collect();
        for zones in self.prices.values_mut() {
            let before = zones.len();
            zones.retain(|zone, _| is_here(zone));
            self.other_regions += before - zones.len();
        }
        self.prices.retain(|_, zones| !zones.is_empty());
        if self.is_empty() {
            const MOST: usize = 3;
            let names: Vec<&str> = zones.iter().take(MOST).map(AsRef::as_ref).collect();
            let more = if zones.len() > MOST { " and others" } else { "" };
            return Err(SpotFileError::Region {
                region: region.to_owned(),
                found: format!("{}{more}", names.join(", ")),
            });
        }
        Ok(self)
    }

    pub(super) fn set(&mut self, instance_type: &Arc<str>, zone: &Arc<str>, price: SpotPrice) {
        self.prices.entry(instance_type.clone()).or_default().insert(zone.clone(), price);
    }

    #[must_use]
    pub fn get(&self, instance_type: &str, zone: &str) -> Option<SpotPrice> {
        self.prices.get(instance_type)?.get(zone).copied()
    }

    /// The number of (type, zone) pairs that have a price.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prices.values().map(BTreeMap::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty()
    }

    /// What the reader should know about the file, one sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes =
            vec![format!("spot prices of {} type and zone pairs; the rest have no spot offering", self.len())];
        let unknown = self.prices.values().flat_map(BTreeMap::values).filter(|known| known.mean.is_none()).count();
        if unknown > 0 {
            notes.push(format!("of {unknown} of them the last 24 hours are not known: their mean is the price of now"));
        }
        if self.malformed > 0 {
            notes.push(format!("{} spot price entries could not be read and were skipped", self.malformed));
        }
        if self.other_products > 0 {
            notes.push(format!("{} spot price entries of other products than Linux were skipped", self.other_products));
        }
        if self.other_regions > 0 {
            notes.push(format!("{} spot prices of other regions were skipped", self.other_regions));
        }
        notes
    }
}

/// Dollars an hour as EC2 writes them; `None` where it is no price.
#[must_use]
pub fn read_price(text: &str) -> Option<MicroUsd> {
    let price = MicroUsd(text.parse::<Quantity>().ok()?.micro_value());
    (MicroUsd(1)..=MicroUsd::MOST_AN_HOUR).contains(&price).then_some(price)
}

/// The estimate without recorded prices: on-demand x (0.30 + 0.45 h), h in [0, 1) from a fixed hash of type and zone.
/// Prices spread over zones and types as real ones do, and stay the same from run to run.
pub(super) fn estimate(on_demand: MicroUsd, instance_type: &str, zone: &str) -> MicroUsd {
    let hash = i128::from(hash32(instance_type, zone));
    let share_millionths = 300_000 + ((450_000 * hash) >> 32);
    MicroUsd(i64::try_from(i128::from(on_demand.0) * share_millionths / 1_000_000).unwrap_or(i64::MAX))
}

/// FNV-1a over `type NUL zone`, mixed so that neighbouring names do not give neighbouring values; the upper half counts.
fn hash32(instance_type: &str, zone: &str) -> u32 {
    let bytes = instance_type.bytes().chain([0]).chain(zone.bytes());
    let fnv =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // the finaliser of MurmurHash3
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from((mixed ^ (mixed >> 33)) >> 32).expect("the upper half of 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = r#"{"SpotPriceHistory": [
        {"AvailabilityZone": "us-east-1a", "InstanceType": "m5.large", "ProductDescription": "Linux/UNIX", "SpotPrice": "0.0400", "Timestamp": "2026-01-02T00:00:00+00:00"},
        {"AvailabilityZone": "us-east-1a", "InstanceType": "m5.large", "ProductDescription": "Linux/UNIX (Amazon VPC)", "SpotPrice": "0.0300", "Timestamp": "2026-01-01T23:00:00Z"},
        {"AvailabilityZone": "us-east-1a", "InstanceType": "m5.large", "ProductDescription": "Windows", "SpotPrice": "0.1", "Timestamp": "2026-01-03T00:00:00Z"},
        {"AvailabilityZone": "us-east-1b", "InstanceType": "m5.large", "ProductDescription": "Linux/UNIX", "SpotPrice": "free", "Timestamp": "2026-01-03T00:00:00Z"},
        {"InstanceType": "m5.large"}
    ]}"#;

    fn price(prices: &SpotPrices, zone: &str) -> Option<MicroUsd> {
        prices.get("m5.large", zone).map(|known| known.price)
    }

    #[test]
    fn a_file_with_a_history_has_means() {
        let prices = SpotPrices::parse(HISTORY).unwrap();
        let mean = prices.get("m5.large", "us-east-1a").unwrap().mean;
        assert_eq!(mean, Some(MicroUsd(30_000)), "for the hour before the newest price it was this one");
        assert!(!prices.notes().iter().any(|note| note.contains("24 hours")), "{:?}", prices.notes());
        let one = HISTORY.replacen("Linux/UNIX", "SUSE Linux", 1);
        let prices = SpotPrices::parse(&one).unwrap();
        assert_eq!(prices.get("m5.large", "us-east-1a").unwrap().mean, None);
        assert!(
            prices.notes().iter().any(|note| note.contains("of 1 of them the last 24 hours")),
            "{:?}",
            prices.notes()
        );
    }

    #[test]
    fn the_newest_linux_price_counts_and_bad_entries_are_counted() {
        let prices = SpotPrices::parse(HISTORY).unwrap();
        assert_eq!(price(&prices, "us-east-1a"), Some(MicroUsd(40_000)));
        assert_eq!(price(&prices, "us-east-1b"), None);
        assert_eq!((prices.len(), prices.malformed, prices.other_products), (1, 2, 1));
    }

    #[test]
    fn other_documents_are_refused() {
        assert_eq!(SpotPrices::parse("{}"), Err(SpotFileError::Shape));
        assert_eq!(SpotPrices::parse("3"), Err(SpotFileError::Shape));
        assert_eq!(SpotPrices::parse("{\n spot"), Err(SpotFileError::Json { line: 2, column: 2 }));
        assert_eq!(SpotPrices::parse(r#"{"SpotPriceHistory": []}"#), Err(SpotFileError::Empty));
        assert_eq!(
            SpotPrices::parse(&HISTORY.replace("Linux", "Lunix")),
            Err(SpotFileError::NothingUsable { other_products: 4, malformed: 1 })
        );
    }

    #[test]
    fn only_prices_of_the_region_count() {
        let history = HISTORY.replacen("us-east-1a", "us-east-10a", 1);
        let prices = SpotPrices::parse(&history).unwrap().of_region("us-east-1").unwrap();
        assert_eq!(price(&prices, "us-east-1a"), Some(MicroUsd(30_000)));
        assert_eq!((prices.len(), prices.other_regions), (1, 1));
        let refused = SpotPrices::parse(HISTORY).unwrap().of_region("us-west-2").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no prices of us-west-2: expected availability zones of that region, found us-east-1a"
        );
    }

    #[test]
    fn estimates_are_fixed_and_between_30_and_75_percent() {
        let dollar = MicroUsd(1_000_000);
        // pinned: a change of the hash changes every plan
        assert_eq!(estimate(dollar, "m5.large", "us-east-1a"), MicroUsd(378_091));
        let prices: Vec<i64> = (0..1_000).map(|n| estimate(dollar, &format!("t{n}.large"), "us-east-1a").0).collect();
        assert!(prices.iter().all(|p| (300_000..750_000).contains(p)));
        let mean = prices.iter().sum::<i64>() / 1_000;
        assert!((510_000..540_000).contains(&mean), "{mean}"); // 0.525 +- 4 standard errors
    }
}
