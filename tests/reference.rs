//! Pages that list what the program has: labels and settings are written from the sources, events are compared with them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Set: pages are written, not compared.
const UPDATE: &str = "UPDATE_PAGES";

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn compare(path: &str, expected: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(file(path), expected).unwrap();
    }
    assert!(
        fs::read_to_string(file(path)).unwrap_or_default() == expected,
        "{path} differs from the sources: run `make pages` and commit the result"
    );
}

const END: &str = "\n[All pages](README.md)\n";

/// A row for each constant of `api/labels` that is a name, under the headings of the file; a comment says what it is.
#[test]
fn the_page_of_labels_has_every_name() {
    let source = fs::read_to_string(file("src/api/labels.rs")).unwrap();
    let mut page = "# Labels, annotations, taints\n\nEvery name that Packwright reads or writes, as `src/api/labels.rs` has them. Labels \
         that nodes get at launch may stand in requirements of\nNodePools and in selectors of pods.\n"
        .to_owned();
    let (mut said, mut names): (Vec<&str>, usize) = (Vec::new(), 0);
    for line in source.lines() {
        if let Some(heading) = line.strip_prefix("// ---- ") {
            let mut letters = heading.chars();
            let first = letters.next().unwrap().to_uppercase();
            let _ = write!(page, "\n## {first}{}\n\n| name | what |\n|---|---|\n", letters.as_str());
        } else if let Some(comment) = line.strip_prefix("/// ") {
            said.push(comment);
        } else if let Some(constant) = line.strip_prefix("pub const ").filter(|of| of.contains(": &str = ")) {
            let value = constant.split('"').nth(1).unwrap();
            // values of a label are no names
            if !constant.starts_with("CAPACITY_") || value.contains('/') {
                assert!(!said.is_empty(), "src/api/labels.rs does not say what {constant} is");
                let _ = writeln!(page, "| `{value}` | {} |", said.join(" ").replace('|', "\\|"));
                names += 1;
            }
            said.clear();
        } else {
            said.clear();
        }
    }
    assert!(names > 80, "{names}");
    page.push_str(END);
    compare("docs/labels.md", &page);
}

/// Flags and variables of `packwright controller`, as its help has them.
#[cfg(feature = "live")]
#[test]
fn the_page_of_settings_has_every_flag() {
    use clap::CommandFactory as _;
    let mut command = packwright::cli::Cli::command();
    command.build();
    let controller = command.find_subcommand("controller").unwrap();
    let mut page = "# Settings of the controller\n\nFlags and variables of `packwright controller`. The \
         [chart](../charts/packwright/README.md) sets them from its values\n(`CLUSTER_NAME` is `settings.clusterName`); those for which it has \
         no value, such as `PACKWRIGHT_ESTIMATE_MARGIN`, are variables of\n`controller.env`. Where Karpenter has the same setting it has the \
         same name.\n"
        .to_owned();
    let mut headings: Vec<Option<&str>> = Vec::new();
    let shown = || {
        controller
            .get_arguments()
            .filter(|of| !of.is_hide_set() && of.get_long().is_some_and(|of| of != "help" && of != "version"))
    };
    for argument in shown() {
        let heading = argument.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let _ = write!(
            page,
            "\n## {}\n\n| flag | variable | default | what |\n|---|---|---|---|\n",
            heading.unwrap_or("What it does")
        );
        for argument in shown().filter(|of| of.get_help_heading() == heading) {
            let code =
                |text: &str| if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) };
            let variable = argument.get_env().map(|of| of.to_str().unwrap()).unwrap_or_default();
            let defaults: Vec<&str> = argument.get_default_values().iter().map(|of| of.to_str().unwrap()).collect();
            let is_flag = !argument.get_action().takes_values();
            let default = if is_flag { String::new() } else { code(&defaults.join(",")) };
            let help = argument.get_long_help().or(argument.get_help()).unwrap().to_string();
            let possible: Vec<String> =
                argument.get_possible_values().iter().map(|of| code(of.get_name())).filter(|_| !is_flag).collect();
            let possible = if possible.is_empty() { String::new() } else { format!(" ({})", possible.join(", ")) };
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let _ = writeln!(
                page,
                "| `--{}` | {} | {default} | {help}{possible} |",
                argument.get_long().unwrap(),
                code(variable)
            );
        }
    }
    page.push_str(END);
    compare("docs/settings.md", &page);
}

/// Reasons are the only words of two capitals and more in the source of events.
#[test]
fn the_page_of_events_has_every_reason() {
    let source = fs::read_to_string(file("src/cluster/telling/record.rs")).unwrap();
    let (source, _) = source.split_once("#[cfg(test)]").unwrap();
    let is_reason = |text: &&str| {
        text.len() > 6
            && text.chars().all(|c| c.is_ascii_alphanumeric())
            && text.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let not_reasons = ["NodeClaim", "NodePool", "Waiting"];
    let reasons: BTreeSet<&str> =
        source.split('"').skip(1).step_by(2).filter(is_reason).filter(|of| !not_reasons.contains(of)).collect();
    let page = fs::read_to_string(file("docs/events.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: BTreeSet<&str> = rows.collect();
    assert!(reasons.len() > 25, "{reasons:?}");
    assert_eq!(listed, reasons, "left: docs/events.md, right: src/cluster/telling/record.rs");
}
