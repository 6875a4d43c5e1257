//! An explanation on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cli::table::{align, table};
use crate::explain::facts::{
    Change, Claim, Explanation, NodeFacts, PlacedPod, Remedy, Room, RuledOut, UnplacedPod, WhatIf,
};
use crate::plan::{NOT_REACHED, Stop};
use crate::resources::display_amount;

/// Names and changes that are listed; the rest is a number.
const MOST: usize = 6;

/// All of it, ending in a line break; `next` is the command that explains the claim of a placed pod.
pub fn of(explanation: &Explanation, next: Option<&str>) -> String {
    let mut text = String::new();
    let of = match (&explanation.owner, explanation.alike) {
        (Some(owner), alike) if alike > 1 => format!(", one of {alike} pending pods of {owner}"),
        (Some(owner), _) => format!(", of {owner}"),
        (None, _) => String::new(),
    };
    let _ = writeln!(text, "{} {}{of}", explanation.kind, explanation.name);
    if let Some(placed) = &explanation.placed {
        pod(&mut text, placed);
        if let Some(next) = next.filter(|_| placed.node.is_new) {
            let _ = writeln!(text, "\nWhy the node is what it is: {next}");
        }
    }
    if let Some(of_claim) = &explanation.claim {
        claim(&mut text, of_claim);
    }
    if let Some(left) = &explanation.unplaced {
        unplaced(&mut text, left, explanation);
    }
    if let Some(node) = &explanation.bound_to {
        let unknown = if explanation.is_node_unknown { ", which is not in the input" } else { "" };
        let _ = writeln!(text, "It runs on node {node} already{unknown}: a plan does not move it.");
    }
    what_if(&mut text, &explanation.what_if);
    let plan = &explanation.plan;
    let stopped = if plan.stop == Stop::Deadline { ", stopped at the time limit" } else { "" };
    let _ = writeln!(
        text,
        "\nThe plan: ${:.4}/h, proven bound ${:.4}/h, {} not placed{stopped}",
        plan.cost_usd_hour,
        plan.bound_usd_hour,
        if plan.pods_unplaced == 1 { "1 pod".to_owned() } else { format!("{} pods", plan.pods_unplaced) }
    );
    text
}

fn node(node: &NodeFacts) -> String {
    let mut parts: Vec<String> = node.instance_type.iter().map(ToString::to_string).collect();
    parts.extend(node.capacity_type.map(|of| of.to_string()));
    match node.zones.as_slice() {
        [] => {}
        [only] => parts.push(format!("in {only}")),
        several => parts.push(format!("in any of {} zones", several.len())),
    }
    parts.extend(node.nodepool.iter().map(|pool| format!("of NodePool {pool}")));
    parts.extend(node.price_usd_hour.map(|price| format!("at ${price:.4}/h")));
    parts.join(" ")
}

fn pod(text: &mut String, placed: &PlacedPod) {
    let (is_new, name) = (placed.node.is_new, &placed.node.name);
    let what = if is_new { "a new node, claim" } else { "a node that is there," };
    let _ = writeln!(text, "It goes to {what} {name}: {}", node(&placed.node));
    let _ = writeln!(text, "\n{}\n", rooms(&placed.room));
    if placed.shares_with.is_empty() {
        let _ = writeln!(text, "It has the node for itself, as far as this plan goes.");
    } else {
        let _ = writeln!(text, "It shares the node with {}.", listed(&placed.shares_with));
    }
    if let Some(worth) = placed.worth_usd_hour {
        let _ = write!(text, "Such a pod is worth at least ${worth:.4}/h: what the proven bound counts for it.");
        if let Some(share) = placed.share_usd_hour {
            let _ = write!(text, " Its share of the node: ${share:.4}/h.");
        }
        text.push('\n');
    }
    if !placed.decided_by.is_empty() {
        let _ = writeln!(text, "\nIts rules:");
        for rule in &placed.decided_by {
            let left = rule.offerings_left.map(|left| format!(" ({left} of {} offerings are left)", rule.offerings));
            let _ = writeln!(text, "  {} {}: {}{}", rule.rule, rule.states, rule.outcome, left.unwrap_or_default());
        }
    }
    if !placed.preferences_given_up.is_empty() {
        let _ = writeln!(text, "\nPreferences that it does not get:");
        for given in &placed.preferences_given_up {
            let _ = writeln!(text, "  {} (weight {})", given.preference, given.weight);
        }
    }
}

