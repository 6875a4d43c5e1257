//! Money in integer micro-dollars; a price is a [`MicroUsd`] an hour.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// An amount in micro-dollars (10^-6 USD). Prices are amounts an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

/// Hours in the month of a bill: 365 x 24 / 12, the figure that AWS uses in its own estimates.
pub const HOURS_PER_MONTH: i64 = 730;

impl MicroUsd {
    pub const ZERO: Self = Self(0);
    /// No price of an hour is higher: a million dollars. Sums of what a cluster buys stay far within 64 bits, in nano-dollars
    /// as well.
    pub const MOST_AN_HOUR: Self = Self(1_000_000_000_000);

    /// Rounds to the nearest micro-dollar; values that do not fit saturate, NaN becomes zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, which is the documented behaviour
    pub fn from_usd(usd: f64) -> Self {
        Self((usd * 1e6).round() as i64)
    }

    #[must_use]
    #[allow(clippy::cast_precision_loss)] // for display only; exact below 9e9 dollars
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e6
    }

    #[must_use]
    pub fn saturating_mul(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// Reads an amount such as `0.02`: decimal dollars from zero, at most six decimals, up to [`Self::MOST_AN_HOUR`].
    ///
    /// # Errors
    /// One sentence that says what was found and what is expected.
    pub fn parse_usd(text: &str) -> Result<Self, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = || {
            let whole: i64 = whole.parse().ok()?;
            let micro: i64 = format!("{decimals:0<6}").parse().ok()?;
            let amount = Self(whole.checked_mul(1_000_000)?.checked_add(micro)?);
            Some(amount).filter(|amount| *amount <= Self::MOST_AN_HOUR)
        };
        let amount = if is_digits(whole) && is_digits(decimals) && decimals.len() <= 6 { read() } else { None };
        amount.ok_or_else(|| format!("expected an amount in dollars such as 0.02, found '{text}'"))
    }

    /// `self * permille / 1000`, rounded down.
    #[must_use]
    pub fn permille(self, permille: i64) -> Self {
        let scaled = i128::from(self.0) * i128::from(permille) / 1000;
        Self(i64::try_from(scaled).unwrap_or(i64::MAX))
    }
}

impl Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for MicroUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for MicroUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micro = self.0.unsigned_abs();
        let text = format!("{sign}${}.{:06}", micro / 1_000_000, micro % 1_000_000);
        // at least four decimals, so that columns of prices line up; the last two only when they say something
        f.pad(text.strip_suffix("00").unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_four_to_six_decimals() {
        assert_eq!(MicroUsd(85_000).to_string(), "$0.0850");
        assert_eq!(MicroUsd(85_010).to_string(), "$0.085010");
        assert_eq!(MicroUsd(-1_500_000).to_string(), "-$1.5000");
    }

    #[test]
    fn reads_decimal_dollars() {
        for (text, micro) in [("0", 0), ("0.02", 20_000), ("12.000001", 12_000_001), ("1000000", 1_000_000_000_000)] {
            assert_eq!(MicroUsd::parse_usd(text), Ok(MicroUsd(micro)), "{text}");
        }
        for text in ["", "-1", "1.", ".5", "1e3", "0.0000001", "1000000.1", "99999999999999999999", "$1", "+1", "1,5"] {
            assert!(MicroUsd::parse_usd(text).is_err(), "{text}");
        }
    }

    #[test]
    fn permille_rounds_down_without_overflow() {
        assert_eq!(MicroUsd(1_001).permille(1_100), MicroUsd(1_101));
        assert_eq!(MicroUsd(i64::MAX).permille(1_000), MicroUsd(i64::MAX));
    }
}
