//! Every dependency may be distributed with this project, and every data file says where it comes from.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

/// (SPDX licence or licence with exception, why it is acceptable)
const ALLOWED: [(&str, &str); 9] = [
    ("Apache-2.0", "our own licence"),
    ("Apache-2.0 WITH LLVM-exception", "our own licence with fewer conditions"),
    ("MIT", "permissive: keep the notice"),
    ("BSD-3-Clause", "permissive: keep the notice, no endorsement"),
    ("ISC", "permissive: keep the notice"),
    ("Zlib", "permissive: mark altered versions"),
    ("Unlicense", "public domain"),
    ("Unicode-3.0", "permissive: the tables of Unicode, keep the notice"),
    ("CDLA-Permissive-2.0", "permissive, for data: Mozilla's root certificates, keep the text"),
];

/// Old manifests write `MIT/Apache-2.0`.
const MODE: ParseMode = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };

/// Why an expression is refused; `None` where some choice of its licences is allowed.
fn refusal(expression: &str) -> Option<String> {
    let parsed = match Expression::parse_mode(expression, MODE) {
        Ok(parsed) => parsed,
        Err(error) => return Some(error.to_string()),
    };
    let failures = parsed.evaluate_with_failures(|licence| {
        let name = licence.to_string();
        ALLOWED.iter().any(|(allowed, _)| *allowed == name)
    });
    failures.err().map(|licences| licences.iter().map(|l| l.req.to_string()).collect::<Vec<_>>().join(", "))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every package of the lock file, for all platforms and features.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .expect("cargo runs, as it built this test");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("cargo lists packages").clone()
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let packages = packages();
    assert!(packages.len() > 50, "only {} packages listed", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let reason = match package["license"].as_str() {
                Some(expression) => refusal(expression)?,
                None => "no licence given".to_owned(),
            };
            Some(format!("{} {}: {reason}", package["name"], package["version"]))
        })
        .collect();
    assert!(
        refused.is_empty(),
        "add a licence to ALLOWED with a reason, or drop the dependency:\n{}",
        refused.join("\n")
    );
}

#[test]
fn a_choice_needs_one_allowed_licence_and_a_conjunction_all() {
    assert_eq!(refusal("MIT/Apache-2.0"), None);
    assert_eq!(refusal("MIT OR GPL-3.0-only"), None);
    assert_eq!(refusal("(MIT OR GPL-3.0-only) AND Unicode-3.0"), None);
    assert_eq!(refusal("Apache-2.0 WITH LLVM-exception"), None);
    assert_eq!(refusal("GPL-3.0-only").as_deref(), Some("GPL-3.0-only"));
    assert!(refusal("MIT AND AGPL-3.0-only").is_some());
    assert!(refusal("GPL-2.0-only WITH Classpath-exception-2.0").is_some());
    assert!(refusal("MIT-but-different").is_some());
}

#[test]
fn our_own_licence_is_the_apache_licence() {
    let licence = std::fs::read_to_string(root().join("LICENSE")).expect("LICENSE exists");
    assert!(licence.contains("Version 2.0, January 2004") && licence.contains("END OF TERMS AND CONDITIONS"));
}

/// Data that others made: every file of these kinds in the folders of data, unless our own converter wrote it.
#[test]
fn every_data_file_is_listed_in_the_notice() {
    let notice = std::fs::read_to_string(root().join("NOTICE")).expect("NOTICE exists");
    let mut folders = vec![root().join("src"), root().join("benchmarks"), root().join("tests"), root().join("data")];
    let mut data = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder of the project can be listed").path();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !path.ends_with("benchmarks/results") && !path.ends_with("benchmarks/bounds") {
                    folders.push(path); // those are measured here, not taken from anybody
                }
            } else if ["csv", "tsv", "json", "bin", "gz", "zst", "xz"].contains(&extension.as_str()) {
                let name = path.strip_prefix(root()).expect("found below the root");
                data.push(name.to_string_lossy().into_owned());
            }
        }
    }
    assert!(!data.is_empty(), "no data found");
    let unlisted: Vec<&String> = data.iter().filter(|file| !notice_lists(&notice, file)).collect();
    assert!(unlisted.is_empty(), "NOTICE names neither these files nor a folder of theirs: {unlisted:?}");
}

/// The notice lists a file, or a folder with a slash at its end.
fn notice_lists(notice: &str, file: &str) -> bool {
    let entries = notice.lines().filter_map(|line| line.trim().strip_prefix("* "));
    entries.into_iter().any(|entry| file == entry || (entry.ends_with('/') && file.starts_with(entry)))
}
