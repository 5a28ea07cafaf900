//! The layout of the workspace is what ARCHITECTURE.md and CONTRIBUTING.md say it is.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use protocol::request::REGISTRY;
use toml::Table;

use crate::lexer::code_only;
use crate::source::{assert_none, rust_files, table_rows, text};

#[path = "workspace/lexer.rs"]
mod lexer;
#[path = "workspace/source.rs"]
mod source;

const LINES_MAX: usize = 600;
const FORBIDDEN_NAMES: &[&str] = &[
    "util", "utils", "common", "misc", "helpers", "helper", "types", "models", "manager",
    "handlers",
];
const SERVICES: &[&str] = &["auth", "delivery", "queue"];

/// What a crate must never depend on, directly.
const NEVER: &[(&str, &[&str])] = &[
    (
        "protocol",
        &[
            "openmls",
            "tokio",
            "quinn",
            "serde",
            "rand",
            "rand_core",
            "getrandom",
        ],
    ),
    ("store", &["rocksdb", "tokio", "quinn"]),
    ("auth", &["tokio", "quinn", "rocksdb", "rand"]),
    ("delivery", &["tokio", "quinn", "rocksdb", "rand"]),
    ("queue", &["tokio", "quinn", "rocksdb", "rand"]),
    ("engine", &["tokio", "quinn", "rocksdb", "rand"]),
    (
        "node",
        &[
            "auth",
            "delivery",
            "queue",
            "openmls",
            "tls_codec",
            "rocksdb",
        ],
    ),
    ("client-core", &["tokio", "quinn"]),
];

/// Dependencies that only these crates may name.
const ONLY: &[(&str, &[&str])] = &[
    ("rocksdb", &["store-rocksdb"]),
    ("quinn", &["node", "hearth-sdk", "tests", "bench"]),
    ("quinn-proto", &["node", "hearth-sdk", "tests", "bench"]),
];

/// Versions below which a dependency has a known vulnerability.
const FLOORS: &[(&str, [u64; 3])] = &[
    ("quinn-proto", [0, 11, 19]),
    ("ring", [0, 17, 12]),
    ("openmls", [0, 9, 2]),
];

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut findings = Vec::new();
    for (path, content) in rust_files() {
        let lines = content.lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        }
        if !content.starts_with("//! ") {
            findings.push(format!(
                "{path}: the first line does not say what it is (`//! ..`)"
            ));
        }
        let names = path.split('/').map(|part| part.trim_end_matches(".rs"));
        for name in names.filter(|name| FORBIDDEN_NAMES.contains(name)) {
            findings.push(format!("{path}: the name {name} says nothing"));
        }
    }
    assert_none("files", &findings);
}

