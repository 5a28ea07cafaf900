//! The specification and the code say the same: requirement ids, registry, inventory, anchors.

#![expect(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use protocol::codec::{decode_exact, encode};
use protocol::crypto::identity::SEALED_IDENTITY_EXTENSION;
use protocol::crypto::label;
use protocol::error::{ErrorCode, Rule};
use protocol::group_policy::GROUP_POLICY_EXTENSION;
use protocol::request::REGISTRY;

use crate::source::{assert_none, files, rust_files, table_rows, text};

#[path = "workspace/source.rs"]
mod source;

const RULES: [Rule; 15] = [
    Rule::Credential,
    Rule::ConnectionPackage,
    Rule::KeyPackage,
    Rule::WireFormat,
    Rule::Framing,
    Rule::Commit,
    Rule::GroupInfo,
    Rule::Members,
    Rule::Policy,
    Rule::GroupSize,
    Rule::PendingProposals,
    Rule::Role,
    Rule::ExternalCommit,
    Rule::Recipient,
    Rule::Complaint,
];

#[test]
fn every_requirement_is_cited_by_code_and_no_citation_dangles() {
    let (spec, code) = (files(&["spec"], "md"), rust_files());
    let (required, cited) = (citations(&spec), citations(&code));
    let mut findings = Vec::new();
    for (id, places) in &required {
        if !cited.contains_key(id) {
            findings.push(format!("[{id}] of {places:?} is cited by no code"));
        }
    }
    for (id, places) in &cited {
        if !required.contains_key(id) {
            findings.push(format!(
                "[{id}] cited in {places:?} is not in the specification"
            ));
        }
    }
    assert_none("requirements", &findings);
}

/// Every `[AREA-NAME-n]` in these files, with the files.
fn citations(files: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<&str>> {
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (path, content) in files {
        for after in content.split('[').skip(1) {
            let Some((id, _)) = after.split_once(']') else {
                continue;
            };
            if is_requirement(id) {
                found.entry(id.to_owned()).or_default().insert(path);
            }
        }
    }
    found
}

fn is_requirement(id: &str) -> bool {
    let parts: Vec<&str> = id.split('-').collect();
    let [area, names @ .., number] = parts.as_slice() else {
        return false;
    };
    let is_word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase());
    is_word(area) && !names.is_empty() && names.iter().all(is_word) && number.parse::<u16>().is_ok()
}

#[test]
fn the_registry_of_operations_is_the_codes() {
    let coded = REGISTRY.iter().map(|entry| {
        let (mode, class) = (format!("{:?}", entry.mode), format!("{:?}", entry.class));
        let number = format!("{:#06x}", entry.code);
        vec![
            number,
            entry.name.to_owned(),
            mode.to_lowercase(),
            class.to_lowercase(),
        ]
    });
    compare("## Operations", coded.collect(), 4);
}

#[test]
fn the_registry_of_errors_is_the_codes() {
    let codes = (0..=u16::MAX).filter_map(|number: u16| {
        let code: ErrorCode = decode_exact(&encode(&number)).ok()?;
        Some(vec![number.to_string(), format!("{code:?}")])
    });
    compare("## Errors", codes.collect(), 2);
}

#[test]
fn the_registry_of_rules_is_the_codes() {
    let rules = RULES.map(|rule| vec![rule.number().to_string(), name(rule).to_owned()]);
    compare("## Rules", rules.to_vec(), 2);
}

/// Does not compile when a rule is missing, which `RULES` must then get as well.
fn name(rule: Rule) -> &'static str {
    match rule {
        Rule::Credential => "Credential",
        Rule::ConnectionPackage => "ConnectionPackage",
        Rule::KeyPackage => "KeyPackage",
        Rule::WireFormat => "WireFormat",
        Rule::Framing => "Framing",
        Rule::Commit => "Commit",
        Rule::GroupInfo => "GroupInfo",
        Rule::Members => "Members",
        Rule::Policy => "Policy",
        Rule::GroupSize => "GroupSize",
        Rule::PendingProposals => "PendingProposals",
        Rule::Role => "Role",
        Rule::ExternalCommit => "ExternalCommit",
        Rule::Recipient => "Recipient",
        Rule::Complaint => "Complaint",
    }
}

#[test]
fn the_registry_of_labels_is_the_codes() {
    let source = text("protocol/src/crypto/label.rs");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut coded = Vec::new();
    let mut texts = Vec::new();
    let mut comment = String::new();
    for line in lines {
        if let Some(more) = line.strip_prefix("/// ") {
            comment.push_str(if comment.is_empty() { "" } else { " " });
            comment.push_str(more);
            continue;
        }
        let meaning = std::mem::take(&mut comment);
        let Some((name, label)) = line.strip_suffix("\";").and_then(|l| l.split_once(" = \""))
        else {
            continue;
        };
        texts.push(label.to_owned());
        let meaning = meaning.trim_end_matches('.').to_owned();
        coded.push(vec![name.to_owned(), format!("`{label}`"), meaning]);
    }
    assert_eq!(
        texts,
        label::ALL,
        "label.rs reads otherwise than this test thinks"
    );
    compare("## Labels", coded, 3);
}