fn rooms(rooms: &[Room]) -> String {
    let is_pod = rooms.iter().any(|room| room.requests.is_some());
    let mut header = vec!["RESOURCE", "NODE HAS", "TAKEN BEFORE", "THIS PLAN", "LEFT"];
    if is_pod {
        header.insert(1, "REQUESTS");
    }
    let mut table = table(&header);
    for room in rooms {
        let shown = |amount: i64| display_amount(&room.resource, amount);
        let mut row = vec![room.resource.to_string()];
        row.extend(room.requests.map(shown));
        row.extend([room.allocatable, room.taken_before, room.planned, room.left].map(shown));
        table.add_row(row);
    }
    align(table, if is_pod { &[1, 2, 3, 4, 5] } else { &[1, 2, 3, 4] })
}

fn claim(text: &mut String, claim: &Claim) {
    let _ = writeln!(text, "It buys {}, for {}", node(&claim.node), listed(&claim.pods));
    let _ = writeln!(text, "\n{}", rooms(&claim.room));
    if let Some(worth) = claim.pods_worth_usd_hour {
        let _ = writeln!(text, "\nThe proven bound counts ${worth:.4}/h for its pods.");
    }
    alternatives(text, claim);
    let _ = writeln!(text, "\nCheaper offerings of the NodePools: {}", claim.cheaper_offerings);
    let (small, others): (Vec<&RuledOut>, Vec<&RuledOut>) =
        claim.ruled_out.iter().partition(|of| of.cause == "too-small");
    if !small.is_empty() {
        let count: usize = small.iter().map(|of| of.offerings).sum();
        let lacks: Vec<String> = small
            .iter()
            .map(|of| {
                let lack = of.what.trim_start_matches("too small: ");
                let closest = &of.closest;
                let by = closest.lacks.as_deref().unwrap_or_default();
                format!("{} lack {lack} (closest: {}, {by})", of.offerings, closest.instance_type)
            })
            .collect();
        let _ = writeln!(text, "  {count} too small: {}", lacks.join("; "));
    }
    for of in others.iter().take(MOST) {
        let closest = &of.closest;
        let _ = writeln!(
            text,
            "  {} ruled out: {} (such as {} {} at ${:.4}/h)",
            of.offerings, of.what, closest.instance_type, closest.capacity_type, closest.price_usd_hour
        );
    }
    if others.len() > MOST {
        let rest: usize = others[MOST..].iter().map(|of| of.offerings).sum();
        let _ = writeln!(text, "  {rest} ruled out for other reasons (-o json lists them)");
    }
}

fn alternatives(text: &mut String, claim: &Claim) {
    if claim.alternatives.is_empty() {
        let what = if claim.is_incomplete { "was tried" } else { "is sold" };
        let rest = if claim.is_incomplete { "; not everything was" } else { "" };
        let _ = writeln!(text, "\nNothing else that {what} would hold these pods{rest}.");
        return;
    }
    let mut table = table(&["INSTEAD", "CAPACITY", "ZONE", "NODEPOOL", "$/H", "EXTRA $/H", "NOTE"]);
    for of in &claim.alternatives {
        let note = of.note.clone().or_else(|| of.is_offer.then(|| "the claim names it too".to_owned()));
        table.add_row([
            of.instance_type.to_string(),
            of.capacity_type.to_string(),
            of.zone.to_string(),
            of.nodepool.to_string(),
            format!("{:.4}", of.price_usd_hour),
            format!("{:+.4}", of.extra_usd_hour),
            note.unwrap_or_default(),
        ]);
    }
    let _ = writeln!(text, "\nThe same pods on the next best, as the checker accepts it:\n{}", align(table, &[4, 5]));
}

