//! Commands that are not run, those of blocks and those inside sentences, are at least such as the program takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};
use packwright::cli::Cli;
use regex::Regex;

use super::{name, pages, root};

/// Options of helm, and of Cluster Autoscaler, whose users are addressed, too.
const OPTIONS_OF_OTHERS: [&str; 10] = [
    "--balance-similar-node-groups",
    "--expander",
    "--max-node-provision-time",
    "--no-hooks",
    "--scale-down-unneeded-time",
    "--scale-down-utilization-threshold",
    "--set",
    "--take-ownership",
    "--values",
    "--wait",
];

fn all_pages() -> Vec<PathBuf> {
    pages().into_iter().chain([root().join("benchmarks/README.md")]).collect()
}

/// What stands between single backticks outside of blocks, each in one line; and the lines of blocks.
fn spans_and_lines(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut prose, mut lines, mut is_block) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            lines.push(line.trim().to_owned());
        } else {
            prose.push_str(line.trim());
            prose.push(if line.trim().is_empty() { '`' } else { ' ' }); // no span goes on over an empty line
        }
    }
    let spans =
        prose.split("``").flat_map(|part| part.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    (spans.collect(), lines)
}

/// The first command of a line without its comment, its redirections and what it is piped into.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line.split_whitespace();
    while let Some(word) = rest.next() {
        match word {
            "|" | "&&" | "||" | "#" | ";" => break,
            ">" | "2>" | "<" => drop(rest.next()),
            _ if word.starts_with('#') || word.starts_with("<<") => break,
            // what is left out
            "..." => {}
            _ => found.push(word.trim_end_matches([';', ')']).replace(['"', '\''], "")),
        }
    }
    found
}

/// A name that stands for a value: `NAME`, `PATH...`, `$folder`.
fn is_placeholder(value: &str) -> bool {
    value.starts_with('$') || value.chars().all(|c| c.is_ascii_uppercase() || ".=_-".contains(c))
}

/// Why the program would not take a command.
fn refusal(words: &[String]) -> Option<String> {
    let error = Cli::command().try_get_matches_from(words).err()?;
    let is_placeholder = || {
        let value = error.get(ContextKind::InvalidValue);
        matches!(value, Some(ContextValue::String(value)) if is_placeholder(value))
    };
    match error.kind() {
        // a sentence names a command; help and version are answers
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => None,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if is_placeholder() => None,
        ErrorKind::InvalidSubcommand if words.get(1).is_some_and(|word| word == "COMMAND") => None,
        _ => Some(error.to_string()),
    }
}

#[test]
fn commands_that_nobody_runs_are_such_as_the_program_takes() {
    let (mut count, mut refused) = (0, Vec::new());
    let substitution = Regex::new(r"\$\([^)]*\)").unwrap();
    for page in all_pages() {
        let text = fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        let (spans, lines) = spans_and_lines(&text);
        for line in spans.iter().chain(&lines) {
            // also behind `time`, a variable or the name that kubectl gives it
            let line = substitution.replace_all(line, "NAME").replace("kubectl packwright ", "packwright ");
            let Some(start) = line.match_indices("packwright ").map(|(at, _)| at).find(|at| {
                let before = &line[..*at];
                before.is_empty() || before.split_whitespace().all(|word| word == "time" || word.contains('='))
            }) else {
                continue;
            };
            let words = words(&line[start..]);
            // what it prints begins with its name, too
            let is_output = words.get(1).is_none_or(|word| word.chars().next().is_some_and(|c| c.is_ascii_digit()));
            if !is_output {
                refused.extend(refusal(&words).map(|why| format!("{}: {line}\n{why}", name(&page))));
                count += 1;
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(count > 100, "only {count} commands found");
}

fn options(of: &Command, found: &mut BTreeSet<String>) {
    found.extend(of.get_arguments().filter_map(|argument| argument.get_long()).map(|long| format!("--{long}")));
    for command in of.get_subcommands() {
        options(command, found);
    }
}

#[test]
fn options_that_sentences_name_exist() {
    let mut known: BTreeSet<String> = OPTIONS_OF_OTHERS.iter().map(|option| (*option).to_owned()).collect();
    let mut command = Cli::command();
    command.build();
    options(&command, &mut known);
    let mut unknown = Vec::new();
    for page in all_pages() {
        let (spans, _) = spans_and_lines(&fs::read_to_string(&page).unwrap());
        for span in spans.iter().filter(|span| span.starts_with("--")) {
            let option = span.split([' ', '=']).next().unwrap();
            if !known.contains(option) {
                unknown.push(format!("{}: {option}", name(&page)));
            }
        }
    }
    assert!(unknown.is_empty(), "there are no such options: {unknown:?}");
}

#[test]
fn what_the_program_does_not_take_is_found() {
    let refused = |line: &str| refusal(&words(line)).is_some();
    assert!(refused("packwright plam") && refused("packwright plan --fast") && refused("packwright plan -o xml"));
    assert!(
        !refused("packwright plan -f PATH... -o json | jq .summary") && !refused("packwright simulate S --seeds N")
    );
    assert!(is_placeholder("PATH...") && !is_placeholder("path"));
}
