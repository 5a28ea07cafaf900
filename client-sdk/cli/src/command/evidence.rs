//! `evidence`.

use std::fs;
use std::path::Path;

use hearth_sdk::{EvidenceEntry, check_evidence, group_hex};
use serde_json::json;

use super::Session;
use crate::arguments::Evidence;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn run(session: &Session, action: Evidence) -> Result<(), Failure> {
    match action {
        Evidence::List => list(session).await,
        Evidence::Show { number } => show(session, number).await,
        Evidence::Check { file } => check(session.output, &file),
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let entries = session.hearth.evidence().await?;
    if entries.is_empty() {
        session.output.note("no server was caught at anything")?;
    }
    entries
        .iter()
        .try_for_each(|entry| line(session.output, entry))
}

async fn show(session: &Session, number: i64) -> Result<(), Failure> {
    let entries = session.hearth.evidence().await?;
    let entry = entries.iter().find(|entry| entry.id == number);
    let unknown = || Failure::Unknown("piece of evidence", number.to_string());
    line(session.output, entry.ok_or_else(unknown)?)
}

fn line(output: Output, entry: &EvidenceEntry) -> Result<(), Failure> {
    let bytes = hex(&entry.bytes);
    output.line(
        || {
            json!({
                "evidence": entry.id,
                "group": group_hex(&entry.group),
                "how": entry.how,
                "number": entry.number,
                "bytes": bytes,
            })
        },
        || format!("{}: at number {}\n{bytes}", entry.id, entry.number),
    )
}

/// Check what somebody else has: hexadecimal, as `show` prints it.
fn check(output: Output, file: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(file)?;
    let unreadable = || Failure::Unknown("evidence in the file", file.display().to_string());
    let accused = bytes(text.trim())
        .and_then(|bytes| check_evidence(&bytes).ok())
        .ok_or_else(unreadable)?;
    let root = hex(&accused.root.0);
    output.line(
        || {
            json!({
                "domain": accused.domain.as_str(),
                "root": root,
                "proof": accused.is_proof,
            })
        },
        || {
            let weight = match accused.is_proof {
                true => "proves that it lied",
                false => "does not fit; it may have an explanation",
            };
            format!("signed by {} (root {root}): {weight}", accused.domain)
        },
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |digit: char| digit.to_digit(16);
    let byte = |[high, low]: &[char; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<Vec<_>>>()
        .filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_hexadecimal() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&hex(&all)), Some(all));
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("0g"), None);
    }
}
