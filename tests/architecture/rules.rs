//! The rules, each a function from sources to violations, and tests that bad code breaks them.

use super::source::Source;

/// Crates that do I/O, wait, draw random numbers or write logs.
const IMPURE_CRATES: [&str; 18] = [
    "tokio",
    "futures",
    "async_trait",
    "kube",
    "kube_client",
    "kube_runtime",
    "hyper",
    "reqwest",
    "aws_config",
    "aws_sdk_ec2",
    "aws_types",
    "rand",
    "getrandom",
    "fastrand",
    "tracing",
    "log",
    "indicatif",
    "clap",
];
const IMPURE_STD: [&str; 8] = ["fs", "net", "io", "env", "time", "thread", "process", "os"];
const IMPURE_WORDS: [&str; 8] = ["async", "await", "print!", "println!", "eprint!", "eprintln!", "dbg!", "RandomState"];
const SOLVER_CRATES: [&str; 3] = ["good_lp", "highs", "highs_sys"];

/// Names of modules of the crate that come later than the source's own, or that are no modules at all (a glob).
pub fn later_stages(source: &Source, stages: &[&str]) -> Vec<String> {
    let position = |module: &str| stages.iter().position(|stage| *stage == module);
    let Some(own) = source.module.first().and_then(|module| position(module)) else { return Vec::new() };
    source.find(|name| match name {
        ["crate", module, ..] => position(module).is_none_or(|other| other > own),
        _ => false,
    })
}

/// What the pure stages must not name.
pub fn impurities(source: &Source, pure: &[&str]) -> Vec<String> {
    if !source.module.first().is_some_and(|module| pure.contains(&module.as_str())) {
        return Vec::new();
    }
    source.find(|name| match name {
        ["std", "time", "Duration", ..] => false,
        ["std", module, ..] if *module == "*" || IMPURE_STD.contains(module) => true,
        [first, ..] if name.len() > 1 && IMPURE_CRATES.contains(first) => true,
        [_, .., "now"] => true,
        _ => name.last().is_some_and(|last| IMPURE_WORDS.contains(last)),
    })
}

/// Every use of a solver crate where more than one file has some, or one outside `src/solve`.
pub fn solver_users(sources: &[Source]) -> Vec<String> {
    let uses = |source: &Source| source.find(|name| SOLVER_CRATES.contains(&name[0]) && name.len() > 1);
    let users: Vec<&Source> = sources.iter().filter(|source| !uses(source).is_empty()).collect();
    let rightly_placed = |source: &&Source| source.module.first().is_some_and(|module| module == "solve");
    if users.len() <= 1 && users.iter().all(rightly_placed) {
        return Vec::new();
    }
    users.into_iter().flat_map(uses).collect()
}

/// Names of modules that a module must not know although they come before it.
pub fn strangers(source: &Source, rules: &[(&str, &[&str])]) -> Vec<String> {
    let module = source.module.join("::");
    let applies = |subject: &str| module == subject || module.starts_with(&format!("{subject}::"));
    rules
        .iter()
        .filter(|(subject, _)| applies(subject))
        .flat_map(|(_, unknown)| source.find(|name| matches!(name, ["crate", other, ..] if unknown.contains(other))))
        .collect()
}

mod tests {
    use super::*;

