//! The files of the project.

use std::path::{Path, PathBuf};

use super::source::Source;

/// Every source of the library and the binary, sorted by path, without the files that exist only in tests.
pub fn sources() -> Vec<Source> {
    let sources: Vec<Source> = files()
        .iter()
        .map(|file| relative(file))
        .filter(|path| path.starts_with("src/") && has_extension(path, "rs"))
        .map(|path| Source::parse(&path, &read(&path)).expect("the sources are Rust"))
        .collect();
    let test_modules: Vec<Vec<String>> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    sources.into_iter().filter(|source| !test_modules.iter().any(|test| source.module.starts_with(test))).collect()
}

/// The public modules of `src/lib.rs`, in its order.
pub fn stages_of_lib() -> Vec<String> {
    read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .map(|rest| rest.trim_end_matches(';').to_owned())
        .collect()
}

/// Places where a text file names a folder of one machine, as `file:line: text`.
pub fn machine_paths() -> Vec<String> {
    // Written in two parts, so that this file does not name them.
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/tmp/", "w")];
    let mut found = Vec::new();
    for file in files() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue }; // not a text
        for (number, line) in text.lines().enumerate() {
            if folders.iter().any(|folder| line.contains(folder)) {
                found.push(format!("{}:{}: {}", relative(&file), number + 1, line.trim()));
            }
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).expect("files are found below the root").to_string_lossy().replace('\\', "/")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the file was just listed")
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Every file of the checkout, sorted, without version control, build products and caches.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project can be listed") {
            let path = entry.expect("a folder of the project can be listed").path();
            let name = path.file_name().unwrap_or_default();
            match path.is_dir() {
                true if name == ".git" || name == "target" || name == "__pycache__" => {}
                true => folders.push(path),
                false if name == ".git" => {} // of a linked checkout
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}
