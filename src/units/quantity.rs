//! Kubernetes resource quantities as exact integers.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource.Quantity`: a decimal number with a binary (`Ki`..`Ei`), decimal
//! (`n`, `u`, `m`, `k`..`E`) or exponent (`1e3`) suffix; precision finer than 10^-9 is rounded up,
//! and what is beyond 2^63-1 counts as that.

use std::fmt;
use std::str::FromStr;

/// A quantity in nano-units (10^-9), exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nano: i128,
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a quantity: expected a number with an optional suffix, such as 100m, 1.5, 2Gi or 1e3")]
pub struct QuantityError {
    pub text: String,
}

const NANO: i128 = 1_000_000_000;

/// The most that Kubernetes counts, in nano-units.
const MOST: i128 = i64::MAX as i128 * NANO;

/// Digits of a fraction beyond these are rounded up, so that what remains fits; they are worth a byte at most.
const MOST_DIGITS: usize = 18;

impl Quantity {
    /// Whole units, rounded away from zero as `Quantity.Value()` does.
    #[must_use]
    pub fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded away from zero as `Quantity.MilliValue()` does, saturating.
    #[must_use]
    pub fn milli_value(self) -> i64 {
        self.scaled(NANO / 1_000)
    }

    /// Millionths, rounded away from zero: how dollars are read.
    #[must_use]
    pub fn micro_value(self) -> i64 {
        self.scaled(NANO / 1_000_000)
    }

    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    fn scaled(self, unit: i128) -> i64 {
        let magnitude = (self.nano.unsigned_abs()).div_ceil(unit.unsigned_abs());
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        if self.nano < 0 { -magnitude } else { magnitude }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text).map(|nano| Self { nano }).ok_or_else(|| QuantityError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number_len = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (multiplier, exponent) = suffix_scale(suffix)?;
    // value = digits * multiplier * 10^(exponent - fraction digits), in nano-units
    let (fraction, is_cut) = fraction.split_at_checked(MOST_DIGITS).map_or((fraction, false), |(most, _)| (most, true));
    let digits = digits(whole).saturating_mul(10_i128.pow(u32::try_from(fraction.len()).ok()?));
    let digits = digits.saturating_add(self::digits(fraction)).saturating_add(is_cut.into());
    let scale = exponent.saturating_add(9).saturating_sub(i32::try_from(fraction.len()).ok()?);
    let scaled = digits.saturating_mul(multiplier);
    let nano = if scaled == 0 {
        0
    } else if scale >= 0 {
        scaled.saturating_mul(10_i128.saturating_pow(scale.unsigned_abs()))
    } else {
        // smaller than any nano-unit: rounded up
        10_i128.checked_pow(scale.unsigned_abs()).map_or(1, |divisor| (scaled - 1) / divisor + 1)
    };
    let nano = nano.min(MOST);
    Some(if negative { -nano } else { nano })
}

/// A whole number, saturating.
fn digits(text: &str) -> i128 {
    if text.is_empty() { 0 } else { text.parse().unwrap_or(i128::MAX) }
}

/// The multiplier and the power of ten that a suffix stands for.
fn suffix_scale(suffix: &str) -> Option<(i128, i32)> {
    let scale = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(scale)
}

/// Bytes as people write them in manifests: the largest binary suffix that divides the number.
#[must_use]
pub fn display_bytes(bytes: i64) -> String {
    const SUFFIXES: [(i64, &str); 4] = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    for (size, suffix) in SUFFIXES {
        if bytes != 0 && bytes % size == 0 {
            return format!("{}{suffix}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Millicores as people write them in manifests: `2` or `1500m`.
#[must_use]
pub fn display_milli(milli: i64) -> String {
    if milli % 1_000 == 0 { (milli / 1_000).to_string() } else { format!("{milli}m") }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano % NANO == 0 { write!(f, "{}", self.nano / NANO) } else { write!(f, "{}n", self.nano) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q(text: &str) -> Quantity {
        text.parse().expect("valid quantity")
    }

    #[test]
    fn reads_every_suffix_exactly() {
        assert_eq!(q("100m").milli_value(), 100);
        assert_eq!(q("0.1").milli_value(), 100);
        assert_eq!(q("1.5Gi").value(), 3 << 29);
        assert_eq!(q("1e3").value(), 1_000);
        assert_eq!(q("12E-1").milli_value(), 1_200);
        assert_eq!(q("2E").value(), 2_000_000_000_000_000_000);
        assert_eq!(q("7Ei").value(), 7 << 60);
        assert_eq!(q("-3").value(), -3);
        assert_eq!(q(".5").milli_value(), 500);
        assert_eq!(q("5.").value(), 5);
    }

    #[test]
    fn rounds_up_like_kubernetes() {
        assert_eq!(q("1m").value(), 1);
        assert_eq!(q("1n").milli_value(), 1);
        assert_eq!(q("0.0000000001").micro_value(), 1);
        assert_eq!(q("-1500m").value(), -2);
    }

    #[test]
    fn what_is_beyond_64_bits_counts_as_the_most() {
        let long = "9".repeat(100);
        for text in ["9223372036854775807", "9223372036854775808", "1e30", "1E2147483647", "8Ei", "10E", long.as_str()]
        {
            assert_eq!((q(text).value(), q(text).milli_value()), (i64::MAX, i64::MAX), "{text}");
            assert_eq!(q(&format!("-{text}")).value(), -i64::MAX, "{text}");
        }
        assert_eq!(q("9223372036854775806").value(), i64::MAX - 1);
        assert_eq!(q(&format!("0.{}", "3".repeat(100))).milli_value(), 334);
        assert_eq!(q("1e-2147483647").milli_value(), 1);
        assert_eq!(q("100000000000000000000000e-20").value(), 1_000);
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        for text in ["", "m", "1.2.3", "1 Gi", "1gi", "0x10", "1e", "--1", "NaN", ".", "1ee3"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
