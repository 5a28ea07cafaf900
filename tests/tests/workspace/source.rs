//! The workspace's files, as the tests of its order read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories with Rust code in them.
const CODE: &[&str] = &["protocol", "server", "client-sdk", "tests", "bench", "fuzz"];

/// The workspace's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file's text; empty if there is none.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Every Rust file: path from the root, and text.
pub(crate) fn rust_files() -> BTreeMap<String, String> {
    files(CODE, "rs")
}

/// Every file with this extension below these directories: path from the root, and text.
pub(crate) fn files(directories: &[&str], extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<String> = directories.iter().map(|name| (*name).to_owned()).collect();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(root().join(&directory)).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{directory}/{name}");
            if root().join(&path).is_dir() && name != "target" {
                waiting.push(path);
            } else if Path::new(&name)
                .extension()
                .is_some_and(|ext| ext == extension)
            {
                let content = text(&path);
                found.insert(path, content);
            }
        }
    }
    found
}

/// The rows of the Markdown tables under the heading `heading`, as trimmed cells.
pub(crate) fn table_rows(markdown: &str, heading: &str) -> Vec<Vec<String>> {
    let section = markdown.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let rows = section.filter(|line| line.starts_with('|') && !line.starts_with("|-"));
    rows.skip(1)
        .map(|row| {
            let row = row.trim_matches('|');
            row.split('|').map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// Report everything that was found, if anything was.
pub(crate) fn assert_none(claim: &str, findings: &[String]) {
    let count = findings.len();
    assert!(
        findings.is_empty(),
        "{claim}: {count} findings\n{}",
        findings.join("\n")
    );
}