    const STAGES: [&str; 4] = ["units", "observe", "solve", "plan"];

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text).expect("the snippets are Rust")
    }

    #[test]
    fn a_later_stage_is_found_however_it_is_named() {
        for text in [
            "use crate::plan::Plan;",
            "use crate::{units::MicroUsd, plan::{types::Plan}};",
            "pub use super::super::plan as later;",
            "fn f() -> crate::plan::Plan { todo() }",
            "fn f() { assert!(crate::plan::check(x)) }",
            "mod inner { fn f() { super::super::super::plan::check() } }",
            "macro_rules! m { () => { $crate::plan::check() } }",
            "use crate::*;",
            "use crate as c;",
            "#[cfg(not(test))] use crate::plan::Plan;",
        ] {
            assert_eq!(later_stages(&source("src/solve/greedy.rs", text), &STAGES).len(), 1, "{text}");
        }
    }

    #[test]
    fn earlier_stages_own_modules_and_tests_may_be_named() {
        let text = "
            //! [`crate::plan`]
            use crate::{units::MicroUsd, observe};
            use super::bound;
            pub(crate) fn plan(plan: &observe::Snapshot) -> bool { self::bound::plan(plan.plan) != true }
            #[cfg(test)]
            mod tests { use super::*; use crate::plan::Plan; }
        ";
        assert!(later_stages(&source("src/solve/greedy.rs", text), &STAGES).is_empty());
    }

    #[test]
    fn a_violation_names_file_line_and_path() {
        let found =
            later_stages(&source("src/solve/greedy.rs", "use crate::{\n    units,\n    plan::Plan,\n};"), &STAGES);
        assert_eq!(found, ["src/solve/greedy.rs:3: crate::plan::Plan"]);
    }

    #[test]
    fn impure_code_is_found() {
        for text in [
            "use std::{collections::BTreeMap, fs};",
            "use std::io::Write;",
            "use std as s;",
            "use std::*;",
            "use std::time;",
            "fn f() { std::env::var(\"X\"); }",
            "fn f() { let t = jiff::Timestamp::now(); }",
            "fn f() { let t = Timestamp::now(); }",
            "use std::time::{Duration, Instant};",
            "async fn f() {}",
            "use tokio::time::sleep;",
            "use kube::Client;",
            "fn f() { println!(\"{}\", 1) }",
            "fn f() { std::dbg!(1); }",
            "fn f() -> u8 { rand::random() }",
        ] {
            assert_eq!(impurities(&source("src/solve/greedy.rs", text), &["solve"]).len(), 1, "{text}");
            assert!(impurities(&source("src/host/worker.rs", text), &["solve"]).is_empty(), "{text}");
        }
    }

    #[test]
    fn pure_code_passes() {
        let text = "
            use std::{collections::BTreeMap, fmt, time::Duration};
            fn f(now: jiff::Timestamp, log: &[u8]) -> String { format!(\"{now} {}\", log.len()) }
            #[cfg(test)] fn g() { println!(\"only in tests\") }
        ";
        assert!(impurities(&source("src/solve/greedy.rs", text), &["solve"]).is_empty());
    }

    #[test]
    fn a_second_user_of_the_solver_is_found() {
        let one = || source("src/solve/highs.rs", "use good_lp::{variable, highs};");
        assert!(solver_users(&[one()]).is_empty());
        let two = solver_users(&[one(), source("src/solve/bound.rs", "fn f() { highs_sys::Highs_create(); }")]);
        assert!(two.iter().any(|found| found.starts_with("src/solve/bound.rs:1")), "{two:?}");
        assert_eq!(solver_users(&[source("src/plan/x.rs", "use highs::Model;")]).len(), 1);
        assert!(solver_users(&[source("src/plan/x.rs", "let highs = crate::solve::highs::solve();")]).is_empty());
    }

    #[test]
    fn a_checker_that_knows_the_solver_is_found() {
        let rules: [(&str, &[&str]); 1] = [("plan::check", &["solve"])];
        let text = "use crate::solve::Solution;";
        assert_eq!(strangers(&source("src/plan/check.rs", text), &rules).len(), 1);
        assert_eq!(strangers(&source("src/plan/check/skew.rs", text), &rules).len(), 1);
        assert!(strangers(&source("src/plan/checklist.rs", text), &rules).is_empty());
    }

    #[test]
    fn test_code_is_not_counted() {
        let file = source(
            "src/solve/greedy.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n#[cfg(test)]\nmod more;\n",
        );
        assert_eq!(file.lines, 1);
        assert_eq!(file.test_modules, [["solve", "greedy", "more"]]);
    }
}
