//! The pages: their commands work, their links lead somewhere, and messages that they explain exist.

mod commands;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, relative to the root.
fn pages() -> Vec<PathBuf> {
    let folders =
        ["", "docs", "models", "charts/packwright", "charts/packwright-crd"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap().display().to_string()
}

/// What a block of a page needs, after `sh`. An `example` has names of nobody's cluster, or does not end.
const NEEDS: [&str; 6] = ["aws", "build", "cluster", "example", "highspy", "time"];

/// What lines of commands begin with.
const PROGRAMS: [&str; 5] = ["packwright ", "make ", "helm ", "kubectl ", "aws "];

/// The blocks of shell commands of a page that need nothing but the program, or this.
fn commands(text: &str, page: &str, needed: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim().strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        match kind.split_once(' ') {
            None if kind == "sh" => found.extend(needed.is_none().then(|| block.join("\n"))),
            Some(("sh", need)) => {
                assert!(NEEDS.contains(&need), "{page}: commands that need {need}");
                found.extend((needed == Some(need)).then(|| block.join("\n")));
            }
            _ => {
                let is_command = |line: &&&str| PROGRAMS.iter().any(|program| line.trim().starts_with(program));
                let hidden = block.iter().find(is_command);
                assert!(hidden.is_none(), "{page}: a command that nobody runs is to be in a block of sh: {hidden:?}");
            }
        }
    }
    found
}

/// A shell as a person has it in the root of the checkout, with the program.
fn shell(script: &str, programs: Option<&Path>) -> Command {
    let own = Path::new(env!("CARGO_BIN_EXE_packwright")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = programs.into_iter().chain([own]).map(Path::to_owned).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(root())
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

fn assert_works(page: &str, block: &str, command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{page}:\n{block}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_commands_of_the_pages_work() {
    let mut tried = 0;
    for page in pages() {
        for block in commands(&fs::read_to_string(&page).unwrap(), &name(&page), None) {
            assert_works(&name(&page), &block, &mut shell(&block, None));
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} blocks of commands found");
}

/// On a real control plane, with nodes that kwok plays. The page that installs the kinds comes first.
#[cfg(feature = "live")]
#[test]
fn the_commands_for_a_cluster_work() {
    let cluster = crate::cluster::Cluster::start();
    let _logs = crate::cluster::ShownOnPanic(&cluster);
    let _nodes = crate::charts::installing::Nodes::two(&cluster);
    let mut pages = pages();
    pages.sort_by_key(|page| !page.starts_with(root().join("charts/packwright-crd")));
    let mut tried = 0;
    for page in pages {
        for block in commands(&fs::read_to_string(&page).unwrap(), &name(&page), Some("cluster")) {
            let mut shell = shell(&block, Some(&cluster.folder.join("bin")));
            shell.env("KUBECONFIG", cluster.folder.join("kubeconfig"));
            assert_works(&name(&page), &block, &mut shell);
            tried += 1;
        }
    }
    assert!(tried >= 7, "only {tried} blocks of commands found");
}

/// The models of a decision, solved again with HiGHS for Python; and what is stored of them is compared.
#[test]
fn models_are_studied_with_highspy() {
    let mut install = Command::new(root().join("tests/python.sh"));
    let made =
        install.arg("highspy").arg(root().join("tests/docs/requirements.txt")).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let programs = Path::new(String::from_utf8(made.stdout).unwrap().trim()).join("bin");
    let page = root().join("docs/studying.md");
    let blocks = commands(&fs::read_to_string(&page).unwrap(), &name(&page), Some("highspy"));
    assert_eq!(blocks.len(), 1);
    assert_works(&name(&page), &blocks[0], &mut shell(&blocks[0], Some(&programs)));
    let edit = r#"sed -i 's/"objective": \([0-9]\)/"objective": 9\1/' "$decision/models.json""#;
    let wrong = blocks[0].replace("python ", &format!("{edit}\npython "));
    let output = shell(&wrong, Some(&programs)).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{wrong}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("NOT as stored"), "{output:?}");
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
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, log) = page.split_once("## What the log says").unwrap();
    let cells = log.lines().filter_map(|line| line.strip_prefix('|')?.split('|').nth(1));
    let words: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(words.len() > 20, "{words:?}");
    for words in words {
        assert!(all.contains(words.trim_end_matches("...")), "docs/operations.md has `{words}`, which nothing says");
    }
}

#[test]
fn the_book_names_every_page() {
    let book = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages().iter().filter(|page| page.parent() == Some(&root().join("docs"))) {
        let file = page.file_name().unwrap().to_str().unwrap();
        assert!(file == "README.md" || book.contains(&format!("]({file})")), "docs/README.md does not name {file}");
        let text = fs::read_to_string(page).unwrap();
        let leads_back = text.trim_end().ends_with("[All pages](README.md)");
        assert!(file == "README.md" || leads_back, "{file} does not lead back to docs/README.md");
    }
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let modules = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules =
        modules.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let missing: Vec<&str> = modules.filter(|module| !map.contains(&format!("`{module}`"))).collect();
    assert!(missing.is_empty(), "docs/architecture.md does not name {missing:?}");
}

/// Figures that a measurement is still to fill in are written `@NAME@`.
#[test]
fn no_page_waits_for_a_figure() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let between = text.split('@').skip(1).step_by(2);
        let is_name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let waiting: Vec<&str> = between.filter(|word| is_name(word)).collect();
        assert!(waiting.is_empty(), "{}: {waiting:?}", name(&page));
    }
}
