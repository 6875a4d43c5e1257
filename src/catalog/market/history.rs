//! What spot prices were in the last 24 hours, and their means over that time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::spot::{SpotPrice, SpotPrices};
use crate::units::MicroUsd;

/// A mean is over so long.
pub const MEAN_OVER: SignedDuration = SignedDuration::from_hours(24);

/// The prices of a type in a zone, each from its time on.
type Steps = BTreeMap<Timestamp, MicroUsd>;

/// Prices by type, zone and the time from which they held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpotHistory(BTreeMap<Arc<str>, BTreeMap<Arc<str>, Steps>>);

impl SpotHistory {
    /// From a time on a type costs so much in a zone, micro-dollars an hour. Of several prices of one time the dearest counts.
    pub fn note(&mut self, instance_type: &str, zone: &str, at: Timestamp, price: MicroUsd) {
        let zones = self.0.entry(Arc::from(instance_type)).or_default();
        let known = zones.entry(Arc::from(zone)).or_default().entry(at).or_insert(price);
        *known = price.max(*known);
    }

    /// When the newest price began.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        let each = self.0.values().flat_map(BTreeMap::values);
        each.filter_map(|steps| steps.last_key_value().map(|(at, _)| *at)).max()
    }

    /// Forgets what no mean up to this time or a later one needs.
    pub fn forget_before(&mut self, until: Timestamp) {
        let start = until - MEAN_OVER;
        for steps in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(held) = steps.range(..=start).next_back().map(|(at, _)| *at) {
                steps.retain(|at, _| *at >= held);
            }
        }
    }

    /// The newest price of each type and zone, and the mean up to this time.
    #[must_use]
    pub fn prices(&self, until: Timestamp) -> SpotPrices {
        let of_zone = |steps: &Steps| {
            let (_, price) = steps.last_key_value()?;
            Some(SpotPrice { price: *price, mean: mean(steps, until) })
        };
        let mut prices = SpotPrices::default();
        for (instance_type, zones) in &self.0 {
            for (zone, steps) in zones {
                if let Some(price) = of_zone(steps) {
                    prices.set(instance_type, zone, price);
                }
            }
        }
        prices
    }
}

/// What was paid on average in the 24 hours up to a time: each price weighs as much as the time for which it held. Where less is known
/// the mean is of that. `None` where one price is known, and not for so long.
fn mean(steps: &Steps, until: Timestamp) -> Option<MicroUsd> {
    let start = until - MEAN_OVER;
    if steps.len() == 1 && steps.keys().all(|at| *at > start) {
        return None;
    }
    let ends = steps.keys().skip(1).copied().chain([until]);
    let (mut paid, mut seconds) = (0_i128, 0_i128);
    for ((from, price), to) in steps.iter().zip(ends) {
        let held = to.min(until).duration_since((*from).max(start)).as_secs();
        let held = i128::from(held.max(0));
        paid += i128::from(price.0) * held;
        seconds += held;
    }
    let whole = (paid + seconds / 2).checked_div(seconds)?;
    i64::try_from(whole).ok().map(MicroUsd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn history(steps: &[(&str, i64)]) -> SpotHistory {
        let mut history = SpotHistory::default();
        for (from, price) in steps {
            history.note("m5.large", "a", at(from), MicroUsd(*price));
        }
        history
    }

    fn price(history: &SpotHistory, until: &str) -> (i64, Option<i64>) {
        let found = history.prices(at(until)).get("m5.large", "a").unwrap();
        (found.price.0, found.mean.map(|mean| mean.0))
    }

    #[test]
    fn a_price_weighs_as_much_as_the_time_for_which_it_held() {
        // 6 hours of 40, 12 of 100, 6 of 20; the first began before the day did
        let steps = [("2025-12-30T00:00:00Z", 40), ("2026-01-01T06:00:00Z", 100), ("2026-01-01T18:00:00Z", 20)];
        let history = history(&steps);
        assert_eq!(price(&history, "2026-01-02T00:00:00Z"), (20, Some((6 * 40 + 12 * 100 + 6 * 20) / 24)));
        assert_eq!(price(&history, "2026-01-03T00:00:00Z"), (20, Some(20)), "it has held for more than a day");
    }

    #[test]
    fn what_is_known_of_a_day_is_its_mean() {
        let history = history(&[("2026-01-01T20:00:00Z", 40), ("2026-01-01T23:00:00Z", 80)]);
        assert_eq!(price(&history, "2026-01-02T00:00:00Z"), (80, Some(50)), "3 hours of 40, one of 80");
        let one = super::tests::history(&[("2026-01-01T20:00:00Z", 40)]);
        assert_eq!(price(&one, "2026-01-02T00:00:00Z"), (40, None), "nobody knows what it was before");
        assert_eq!(price(&one, "2026-01-02T20:00:00Z"), (40, Some(40)));
    }

    #[test]
    fn what_is_told_again_and_what_is_forgotten_changes_no_mean() {
        let steps = [
            ("2025-12-29T00:00:00Z", 10),
            ("2025-12-30T00:00:00Z", 40),
            ("2026-01-01T06:00:00Z", 100),
            ("2026-01-01T06:00:00Z", 90),
        ];
        let mut history = history(&steps);
        let before = price(&history, "2026-01-02T00:00:00Z");
        history.note("m5.large", "a", at("2026-01-01T06:00:00Z"), MicroUsd(100));
        history.forget_before(at("2026-01-02T00:00:00Z"));
        assert_eq!(price(&history, "2026-01-02T00:00:00Z"), before);
        assert_eq!(history.0["m5.large"]["a"].len(), 2, "the first of all is over since long");
    }
}