fn unplaced(text: &mut String, left: &UnplacedPod, explanation: &Explanation) {
    if *left.reason == *NOT_REACHED {
        let _ = writeln!(
            text,
            "It was not reached within the time limit: a longer --time-limit places it, or says why not."
        );
        return;
    }
    let _ = writeln!(text, "It cannot be placed: {}", left.reason);
    if explanation.alike_unplaced > 1 {
        let (left, alike) = (explanation.alike_unplaced, explanation.alike);
        let who = if left == alike { format!("all {alike}") } else { format!("{left} of the {alike}") };
        let _ = writeln!(text, "So it is with {who} pods alike.");
    }
    if left.remedies.is_empty() {
        let tried = left.tried;
        let _ = match (tried, left.is_incomplete) {
            (0, _) => writeln!(text, "\nThere is nothing else to try: what the reason names has to change."),
            (_, true) => {
                writeln!(text, "\nNone of the {tried} changes that were tried helps; more can be thought of.")
            }
            (_, false) => writeln!(text, "\nNo change helps, alone or with another: {tried} were tried."),
        };
        return;
    }
    let are_pairs = left.remedies.iter().all(|remedy| remedy.changes.len() > 1);
    let what = if are_pairs { "Two changes together" } else { "One of these changes" };
    let _ = writeln!(text, "\n{what} would place it (planned again with each):");
    for remedy in left.remedies.iter().take(MOST) {
        let changes: Vec<String> = remedy.changes.iter().map(sentence).collect();
        let _ = writeln!(text, "  {}\n    {}", changes.join(" and\n  "), outcome(remedy, left.by_search));
    }
    if left.remedies.len() > MOST {
        let _ = writeln!(text, "  and {} more (-o json lists them)", left.remedies.len() - MOST);
    }
    if left.is_incomplete {
        let _ = writeln!(text, "Not every change was tried, or not for long: a longer --time-limit tries more.");
    }
}

fn outcome(remedy: &Remedy, by_search: bool) -> String {
    let who = match (remedy.places, remedy.of) {
        (1, 1) => "places the pod".to_owned(),
        (places, of) if places == of => format!("places all {of} pods alike"),
        (places, of) => format!("places {places} of {of} pods alike"),
    };
    let (what, extra) = (if by_search { "the plan" } else { "karpenter's packing" }, remedy.extra_usd_hour);
    let more = if extra < 0.0 { "less" } else { "more" };
    format!("{who}; {what} then costs ${:.4}/h {more}", extra.abs())
}

fn sentence(change: &Change) -> String {
    let Change { object, field, from, to } = change;
    match (from, to) {
        (Some(from), Some(to)) => format!("{object}: {field} from {from} to {to}"),
        (Some(from), None) => format!("{object}: remove {field} ({from})"),
        (None, Some(to)) => format!("{object}: add to {field}: {to}"),
        (None, None) => format!("{object}: remove {field}"),
    }
}

fn what_if(text: &mut String, answers: &[WhatIf]) {
    let mut by_kind: BTreeMap<&str, Vec<&WhatIf>> = BTreeMap::new();
    for answer in answers {
        by_kind.entry(answer.kind).or_default().push(answer);
    }
    for (kind, answers) in by_kind {
        let title = if kind == "limit" { "What a node more within a limit saves" } else { "What its rules cost" };
        let _ = writeln!(text, "\n{title} (planned again with the change):");
        for answer in answers {
            let _ = writeln!(text, "  {}", sentence(&answer.change));
            if let Some(interval) = &answer.saving_usd_hour {
                let _ = if interval.at_most <= 0.0 {
                    writeln!(text, "    saves nothing")
                } else if interval.at_least <= 0.0 {
                    writeln!(text, "    saves less than can be proven; no more than ${:.4}/h", interval.at_most)
                } else if interval.at_most - interval.at_least < 5e-7 {
                    writeln!(text, "    saves ${:.4}/h", interval.at_least)
                } else {
                    writeln!(text, "    saves ${:.4} to ${:.4}/h", interval.at_least, interval.at_most)
                };
            }
            if let Some(note) = &answer.note {
                let _ = writeln!(text, "    {note}");
            }
            if let Some(dual) = &answer.dual {
                let _ = writeln!(
                    text,
                    "    in the bound {} is worth at most ${:.4}/h, for the first unit",
                    dual.unit, dual.at_most_usd_hour
                );
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
