//! Durations as Kubernetes manifests write them.
//!
//! Source: Go's `time.ParseDuration` (`1h30m`, `500ms`) and Karpenter's `NillableDuration`, which adds `Never`. The
//! text is kept as written, so that an object read and written again does not change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Go duration, such as `1h30m`; not checked when it is read, so that a wrong one is reported with its field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Duration(pub String);

/// A Go duration or `Never`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct NillableDuration(pub String);

impl Duration {
    /// Whole seconds, rounded up.
    ///
    /// # Errors
    /// One sentence that says what was found and what is expected.
    pub fn seconds(&self) -> Result<u64, String> {
        parse_seconds(&self.0)
            .ok_or_else(|| format!("'{}' is not a duration: expected one such as 30s, 5m or 1h30m", self.0))
    }
}

impl NillableDuration {
    pub const NEVER: &str = "Never";

    /// Whole seconds, rounded up; `None` is Never.
    ///
    /// # Errors
    /// One sentence that says what was found and what is expected.
    pub fn seconds(&self) -> Result<Option<u64>, String> {
        if self.0 == Self::NEVER {
            return Ok(None);
        }
        parse_seconds(&self.0)
            .map(Some)
            .ok_or_else(|| format!("'{}' is not a duration: expected one such as 30s, 5m or 720h, or Never", self.0))
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&str> for NillableDuration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn parse_seconds(text: &str) -> Option<u64> {
    const SECOND: u128 = 1_000_000_000;
    if text == "0" {
        return Some(0); // the one duration that Go reads without a unit
    }
    let mut rest = text;
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() || text.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|len| *len > 0)?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let unit = match unit {
            "h" => 3_600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => SECOND / 1_000,
            "us" | "µs" | "μs" => SECOND / 1_000_000,
            "ns" => 1,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scale(number, unit)?)?;
        rest = tail;
    }
    // Go keeps durations as nanoseconds in an i64
    if nanoseconds > i64::MAX.unsigned_abs().into() {
        return None;
    }
    u64::try_from(nanoseconds.div_ceil(SECOND)).ok()
}

/// A decimal number times a unit, the fraction cut at nine digits.
fn scale(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(9)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(parts.checked_mul(unit)? / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        for (text, seconds) in [
            ("0s", 0),
            ("0", 0),
            ("30s", 30),
            ("1h30m", 5_400),
            ("720h", 2_592_000),
            ("720h0m0s", 2_592_000),
            ("1.5h", 5_400),
            (".5m", 30),
            ("500ms", 1),
            ("1s1ns", 2),
        ] {
            assert_eq!(Duration::from(text).seconds(), Ok(seconds), "{text}");
            assert_eq!(NillableDuration::from(text).seconds(), Ok(Some(seconds)), "{text}");
        }
        assert_eq!(NillableDuration::from("Never").seconds(), Ok(None));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "30", "h", "-1h", "1d", "1h ", "1.2.3s", ".s", "never", "9999999999999999999999h"] {
            assert!(Duration::from(text).seconds().is_err(), "{text}");
            assert!(NillableDuration::from(text).seconds().is_err(), "{text}");
        }
        assert!(Duration::from("Never").seconds().is_err());
    }
}
