//! Schedules of disruption budgets: five cron fields in UTC, or a macro.
//!
//! Source: `ParseStandard` of `robfig/cron` v3, with which the reference reads them. The CRD's pattern takes far more, and a
//! budget whose schedule cannot be read allows no disruption at all (karpenter-core 4.7).

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// What a schedule is, for who has written something else.
pub const EXPECTED: &str = "five cron fields such as 0 9 * * mon-fri, or @hourly, @daily, @weekly, @monthly or @yearly";

const MACROS: [&str; 7] = ["@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// Reads a schedule; `None` where the reference could not.
#[must_use]
pub fn parse(schedule: &str) -> Option<Cron> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let is_known = match fields.as_slice() {
        [only] => MACROS.contains(only),
        [.., days_of_week] => fields.iter().all(|field| is_standard(field)) && !names_sunday_seven(days_of_week),
        [] => false,
    };
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    // the parser does not know this one, which is the same
    parser.parse(&schedule.replace("@midnight", "@daily")).ok().filter(|_| is_known)
}

/// Whether it has none of the extensions that the reference does not know: `L`, `W`, `#` and `+`. Names have three letters.
fn is_standard(field: &str) -> bool {
    let words = field.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.clone().all(|word| word.len() == 3)
        && field.chars().all(|c| c.is_ascii_alphanumeric() || ['*', '?', ',', '-', '/'].contains(&c))
}

/// Days of the week are 0 to 6.
fn names_sunday_seven(days_of_week: &str) -> bool {
    let ranges = days_of_week.split(',').map(|part| part.split('/').next().unwrap_or_default());
    ranges.flat_map(|range| range.split('-')).any(|day| day == "7")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_reference_reads_is_read() {
        for schedule in ["0 9 * * 1-5", "*/15 0-6,22 1 jan,JUL MON-fri", "0 0 ? * 0", "@daily", "@midnight", "@hourly"]
        {
            assert!(parse(schedule).is_some(), "{schedule}");
        }
    }

    #[test]
    fn what_it_cannot_read_is_not() {
        for schedule in [
            "99 9 * * *",
            "0 24 * * *",
            "0 9 0 * *",
            "0 9 * 13 *",
            "0 9 * * 7",
            "0 9 * * 1-7",
            "0 9 L * *",
            "0 9 15W * *",
            "0 9 * * 5L",
            "0 9 * * 1#2",
            "0 9 * * +1",
            "0 0 9 * * 1",
            "TZ=UTC 0 9 * * *",
            "9 to 5 on weekdays",
            "@dailyish",
            "@reboot",
            "",
        ] {
            assert!(parse(schedule).is_none(), "{schedule}");
        }
    }
}
