//! The pages: their commands work, their links lead somewhere, and messages that they explain exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, relative to the root.
fn pages() -> Vec<PathBuf> {
    let folders = [root().to_owned(), root().join("docs"), root().join("models"), root().join("charts/packwright")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}

/// What a block of a page needs, after `sh`.
const NEEDS: [&str; 3] = ["aws", "build", "cluster"];

/// The blocks of shell commands of a page that need nothing but the program.
fn commands(text: &str, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim().strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        match kind.split_once(' ') {
            None if kind == "sh" => found.push(block.join("\n")),
            Some(("sh", need)) => assert!(NEEDS.contains(&need), "{page}: commands that need {need}"),
            _ => {}
        }
    }
    found
}

/// As a person would, in the root of the checkout.
#[test]
fn the_commands_of_the_pages_work() {
    let program = Path::new(env!("CARGO_BIN_EXE_packwright"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut tried = 0;
    for page in pages() {
        for block in commands(&fs::read_to_string(&page).unwrap(), &name(&page)) {
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", &block])
                .current_dir(root())
                .env("PATH", &path)
                .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}:\n{block}\n{said}", name(&page));
            tried += 1;
        }
    }
    assert!(tried >= 5, "only {tried} blocks of commands found");
}

/// How GitHub calls a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.contains('\n') {
                continue;
            }
            let (file, within) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(to.exists(), "{}: {link} is not there", name(&page));
            assert!(within.is_empty() || anchors(&to).contains(within), "{}: {link} is no heading", name(&page));
        }
    }
}

/// Every source of the program in one text.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn messages_that_are_explained_exist() {
    let mut all = String::new();
    sources(&root().join("src"), &mut all);
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let first_cells = page.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
    let words: Vec<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(words.len() > 30, "{words:?}");
    for words in words {
        assert!(all.contains(words), "docs/troubleshooting.md explains `{words}`, which nothing says");
    }
}

#[test]
fn the_book_names_every_page() {
    let book = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages().iter().filter(|page| page.parent() == Some(&root().join("docs"))) {
        let file = page.file_name().unwrap().to_str().unwrap();
        assert!(file == "README.md" || book.contains(&format!("]({file})")), "docs/README.md does not name {file}");
    }
}
