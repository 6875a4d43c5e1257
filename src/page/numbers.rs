//! Amounts and money as people read them.

use crate::resources::{CPU, EPHEMERAL_STORAGE, MEMORY};

/// Dollars: four decimals below ten, two above, thousands apart.
pub fn usd(amount: f64) -> String {
    let sign = if amount < 0.0 { "-" } else { "" };
    let decimals = if amount.abs() < 10.0 { 4 } else { 2 };
    let text = format!("{:.decimals$}", amount.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    format!("{sign}${}.{rest}", thousands(whole))
}

/// A count with its thousands apart.
pub fn count(number: usize) -> String {
    thousands(&number.to_string())
}

/// `1 node`, `1,200 nodes`.
pub fn counted(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {noun}{end}", count(number))
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount of a resource with its unit: `1.5 cores`, `3.2 GiB`, `4`.
#[allow(clippy::cast_precision_loss)] // for people
pub fn amount(resource: &str, amount: i64) -> String {
    let short = |number: f64| {
        let text = format!("{number:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    let gib = amount as f64 / f64::from(1 << 30);
    match resource {
        CPU if amount == 1_000 => "1 core".to_owned(),
        CPU if amount >= 1_000_000 => format!("{} cores", thousands(&(amount / 1_000).to_string())),
        CPU => format!("{} cores", short(amount as f64 / 1e3)),
        MEMORY | EPHEMERAL_STORAGE if gib >= 10_000.0 => format!("{} TiB", short(gib / 1_024.0)),
        MEMORY | EPHEMERAL_STORAGE => format!("{} GiB", short(gib)),
        _ if amount >= 0 => thousands(&amount.to_string()),
        _ => amount.to_string(),
    }
}

/// Both amounts, a unit that they share once: `3 of 3.9 cores`.
pub fn part_of(resource: &str, part: i64, whole: i64) -> String {
    let (part, whole) = (amount(resource, part), amount(resource, whole));
    match (part.split_once(' '), whole.split_once(' ')) {
        (Some((number, own)), Some((_, unit))) if own == unit || (own, unit) == ("core", "cores") => {
            format!("{number} of {whole}")
        }
        _ => format!("{part} of {whole}"),
    }
}

/// A part of a whole in percent, none of nothing; between 0 and 100.
#[allow(clippy::cast_precision_loss)] // for people
pub fn percent(part: i64, whole: i64) -> f64 {
    if whole <= 0 { 0.0 } else { rounded((100.0 * part as f64 / whole as f64).clamp(0.0, 100.0)) }
}

/// Of dollars.
pub fn share(part: f64, whole: f64) -> f64 {
    if whole <= 0.0 { 0.0 } else { rounded((100.0 * part / whole).clamp(0.0, 100.0)) }
}

/// To two decimals: more cannot be seen.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_have_their_unit() {
        assert_eq!(
            [usd(0.094_97), usd(7_264.637_5), usd(-12.0), usd(1_234_567.0)].join(" "),
            "$0.0950 $7,264.64 -$12.00 $1,234,567.00"
        );
        assert_eq!(
            [amount(CPU, 1_500), amount(CPU, 1_000), amount(MEMORY, 3 << 30)].join(", "),
            "1.5 cores, 1 core, 3 GiB"
        );
        assert_eq!(
            part_of(CPU, 1_000, 3_900) + ", " + &part_of(MEMORY, 1 << 30, 20_000 << 30),
            "1 of 3.9 cores, 1 GiB of 19.5 TiB"
        );
        assert_eq!(amount(CPU, 80_409_000), "80,409 cores");
        assert_eq!(counted(1, "pod") + " " + &counted(8_152, "pod"), "1 pod 8,152 pods");
        assert!((percent(1, 3) - 33.33).abs() < 1e-9 && percent(1, 0).abs() < 1e-9 && percent(3, 2) <= 100.0);
    }
}
