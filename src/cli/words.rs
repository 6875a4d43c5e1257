//! Values as the reference's users write them: Go's booleans and durations. And counts in sentences.

#[cfg(feature = "live")]
use std::time::Duration;

/// A number of things, such as `1 pod` or `2 pods`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// As Go's `strconv.ParseBool` reads them.
///
/// # Errors
/// One sentence: what is expected.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// As Go's `time.ParseDuration` reads them, without a sign: numbers with units, such as 1h30m, 1.5s or 300ms.
///
/// # Errors
/// One sentence: what is expected.
#[cfg(feature = "live")]
pub fn duration(text: &str) -> Result<Duration, String> {
    let fault = || "expected a duration such as 500ms, 10s or 1h30m".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(fault)?;
        let (number, unit) = rest.split_at(end);
        let end = unit.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(fault()),
        };
        let number: f64 = number.parse().map_err(|_| fault())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| fault())?;
        sum = sum.checked_add(part).ok_or_else(fault)?;
        rest = next;
    }
    if text.is_empty() { Err(fault()) } else { Ok(sum) }
}

#[cfg(all(test, feature = "live"))]
mod tests {
    use super::*;

    #[test]
    fn durations_and_booleans_are_those_of_go() {
        let millis = |text: &str| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("300ms", 300),
            ("1m0.5s", 60_500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for wrong in ["", "10", "s", "-1s", "1 s", "1d", "1h30", "1.2.3s", "99999999999999999999h", "."] {
            assert!(duration(wrong).unwrap_err().starts_with("expected a duration"), "{wrong}");
        }
        assert_eq!(["1", "TRUE", "f", "0"].map(boolean), [Ok(true), Ok(true), Ok(false), Ok(false)]);
        assert!(boolean("yes").is_err() && boolean("").is_err());
    }
}
