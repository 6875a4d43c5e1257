//! `packwright explain constraints`: what each costs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use super::{Args, Output};
use crate::cli::exit;
use crate::cli::plan::say;
use crate::cli::searching::Step;
use crate::cli::table::{align, table};
use crate::cli::words::counted;
use crate::explain::facts::{Change, Interval};
use crate::observe::LoadOutcome;
use crate::what_if::{PriceList, PriceTag, Pricing, price_list};

/// Constraints without a price that are listed; the rest is a number.
const MOST: usize = 10;

/// Prices and prints.
///
/// # Errors
/// Standard output is closed, or the prices cannot be written in the chosen format.
pub(super) fn run(args: &Args, loaded: &LoadOutcome) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let policy = args.consolidation.policy();
    let pricing = Pricing { policy: &policy, limits: args.question.limits(), within: args.within };
    let step = Step::start();
    let mut list = price_list(&loaded.snapshot, pricing, &|doing| step.say(doing));
    drop(step);
    list.notes.clone_from(&loaded.notes);
    list.errors = loaded.errors.iter().map(ToString::to_string).collect();
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Text => write!(out, "{}", text(&list))?,
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(&list)?)?,
    }
    out.flush()?;
    if args.output == Output::Text {
        say(&list.assumptions, &list.notes);
    }
    Ok(ExitCode::from(if loaded.errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT }))
}

/// What is taken away, with what it said.
pub(super) fn named(change: &Change) -> String {
    let from = change.from.as_ref().map_or_else(String::new, |from| format!(": {from}"));
    format!("{} {}{from}", change.object, change.field)
}

fn text(list: &PriceList) -> String {
    let mut text = String::new();
    if list.tags.is_empty() && list.not_reached.is_empty() {
        text.push_str("no constraint bears on pods that wait or on nodes of NodePools\n");
        return text;
    }
    let mut rows = table(&["LAUNCHES $/H", "CONSOLIDATION $/H", "NODES", "PODS", "CONSTRAINT"]);
    for tag in &list.tags {
        rows.add_row([
            launches(tag),
            consolidation(tag),
            tag.nodes.to_string(),
            tag.pods.to_string(),
            named(&tag.change),
        ]);
    }
    if !list.tags.is_empty() {
        let _ = writeln!(text, "{}\n", align(rows, &[2, 3]));
    }
    if let (Some(cost), Some(bound)) = (list.launches_usd_hour, list.bound_usd_hour) {
        let _ = writeln!(
            text,
            "LAUNCHES: of ${cost:.4}/h for pods that wait (proven bound ${bound:.4}/h), proven by the bounds with and without"
        );
    }
    if let Some(saved) = list.saved_usd_hour {
        let _ = writeln!(
            text,
            "CONSOLIDATION: saved beyond the ${saved:.4}/h that are saved with it; found by two searches, not proven"
        );
    }
    if list.tags.iter().any(|tag| tag.is_consolidation_cut) {
        text.push_str("(cut): the time ended a search, so that the difference may be one of searches\n");
    }
    for tag in &list.tags {
        if let Some(note) = &tag.note {
            let _ = writeln!(text, "{}: {note}", named(&tag.change));
        }
    }
    if !list.not_reached.is_empty() {
        let some: Vec<String> = list.not_reached.iter().take(MOST).map(|of| format!("  {}", named(of))).collect();
        let rest = list.not_reached.len() - some.len();
        let rest = if rest > 0 { format!("\n  and {rest} more") } else { String::new() };
        let _ = writeln!(
            text,
            "\nnot reached within the time (--within): {}\n{}{rest}",
            counted(list.not_reached.len(), "constraint"),
            some.join("\n")
        );
    }
    text
}

fn launches(tag: &PriceTag) -> String {
    match &tag.launches_usd_hour {
        None if tag.note.is_some() => "not comparable".to_owned(),
        None => "-".to_owned(),
        Some(Interval { at_most, .. }) if *at_most <= 0.0 => "nothing".to_owned(),
        Some(Interval { at_least, at_most }) if *at_least <= 0.0 => {
            format!("below what can be proven, at most {at_most:.4}")
        }
        Some(Interval { at_least, at_most }) => format!("{at_least:.4} to {at_most:.4}"),
    }
}

/// What consolidation was found to save more without it.
pub(super) fn consolidation(tag: &PriceTag) -> String {
    let cut = if tag.is_consolidation_cut { " (cut)" } else { "" };
    match tag.consolidation_usd_hour {
        None => "-".to_owned(),
        Some(more) if more <= 0.0 => format!("nothing found{cut}"),
        Some(more) => format!("{more:.4} found{cut}"),
    }
}
