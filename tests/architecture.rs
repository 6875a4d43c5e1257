//! The architecture as rules over the sources: the order of the stages, decisions without I/O, one file that names the
//! solver, a checker that shares nothing with it, and short files.

mod project;
mod rules;
mod source;

use source::Source;

/// The stages in the order of the data; a module imports only the ones before it.
const STAGES: [&str; 28] = [
    "units",
    "random",
    "resources",
    "api",
    "requirements",
    "settings",
    "catalog",
    "observe",
    "disruption",
    "model",
    "solve",
    "scheduler",
    "plan",
    "verify",
    "host",
    "consolidation",
    "explain",
    "what_if",
    "doctor",
    "placement",
    "cloud",
    "controller",
    "aws",
    "cluster",
    "sim",
    "page",
    "bench",
    "cli",
];

/// Stages that decide: no I/O, no async, no clock, no environment, no randomness, no output.
const PURE: [&str; 13] = [
    "units",
    "resources",
    "requirements",
    "disruption",
    "model",
    "solve",
    "scheduler",
    "plan",
    "doctor",
    "placement",
    "cloud",
    "controller",
    "page",
];

/// (module, modules that it must not know although they come before it)
const STRANGERS: [(&str, &[&str]); 2] =
    [("plan::check", &["model", "solve"]), ("verify", &["model", "solve", "scheduler", "host", "explain"])];

const MAX_LINES: usize = 500;
/// (file, why it is longer)
const LONG_FILES: [(&str, &str); 0] = [];

fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

fn over_sources(rule: &str, violations: impl Fn(&Source) -> Vec<String>) {
    let sources = project::sources();
    assert!(sources.len() > 10, "only {} sources found", sources.len());
    assert_none(rule, &sources.iter().flat_map(violations).collect::<Vec<_>>());
}

#[test]
fn lib_lists_the_stages_in_the_order_of_the_data() {
    let listed = project::stages_of_lib();
    let expected: Vec<&str> = STAGES.into_iter().filter(|stage| listed.iter().any(|module| module == stage)).collect();
    assert_eq!(listed, expected, "src/lib.rs declares its modules in the order of the data, and no others");
}

#[test]
fn a_module_imports_only_the_modules_before_it() {
    over_sources("a stage imports only the stages before it", |source| rules::later_stages(source, &STAGES));
}

#[test]
fn decisions_do_no_io() {
    over_sources("these stages know no I/O, async, clock, environment, randomness or output", |source| {
        rules::impurities(source, &PURE)
    });
}

#[test]
fn one_file_names_the_solver() {
    let sources = project::sources();
    assert_none("exactly one file, in src/solve, names the solver crates", &rules::solver_users(&sources));
}

#[test]
fn the_checker_knows_nothing_of_the_solver() {
    over_sources("these modules check what others decided, with code of their own", |source| {
        rules::strangers(source, &STRANGERS)
    });
}

#[test]
fn files_are_short() {
    let long = |source: &Source| source.lines > MAX_LINES && !LONG_FILES.iter().any(|(file, _)| *file == source.path);
    over_sources("a file of more than 500 lines holds more than one idea", |source| {
        if long(source) { vec![format!("{}: {} lines", source.path, source.lines)] } else { Vec::new() }
    });
    for (file, _) in LONG_FILES {
        assert!(
            project::sources().iter().any(|source| source.path == file && source.lines > MAX_LINES),
            "{file} is short"
        );
    }
}

#[test]
fn files_name_no_path_of_one_machine() {
    assert_none("a file must not depend on where one person works", &project::machine_paths());
}
