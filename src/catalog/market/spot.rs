//! Spot prices: the history that `aws ec2 describe-spot-price-history` prints, or an estimate without it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::units::MicroUsd;
use crate::units::quantity::Quantity;

/// The newest recorded price of each type and zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpotPrices {
    /// By type, then zone.
    prices: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Observed>>,
    /// Entries that could not be read, and entries of other products (Windows, SUSE, RHEL).
    pub malformed: usize,
    pub other_products: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Observed {
    at: Timestamp,
    price: MicroUsd,
}

#[derive(Debug, thiserror::Error)]
pub enum SpotFileError {
    #[error("failed to read spot prices: not JSON")]
    Json(#[from] serde_json::Error),
    #[error("failed to read spot prices: expected an object with the list SpotPriceHistory, or that list")]
    Shape,
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

const LINUX: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

impl SpotPrices {
    /// Reads the JSON of `aws ec2 describe-spot-price-history`. Of several entries for a type and zone the newest counts,
    /// of several with the same time the dearest. Entries that cannot be read are counted, not fatal.
    ///
    /// # Errors
    /// The text is not JSON, or has no list of entries.
    pub fn parse(text: &str) -> Result<Self, SpotFileError> {
        let mut document: Value = serde_json::from_str(text)?;
        let list = match &mut document {
            Value::Object(fields) => fields.get_mut("SpotPriceHistory").map(Value::take),
            Value::Array(_) => Some(document.take()),
            _ => None,
        };
        let Some(Value::Array(entries)) = list else { return Err(SpotFileError::Shape) };
        let mut prices = Self::default();
        for entry in entries {
            match serde_json::from_value::<Entry>(entry) {
                Ok(entry) if !LINUX.contains(&entry.product_description.as_str()) => prices.other_products += 1,
                Ok(entry) => prices.record(&entry),
                Err(_) => prices.malformed += 1,
            }
        }
        Ok(prices)
    }

    fn record(&mut self, entry: &Entry) {
        let price = entry.spot_price.parse::<Quantity>().ok().filter(|price| price.micro_value() > 0);
        let Some(price) = price else {
            self.malformed += 1;
            return;
        };
        let observed = Observed { at: entry.timestamp, price: MicroUsd(price.micro_value()) };
        self.prices
            .entry(Arc::from(entry.instance_type.as_str()))
            .or_default()
            .entry(Arc::from(entry.availability_zone.as_str()))
            .and_modify(|known| *known = (*known).max(observed))
            .or_insert(observed);
    }

    #[must_use]
    pub fn price(&self, instance_type: &str, zone: &str) -> Option<MicroUsd> {
        self.prices.get(instance_type)?.get(zone).map(|observed| observed.price)
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
        if self.malformed > 0 {
            notes.push(format!("{} spot price entries could not be read and were skipped", self.malformed));
        }
        if self.other_products > 0 {
            notes.push(format!("{} spot price entries of other products than Linux were skipped", self.other_products));
        }
        notes
    }
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

    #[test]
    fn the_newest_linux_price_counts_and_bad_entries_are_counted() {
        let prices = SpotPrices::parse(HISTORY).unwrap();
        assert_eq!(prices.price("m5.large", "us-east-1a"), Some(MicroUsd(40_000)));
        assert_eq!(prices.price("m5.large", "us-east-1b"), None);
        assert_eq!((prices.len(), prices.malformed, prices.other_products), (1, 2, 1));
    }

    #[test]
    fn other_documents_are_refused() {
        assert!(matches!(SpotPrices::parse("{}"), Err(SpotFileError::Shape)));
        assert!(matches!(SpotPrices::parse("spot"), Err(SpotFileError::Json(_))));
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
