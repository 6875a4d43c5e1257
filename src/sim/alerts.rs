//! When alerts of the chart about too many nodes and too much money would have fired.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::report::{Sample, as_usd};
use crate::units::MicroUsd;

/// For so long it has to be so, as the chart's rules have it.
const FOR: Duration = Duration::from_secs(5 * 60);

/// Alerts of the chart.
pub const MANY_NODES: &str = "PackwrightManyNodes";
pub const EXPENSIVE: &str = "PackwrightExpensive";

/// Thresholds, of alerts that are on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alerts {
    /// Of `PackwrightManyNodes`.
    pub nodes: Option<usize>,
    /// Of `PackwrightExpensive`.
    pub usd_hour: Option<MicroUsd>,
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fired {
    pub alert: &'static str,
    pub at: Timestamp,
    /// Then.
    pub nodes: usize,
    /// Then.
    #[serde(serialize_with = "as_usd")]
    pub usd_hour: MicroUsd,
}

impl Fired {
    /// When whom would have been told.
    #[must_use]
    pub fn said(&self, start: Timestamp) -> String {
        let minutes = self.at.duration_since(start).as_secs() / 60;
        let after = match minutes {
            0..120 => format!("{minutes} min"),
            _ => format!("{} h {} min", minutes / 60, minutes % 60),
        };
        let when = self.at.strftime("%A %H:%M");
        format!("{} fires after {after}, {when}: {} nodes, {}/h", self.alert, self.nodes, self.usd_hour)
    }
}

impl Alerts {
    /// The first time of each that fired.
    #[must_use]
    pub fn fired(&self, samples: &[Sample]) -> Vec<Fired> {
        let many = self.nodes.and_then(|most| first(samples, MANY_NODES, &|of| of.nodes > most));
        let dear = self.usd_hour.and_then(|most| first(samples, EXPENSIVE, &|of| of.usd_hour > most));
        let mut fired: Vec<Fired> = many.into_iter().chain(dear).collect();
        fired.sort_by_key(|fired| fired.at);
        fired
    }
}

fn first(samples: &[Sample], alert: &'static str, is_above: &dyn Fn(&Sample) -> bool) -> Option<Fired> {
    let mut since: Option<Timestamp> = None;
    for sample in samples {
        since = is_above(sample).then(|| since.unwrap_or(sample.at));
        let held = since.map(|since| sample.at.duration_since(since).unsigned_abs());
        if held.is_some_and(|held| held >= FOR) {
            return Some(Fired { alert, at: sample.at, nodes: sample.nodes, usd_hour: sample.usd_hour });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fires_once_it_has_been_so_for_five_minutes() {
        let sample = |minute: i64, nodes: usize| Sample {
            at: Timestamp::from_second(60 * minute).unwrap(),
            nodes,
            pending: 0,
            usd_hour: MicroUsd(1_000_000),
        };
        let counts = [1, 9, 9, 9, 9, 3, 9, 9, 9, 9, 9, 9, 9];
        let samples: Vec<Sample> = counts.into_iter().zip(0..).map(|(nodes, minute)| sample(minute, nodes)).collect();
        let alerts = Alerts { nodes: Some(8), usd_hour: Some(MicroUsd(1_000_000)) };
        let fired = alerts.fired(&samples);
        assert_eq!(fired.len(), 1, "as much as the threshold is not more: {fired:?}");
        assert_eq!((fired[0].alert, fired[0].at), ("PackwrightManyNodes", samples[11].at));
        assert_eq!(Alerts::default().fired(&samples), []);
    }
}