#[test]
fn code_is_ascii_outside_literals_and_comments() {
    let mut findings = Vec::new();
    for (path, content) in rust_files() {
        for (number, line) in code_only(&content).lines().enumerate() {
            if !line.is_ascii() {
                findings.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert_none("characters", &findings);
}

#[test]
fn what_is_to_be_done_names_an_issue() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let names_issue = |line: &str| {
        line.split('#')
            .skip(1)
            .any(|after| after.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut findings = Vec::new();
    for (path, content) in rust_files() {
        for (number, line) in content.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) && !names_issue(line) {
                findings.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("leftovers without an issue's number", &findings);
}

/// Invariant I1 of ARCHITECTURE.md. Tests and measurements may look at a clock, and are neither
/// services nor clients.
#[test]
fn only_clocks_ask_for_the_time() {
    let questions = ["SystemTime::now", "Instant::now"];
    let mut findings = Vec::new();
    for (path, content) in rust_files() {
        let allowed = path.starts_with("tests/")
            || path.starts_with("bench/")
            || path.contains("/tests/")
            || path.contains("/examples/")
            || path.ends_with("/clock.rs")
            || path.ends_with("/tests.rs")
            || path.ends_with("/testing.rs");
        let production = content
            .split("#[cfg(test)]\nmod")
            .next()
            .unwrap_or_default();
        let code = code_only(production);
        let asks = |line: &str| questions.iter().any(|question| line.contains(question));
        for (number, line) in code.lines().enumerate() {
            if !allowed && asks(line) {
                findings.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("clocks outside clock.rs", &findings);
}

#[test]
fn services_touch_neither_network_nor_files() {
    let places = [
        "protocol/src",
        "server/store/src",
        "server/auth/src",
        "server/delivery/src",
        "server/queue/src",
        "server/engine/src",
    ];
    let mut findings = Vec::new();
    for (path, content) in rust_files() {
        let pure = places.iter().any(|place| path.starts_with(place));
        let code = code_only(&content);
        for module in ["std::net", "std::fs", "std::process"] {
            if pure && code.contains(module) {
                findings.push(format!("{path}: {module}"));
            }
        }
    }
    assert_none("input and output", &findings);
}

/// Invariant I4 of ARCHITECTURE.md, and its code map.
#[test]
fn crates_depend_on_what_the_architecture_allows() {
    let rows = table_rows(&text("ARCHITECTURE.md"), "## Code map");
    let manifests = manifests();
    let ours: BTreeSet<&str> = manifests.keys().map(String::as_str).collect();
    let mut findings = Vec::new();
    let mut described = BTreeSet::new();
    for row in &rows {
        let [name, directory, _, allowed] = row.as_slice() else {
            findings.push(format!("a row of the code map has {} cells", row.len()));
            continue;
        };
        let name = name.trim_matches('`');
        described.insert(name);
        let Some(manifest) = manifests.get(name) else {
            findings.push(format!("{name}: no such crate in {directory}"));
            continue;
        };
        let Some(allowed) = allowed_crates(allowed) else {
            continue;
        };
        let named = dependencies(manifest, &["dependencies", "build-dependencies"]);
        for dependency in named.iter().filter(|name| ours.contains(name.as_str())) {
            if !allowed.contains(dependency) {
                findings.push(format!(
                    "{name} uses {dependency}, which the code map does not allow"
                ));
            }
        }
    }
    for name in ours.difference(&described) {
        findings.push(format!("{name} is not in the code map"));
    }
    assert_none("dependencies among our crates", &findings);
}

/// What a cell of the code map allows; none if it allows everything.
fn allowed_crates(cell: &str) -> Option<BTreeSet<String>> {
    if cell == "everything" || cell.ends_with("what it aims at") {
        return None;
    }
    let names = cell.split(", ").flat_map(|name| match name {
        "the services" => SERVICES.to_vec(),
        name => vec![name],
    });
    Some(names.map(str::to_owned).collect())
}

#[test]
fn crates_keep_away_from_what_is_not_theirs() {
    let manifests = manifests();
    let mut findings = Vec::new();
    let all = ["dependencies", "build-dependencies", "dev-dependencies"];
    for (name, manifest) in &manifests {
        let named = dependencies(manifest, &all);
        for (dependency, users) in ONLY {
            if named.contains(*dependency) && !users.contains(&name.as_str()) {
                findings.push(format!("{name} uses {dependency}, which is for {users:?}"));
            }
        }
        for service in SERVICES
            .iter()
            .filter(|service| SERVICES.contains(&name.as_str()) && name != *service)
        {
            if named.contains(*service) {
                findings.push(format!("{name} knows {service}"));
            }
        }
    }
    for (name, never) in NEVER {
        let Some(manifest) = manifests.get(*name) else {
            continue;
        };
        let named = dependencies(manifest, &["dependencies", "build-dependencies"]);
        for dependency in never
            .iter()
            .filter(|dependency| named.contains(**dependency))
        {
            findings.push(format!("{name} must never use {dependency}"));
        }
    }
    assert_none("forbidden dependencies", &findings);
}

/// The manifests of the workspace's crates, by name.
fn manifests() -> BTreeMap<String, Table> {
    let workspace: Table = text("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let manifests = members.iter().map(|member| {
        let path = format!("{}/Cargo.toml", member.as_str().unwrap());
        let manifest: Table = text(&path).parse().unwrap();
        (
            manifest["package"]["name"].as_str().unwrap().to_owned(),
            manifest,
        )
    });
    manifests.collect()
}

fn dependencies(manifest: &Table, sections: &[&str]) -> BTreeSet<String> {
    let tables = sections
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn vulnerable_versions_are_not_locked() {
    let lock: Table = text("Cargo.lock").parse().unwrap();
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for package in lock["package"].as_array().unwrap() {
        let (name, version) = (
            package["name"].as_str().unwrap(),
            package["version"].as_str().unwrap(),
        );
        let Some((_, floor)) = FLOORS.iter().find(|(floored, _)| *floored == name) else {
            continue;
        };
        seen.insert(name);
        let numbers = version
            .split(['.', '-', '+'])
            .map(|part| part.parse().unwrap_or(0));
        if numbers.take(3).lt(floor.iter().copied()) {
            findings.push(format!("{name} {version} is below {floor:?}"));
        }
    }
    let missing = FLOORS.iter().filter(|(name, _)| !seen.contains(name));
    findings.extend(missing.map(|(name, _)| format!("{name} is not locked at all")));
    assert_none("versions", &findings);
}

#[test]
fn every_operation_has_its_place_in_every_layer() {
    let mut findings = Vec::new();
    for entry in REGISTRY {
        let name = entry.name;
        let service = SERVICES[usize::from(entry.code >> 8) - 1];
        let spec = format!("spec/{service}.md");
        if !text(&spec).lines().any(|line| line == format!("## {name}")) {
            findings.push(format!("{spec} has no heading {name}"));
        }
        let paths = [
            format!("protocol/src/{service}/{name}.rs"),
            format!("server/{service}/src/{name}.rs"),
        ];
        for path in paths {
            if text(&path).is_empty() {
                findings.push(format!("{path} is missing"));
            }
        }
    }
    assert_none("operations", &findings);
}
