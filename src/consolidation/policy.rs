//! What a saving has to be worth.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observe::snapshot::ConsolidationRule;
use crate::units::MicroUsd;

/// How many pods may be evicted by choice in a window of time: those of all commands for drifted and for underutilized nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictionLimit {
    /// Within the window.
    pub most: usize,
    /// So many of them were evicted before.
    pub evicted: usize,
}

impl EvictionLimit {
    /// Whether so many pods of a command may be evicted besides. Those of one node may be where none were: a node that has more of them
    /// than the limit would stay forever.
    #[must_use]
    pub fn allows(self, pods: usize, nodes: usize) -> bool {
        self.evicted.saturating_add(pods) <= self.most || (self.evicted == 0 && nodes == 1)
    }
}

/// When a command is worth it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// A saving counts for so long.
    pub horizon: Duration,
    /// It is at least this part of what the nodes that go cost, in thousandths.
    pub least_permille: u32,
    /// What an eviction costs is multiplied by this, in thousandths; 0: moving pods is free.
    pub eviction_permille: u32,
    /// Each pod that moves has to win so much besides, once: a hurdle, and no cost.
    pub hurdle: MicroUsd,
    /// A new node costs its price for so long before it is of use.
    pub boot: Duration,
    /// A node is left alone until it is so old, unless it is empty.
    pub least_age: Duration,
    /// Nodes are only removed, or one is replaced by one.
    pub one_for_one: bool,
    /// Nodes go because they cost too much; else only those that have to.
    pub saves: bool,
    /// Of each pool what is saved has to be, as a part of what its nodes cost, at least half of what is disturbed, as a part of what
    /// disturbing all of it would be.
    pub balanced: bool,
    /// Of all commands of a plan, whatever pools ask for; `None`: none.
    pub evictions_left: Option<EvictionLimit>,
}

impl Default for Policy {
    /// A day; two percent; evictions at their price; three minutes.
    fn default() -> Self {
        Self {
            horizon: Duration::from_secs(24 * 3_600),
            least_permille: 20,
            eviction_permille: 1_000,
            hurdle: MicroUsd::ZERO,
            boot: Duration::from_secs(180),
            least_age: Duration::ZERO,
            one_for_one: false,
            saves: true,
            balanced: false,
            evictions_left: None,
        }
    }
}

impl Policy {
    /// Three times the saving, and evictions at three times their price; nodes older than an hour, removed or replaced by one.
    #[must_use]
    pub fn calm() -> Self {
        let (least_permille, eviction_permille) = (60, 3_000);
        let (least_age, one_for_one) = (Duration::from_secs(3_600), true);
        Self { least_permille, eviction_permille, least_age, one_for_one, ..Self::default() }
    }

    /// Any saving is worth it, and moving pods is free: how far consolidation can go.
    #[must_use]
    pub fn anything() -> Self {
        Self { least_permille: 0, eviction_permille: 0, boot: Duration::ZERO, ..Self::default() }
    }

    /// The reference's score (karpenter-core 4.5) in place of a least saving.
    #[must_use]
    pub fn balanced() -> Self {
        Self { balanced: true, ..Self::anything() }
    }

    /// As a NodePool asks for it.
    #[must_use]
    pub fn of(rule: ConsolidationRule) -> Self {
        match rule {
            ConsolidationRule::Frugal => Self::default(),
            ConsolidationRule::Calm => Self::calm(),
            ConsolidationRule::Balanced => Self::balanced(),
            ConsolidationRule::Any => Self::anything(),
            ConsolidationRule::Off => Self::off(),
        }
    }

    /// What satisfies both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            horizon: self.horizon.min(other.horizon),
            least_permille: self.least_permille.max(other.least_permille),
            eviction_permille: self.eviction_permille.max(other.eviction_permille),
            hurdle: self.hurdle.max(other.hurdle),
            boot: self.boot.max(other.boot),
            least_age: self.least_age.max(other.least_age),
            one_for_one: self.one_for_one || other.one_for_one,
            saves: self.saves && other.saves,
            balanced: self.balanced || other.balanced,
            evictions_left: self.evictions_left.or(other.evictions_left),
        }
    }

    /// No node goes because something else is cheaper.
    #[must_use]
    pub fn off() -> Self {
        Self { saves: false, ..Self::default() }
    }

    #[must_use]
    pub fn is_off(&self) -> bool {
        !self.saves
    }

    /// What evictions of this price count.
    #[must_use]
    pub fn evictions(&self, price: MicroUsd) -> MicroUsd {
        MicroUsd(price.0.saturating_mul(i64::from(self.eviction_permille)) / 1_000)
    }

    /// What nodes of this hourly price cost before they are of use.
    #[must_use]
    pub fn boots(&self, hourly: MicroUsd) -> MicroUsd {
        over(hourly, self.boot)
    }

    /// The least that nodes of this hourly price may save, of an hour.
    #[must_use]
    pub fn least(&self, price: MicroUsd) -> MicroUsd {
        MicroUsd(price.0.saturating_mul(i64::from(self.least_permille)) / 1_000)
    }

    /// What so many pods that move have to win besides.
    #[must_use]
    pub fn hurdles(&self, moves: usize) -> MicroUsd {
        self.hurdle.saturating_mul(i64::try_from(moves).unwrap_or(i64::MAX))
    }

    /// What the nodes that come may cost at most, of an hour, in place of nodes of this price; evictions of this price, and so many
    /// moves, are paid back within the horizon.
    #[must_use]
    pub fn worth(&self, price: MicroUsd, evictions: MicroUsd, moves: usize) -> MicroUsd {
        let once = i128::from((self.evictions(evictions) + self.hurdles(moves)).0) * 3_600;
        let hourly = once / i128::from(self.horizon.as_secs().max(1));
        price - self.least(price).max(MicroUsd(i64::try_from(hourly).unwrap_or(i64::MAX)))
    }

    /// What is saved in the end: the saving of so long, at most the horizon, less what it costs once.
    #[must_use]
    pub fn net(&self, saved: MicroUsd, once: MicroUsd, lasts: Duration) -> MicroUsd {
        over(saved, self.horizon.min(lasts)) - once
    }
}

/// What an hourly amount comes to over a time.
fn over(hourly: MicroUsd, time: Duration) -> MicroUsd {
    let seconds = i128::from(time.as_secs());
    MicroUsd(i64::try_from(i128::from(hourly.0) * seconds / 3_600).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saving_counts_for_a_day_and_less_where_the_node_goes_before() {
        let policy = Policy::default();
        let net =
            |saved, once, hours: u64| policy.net(MicroUsd(saved), MicroUsd(once), Duration::from_secs(hours * 3_600)).0;
        assert_eq!(net(1_000, 4_000, 48), 20_000);
        assert_eq!(net(1_000, 4_000, 4), 0);
        assert_eq!(net(1_000, 4_000, 1), -3_000);
        assert_eq!(policy.boots(MicroUsd(100_000)).0, 5_000);
        assert_eq!(policy.least(MicroUsd(100_000)).0, 2_000);
        assert_eq!(Policy::anything().evictions(MicroUsd(7)).0, 0);
    }
}