#[test]
fn the_extension_of_sealed_identities_is_registered() {
    let rows = table_rows(&text("spec/registry.md"), "## MLS extensions");
    let number = format!("0x{SEALED_IDENTITY_EXTENSION:04X}");
    let registered = rows
        .iter()
        .any(|row| row.starts_with(&[number.clone(), "sealed_identity".to_owned()]));
    assert!(registered, "{number} is not in {rows:?}");
}

#[test]
fn the_extension_of_group_policies_is_registered() {
    let rows = table_rows(&text("spec/registry.md"), "## MLS extensions");
    let number = format!("0x{GROUP_POLICY_EXTENSION:04X}");
    let registered = rows
        .iter()
        .any(|row| row.starts_with(&[number.clone(), "group_policy".to_owned()]));
    assert!(registered, "{number} is not in {rows:?}");
}

/// Compare the first `columns` of a registry table with what the code has, in any order.
fn compare(heading: &str, coded: Vec<Vec<String>>, columns: usize) {
    let rows = table_rows(&text("spec/registry.md"), heading).into_iter();
    let registered: BTreeSet<Vec<String>> = rows
        .map(|row| row.into_iter().take(columns).collect())
        .collect();
    let coded: BTreeSet<Vec<String>> = coded.into_iter().collect();
    let missing = coded
        .difference(&registered)
        .map(|row| format!("not registered: {}", row.join(" | ")));
    let dangling = registered
        .difference(&coded)
        .map(|row| format!("not in the code: {}", row.join(" | ")));
    let findings: Vec<String> = missing.chain(dangling).collect();
    assert_none(heading, &findings);
}

/// A table of a service: `Table::new(SPACE, 1, "service/name")`.
struct Stored {
    path: String,
    space: String,
    number: String,
    name: String,
}

fn stored_tables() -> Vec<Stored> {
    let mut tables = Vec::new();
    for (path, content) in rust_files() {
        let service = [
            "server/auth/src/",
            "server/delivery/src/",
            "server/queue/src/",
        ];
        if !service.iter().any(|directory| path.starts_with(directory)) {
            continue;
        }
        for after in content.split("Table::new(").skip(1) {
            let arguments = after.split_once(')').unwrap_or_default().0;
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            if let [space, number, name, ..] = arguments.as_slice() {
                tables.push(Stored {
                    path: path.clone(),
                    space: (*space).to_owned(),
                    number: (*number).to_owned(),
                    name: name.trim_matches('"').to_owned(),
                });
            }
        }
    }
    tables
}

#[test]
fn the_inventory_lists_every_table_that_is_stored() {
    let rows = table_rows(&text("spec/storage.md"), "## Data inventory");
    let cells = rows.iter().filter_map(|row| row.get(1));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let listed: BTreeSet<String> = quoted.map(str::to_owned).collect();
    let stored: BTreeSet<String> = stored_tables()
        .into_iter()
        .map(|table| table.name)
        .collect();
    let missing = stored
        .difference(&listed)
        .map(|name| format!("stored and not listed: {name}"));
    let dangling = listed
        .difference(&stored)
        .map(|name| format!("listed and not stored: {name}"));
    let findings: Vec<String> = missing.chain(dangling).collect();
    assert_none("spec/storage.md", &findings);
}

#[test]
fn tables_share_neither_name_nor_place() {
    let mut findings = Vec::new();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for Stored {
        path,
        space,
        number,
        name,
    } in stored_tables()
    {
        let service = path.split('/').nth(1).unwrap_or_default();
        if !name.starts_with(&format!("{service}/")) {
            findings.push(format!("{path}: {name} is not named for its service"));
        }
        for claim in [
            format!("place {service} {space} {number}"),
            format!("name {name}"),
        ] {
            if let Some(other) = taken.insert(claim.clone(), name.clone()) {
                findings.push(format!("{claim} is taken by {other} and {name}"));
            }
        }
    }
    assert_none("tables", &findings);
}

#[test]
fn anchors_into_the_specification_resolve() {
    let spec = files(&["spec"], "md");
    let anchors: BTreeSet<String> = spec
        .iter()
        .flat_map(|(path, content)| anchors(path, content))
        .collect();
    let mut findings = Vec::new();
    for (path, content) in rust_files().iter().chain(&spec) {
        for (file, anchor) in references(content) {
            let known = spec.contains_key(&format!("spec/{file}.md"));
            let reference = format!("{file}.md#{anchor}");
            if known && !anchors.contains(&reference) {
                findings.push(format!("{path}: {reference}"));
            }
        }
    }
    assert_none("anchors that lead nowhere", &findings);
}

/// `file.md#heading` of every heading, as Markdown viewers make it.
fn anchors(path: &str, content: &str) -> Vec<String> {
    let headings = content.lines().filter(|line| line.starts_with('#'));
    let file = path.trim_start_matches("spec/");
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            format!("{file}#{}", kept.collect::<String>().replace(' ', "-"))
        })
        .collect()
}

/// Every `name.md#anchor` in a text, as name and anchor.
fn references(content: &str) -> Vec<(String, String)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let parts: Vec<&str> = content.split(".md#").collect();
    let pairs = parts.iter().zip(parts.iter().skip(1));
    pairs
        .map(|(before, after)| {
            let name = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
            let anchor = after.split(|c| !is_word(c)).next().unwrap_or_default();
            (name.to_owned(), anchor.to_owned())
        })
        .collect()
}
