//! What chance decides: a generator for each purpose, so that what one asks for changes nothing for the others. When pods come and
//! when something goes wrong is the same whatever the controller does.
//!
//! Only sums, products and quotients of floats are used: they are the same on every platform, as `ln` and `cos` of a platform's
//! library need not be.

use std::collections::HashMap;
use std::f64::consts::{LN_2, PI};
use std::time::Duration;

use super::faults::Fault;
use crate::random::SplitMix64;

/// What something is decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// When the pods of a workload come, and how long they run.
    Workload(usize),
    /// When a fault comes, and whom it hits.
    Fault(Fault),
    /// How an instance turns out: the first one that is launched, the second one, and so on.
    Instances,
    /// What becomes of requests to the cloud, and of writes.
    Requests,
    Writes,
    /// How long watches and answers take.
    Watches,
    Answers,
    /// How long pods take to end.
    Stops,
    /// Which of equal nodes kube-scheduler takes.
    Ties,
    /// When processes notice what happened.
    Processes,
}

impl Purpose {
    fn code(self) -> u64 {
        match self {
            Self::Instances => 1,
            Self::Requests => 2,
            Self::Writes => 3,
            Self::Watches => 4,
            Self::Answers => 5,
            Self::Stops => 6,
            Self::Ties => 7,
            Self::Processes => 8,
            Self::Fault(fault) => 100 + fault as u64,
            Self::Workload(index) => 10_000 + index as u64,
        }
    }
}

/// Where chance begins, and how often each purpose has asked.
#[derive(Debug)]
pub(super) struct Chance {
    seed: u64,
    asked: HashMap<Purpose, u64>,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { seed, asked: HashMap::new() }
    }

    /// The numbers of the next event of a purpose.
    pub fn draw(&mut self, purpose: Purpose) -> Draw {
        let asked = self.asked.entry(purpose).or_default();
        *asked += 1;
        Draw::of([self.seed, purpose.code(), *asked])
    }
}

/// The numbers of one event.
#[derive(Debug, Clone)]
pub(super) struct Draw(SplitMix64);

impl Draw {
    /// Numbers that depend on these alone.
    pub fn of<const N: usize>(parts: [u64; N]) -> Self {
        let mixed = parts.into_iter().fold(0, |mixed, part| SplitMix64(mixed ^ part).next());
        Self(SplitMix64(mixed))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// Both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    /// Whether something of this chance happens.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.fraction() < chance
    }

    pub fn one_of<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let index = usize::try_from(self.next() % (items.len().max(1) as u64)).unwrap_or(0);
        items.get(index).cloned()
    }

    /// From 0 up to, not including, 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits are kept
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A time with this mean: what happens by chance, again and again. At most ten times as long.
    pub fn span(&mut self, mean: Duration) -> Duration {
        mean.mul_f64((-ln(1.0 - self.fraction())).clamp(0.001, 10.0))
    }
}

/// The natural logarithm of a positive number, by the series of the inverse hyperbolic tangent.
fn ln(of: f64) -> f64 {
    let (mut of, mut halvings) = (of, 0.0);
    while of < 0.75 {
        of *= 2.0;
        halvings += 1.0;
    }
    let part = (of - 1.0) / (of + 1.0);
    let (mut term, mut sum, mut odd) = (part, 0.0, 1.0);
    for _ in 0..20 {
        sum += term / odd;
        term *= part * part;
        odd += 2.0;
    }
    2.0 * sum - halvings * LN_2
}

/// The cosine of a part of a whole turn, by its series.
pub(super) fn cosine(turns: f64) -> f64 {
    let angle = (turns - turns.floor() - 0.5) * 2.0 * PI; // from -pi to pi: half a turn off
    let (mut term, mut sum, mut even) = (1.0, 1.0, 0.0);
    for _ in 0..15 {
        term *= -angle * angle / ((even + 1.0) * (even + 2.0));
        even += 2.0;
        sum += term;
    }
    -sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_those_of_the_library_to_nine_digits() {
        for number in 1..=1_000 {
            let fraction = f64::from(number) / 1_000.0;
            assert!((ln(fraction) - fraction.ln()).abs() < 1e-9, "{fraction}");
            let turns = fraction * 4.0 - 2.0;
            assert!((cosine(turns) - (turns * std::f64::consts::TAU).cos()).abs() < 1e-9, "{turns}");
        }
    }

    #[test]
    fn what_one_purpose_asks_for_changes_nothing_for_another() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        other.draw(Purpose::Writes);
        other.draw(Purpose::Workload(0)).next();
        let first = one.draw(Purpose::Workload(1)).next();
        assert_eq!(other.draw(Purpose::Workload(1)).next(), first);
        assert_ne!(one.draw(Purpose::Workload(1)).next(), first, "another event");
        assert_ne!(Chance::new(8).draw(Purpose::Workload(1)).next(), first, "another seed");
    }

    #[test]
    fn spans_have_their_mean() {
        let mut chance = Chance::new(1);
        let mean = Duration::from_secs(100);
        let sum: f64 = (0..10_000).map(|_| chance.draw(Purpose::Writes).span(mean).as_secs_f64()).sum();
        assert!((sum / 10_000.0 - 100.0).abs() < 4.0, "{sum}"); // four standard errors
    }
}
