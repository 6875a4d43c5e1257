//! Why a node is of its type.

use serde::Serialize;

use super::nodes::Bar;
use super::numbers::{counted, usd};
use crate::explain::facts::Claim;

/// Reasons of one kind that are listed.
const MOST: usize = 4;

/// In sentences.
#[derive(Debug, Serialize)]
pub struct Why {
    pub sentences: Vec<String>,
    /// What else would hold the pods: what it is, and what it costs more.
    pub alternatives: Vec<(String, String)>,
}

impl Why {
    /// `bars`: of the node.
    pub fn of(claim: &Claim, bars: &[Bar]) -> Self {
        let mut sentences = Vec::new();
        let fullest = bars.iter().max_by(|a, b| a.percent.total_cmp(&b.percent));
        sentences.extend(fullest.map(|bar| format!("It is full by {}: {:.0} %.", bar.resource, bar.percent)));
        match claim.cheaper_offerings {
            0 => sentences.push("Nothing cheaper is sold by these NodePools.".to_owned()),
            number => {
                let verb = if number == 1 { "does" } else { "do" };
                sentences.push(format!("{} cost less and {verb} not do:", counted(number, "offering")));
            }
        }
        for of in claim.ruled_out.iter().take(MOST) {
            let closest = &of.closest;
            let lacks = closest.lacks.as_deref().map_or_else(String::new, |lacks| format!(", {lacks}"));
            let (number, what) = (of.offerings, &of.what);
            sentences.push(format!(
                "{number} {what} (closest: {} at {}{lacks})",
                closest.instance_type,
                usd(closest.price_usd_hour)
            ));
        }
        let rest: usize = claim.ruled_out.iter().skip(MOST).map(|of| of.offerings).sum();
        if rest > 0 {
            sentences.push(format!("{rest} for other reasons"));
        }
        let alternatives = claim.alternatives.iter().map(|of| {
            let sign = if of.extra_usd_hour < 0.0 { "-" } else { "+" };
            (format!("{} {}", of.instance_type, of.capacity_type), format!("{sign}{}", usd(of.extra_usd_hour.abs())))
        });
        let mut alternatives: Vec<(String, String)> = alternatives.collect();
        alternatives.dedup_by(|a, b| a.0 == b.0);
        Self { sentences, alternatives }
    }
}
