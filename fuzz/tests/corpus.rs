//! The corpora hold what the test vectors hold, and nothing near them breaks a target.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a corpus that cannot be read fails the test"
)]

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{env, fs};

use fuzz::{ANSWERED, TARGETS, TEMPLATES, engine, group_templates, script, unchanged};
use protocol::frame;
use protocol::request::REGISTRY;
use serde_json::Value;

/// A seed: target, file name, bytes.
type Seed = (&'static str, String, Vec<u8>);

fn spec(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../spec/vectors")
        .join(path)
}

/// Where the corpora are; the seeds are written first if the environment asks for it.
fn corpus(target: &str) -> PathBuf {
    static WRITTEN: Once = Once::new();
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__");
    WRITTEN.call_once(|| {
        if env::var_os("HEARTH_WRITE_CORPUS").is_some() {
            for (target, name, bytes) in seeds() {
                let directory = corpora.join(target).join("corpus");
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join(format!("{name}-mutated")), mutated(&bytes)).unwrap();
                fs::write(directory.join(name), bytes).unwrap();
            }
        }
    });
    corpora.join(target).join("corpus")
}

/// One mutation that a fuzzer would take long to find: a length in the middle grows, the end goes.
fn mutated(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x41;
    }
    bytes.pop();
    bytes
}

/// Every vector that is bytes of a target.
fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for area in ["auth", "crypto", "delivery", "queue", "wire"] {
        for file in fs::read_dir(spec(area)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let vector: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            for (index, case) in vector["cases"].as_array().unwrap().iter().enumerate() {
                let bytes = from_hex(case["bytes"].as_str().unwrap());
                let case = case["name"].as_str().unwrap();
                let name_of_seed = format!("{area}-{name}-{index}");
                if is_request(name, case) {
                    let payload = [[0].as_slice(), &bytes].concat();
                    seeds.push(("engine", name_of_seed.clone(), payload));
                }
                if let Some((target, bytes)) = aimed(area, name, case, bytes) {
                    seeds.push((target, name_of_seed, bytes));
                }
            }
        }
    }
    let scripts = (0..TEMPLATES).map(|n| ("engine", format!("template-{n}"), script(n)));
    seeds.extend(scripts);
    for template in 0..group_templates() {
        seeds.push(("group", format!("template-{template}"), vec![template]));
        for what in 0..8 {
            let change = vec![template, what, template, what + 1];
            seeds.push(("group", format!("change-{template}-{what}"), change));
        }
    }
    seeds
}

fn is_operation(vector: &str) -> bool {
    REGISTRY.iter().any(|entry| entry.name == vector)
}

fn is_request(vector: &str, case: &str) -> bool {
    is_operation(vector) && case == "request"
}

/// Which target a case is for, and what the target gets.
fn aimed(area: &str, vector: &str, case: &str, bytes: Vec<u8>) -> Option<(&'static str, Vec<u8>)> {
    Some(match (area, vector, case) {
        ("wire", "request", _) => ("client_frame", bytes),
        ("wire", "frame", _) => ("client_frame", bytes),
        ("wire", "error_reply", _) => ("reply", bytes),
        ("auth", "contact", _) => ("contact", bytes),
        ("queue", "entry", _) => ("entry", bytes),
        ("crypto", "server_keys", _) => ("credential", [bytes, client_credential()].concat()),
        ("crypto", "hash" | "derive" | "fingerprint", _) => return None,
        ("wire", "bucket", _) | ("auth", "username_hash", _) => return None,
        _ if is_request(vector, case) => ("client_frame", frame::encode(&bytes).unwrap()),
        (_, _, "reply") if is_operation(vector) => ("reply", bytes),
        (_, "listen", _) => ("entry", bytes),
        _ => ("roundtrip", bytes),
    })
}

/// The good client credential of the vectors.
fn client_credential() -> Vec<u8> {
    let text = fs::read_to_string(spec("crypto/client_credential.json")).unwrap();
    let vector: Value = serde_json::from_str(&text).unwrap();
    from_hex(vector["cases"][0]["bytes"].as_str().unwrap())
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Every input near `bytes`: cut off, grown, each byte replaced, and each taken as the end of a
/// length that is one byte longer than needed.
fn near(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let grown = [0, 1, 0xff]
        .into_iter()
        .map(move |byte| [bytes, &[byte]].concat());
    let replaced = (0..bytes.len()).flat_map(move |index| {
        [0x01, 0x40, 0x80, 0xff].into_iter().map(move |mask| {
            let mut bytes = bytes.to_vec();
            bytes[index] ^= mask;
            bytes
        })
    });
    let stretched = (0..bytes.len()).map(|index| {
        let (before, after) = bytes.split_at(index);
        [before, &[0x40], after].concat()
    });
    cut.chain(grown).chain(replaced).chain(stretched)
}

#[test]
fn every_vector_is_in_the_corpus_of_its_target() {
    for (target, name, bytes) in seeds() {
        let stored = fs::read(corpus(target).join(&name)).unwrap_or_default();
        assert!(
            stored == bytes,
            "{target}/{name} is not what the vector says"
        );
    }
}

#[test]
fn nothing_near_a_corpus_breaks_its_target() {
    for (name, target) in TARGETS {
        let mut replayed = 0;
        for file in fs::read_dir(corpus(name)).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            target(&bytes);
            if !["engine", "group"].contains(name) {
                near(&bytes).for_each(|bytes| target(&bytes));
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{name} has no corpus");
    }
}

#[test]
fn every_reply_is_aimed_at() {
    let registered: Vec<u16> = REGISTRY.iter().map(|entry| entry.code).collect();
    assert_eq!(ANSWERED, registered);
}

/// What `near` is for the engine, whose inputs are not cheap: a bit in every seventh byte of every
/// request, before it is signed and after.
#[test]
fn a_changed_request_is_granted_or_fails_without_a_trace() {
    for template in 0..TEMPLATES {
        for offset in (0..560_u16).step_by(7) {
            let [high, low] = offset.to_be_bytes();
            engine(&[1, template, 0, 1, high, low, 0x01]);
            engine(&[1, template, 1, 1, high, low, 0x80]);
        }
    }
}

#[test]
fn every_two_requests_follow_each_other_without_harm() {
    for first in 0..TEMPLATES {
        for second in 0..TEMPLATES {
            engine(&[1, first, 0, 0, second, 0, 0, second, 0, 0]);
        }
    }
}

#[test]
fn templates_are_granted_unless_they_need_mls_or_another_one_first() {
    assert_eq!(usize::from(TEMPLATES), REGISTRY.len());
    let refused = [
        "create_group",
        "commit_group",
        "send_message",
        "fetch_welcome_state",
        "send_to_member",
        "propose",
        "fetch_external_state",
        "join_group",
        "update_ticket",
        "delete_group",
        "complain",
        "publish_key_packages",
        "take_key_package",
        "take_connection_package",
    ];
    for (template, entry) in (0..TEMPLATES).zip(REGISTRY) {
        let granted = !refused.contains(&entry.name);
        assert_eq!(fuzz::is_granted(template), granted, "{}", entry.name);
    }
}

/// Taking a handshake apart and putting it together again changes nothing: what is changed in
/// between is all that is wrong.
#[test]
fn group_templates_are_granted() {
    for template in 0..group_templates() {
        assert_eq!(unchanged(template), Ok(()), "template {template}");
    }
}
