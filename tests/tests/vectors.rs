//! Test vectors: what the code computes is what `spec/vectors` says, byte for byte.
//!
//! `HEARTH_WRITE_VECTORS=1 cargo test --release -p tests --test vectors` writes the files. Nothing
//! here is random: a written file changes when the protocol does. The format is described in
//! `spec/vectors/README.md`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a vector that cannot be made fails the test"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::{env, fs};

use protocol::request::REGISTRY;

use crate::vector::{Vector, from_hex};

#[path = "vectors/auth.rs"]
mod auth;
#[path = "vectors/credential.rs"]
mod credential;
#[path = "vectors/crypto.rs"]
mod crypto;
#[path = "vectors/delivery.rs"]
mod delivery;
#[path = "vectors/entry.rs"]
mod entry;
#[path = "vectors/operation.rs"]
mod operation;
#[path = "vectors/queue.rs"]
mod queue;
#[path = "vectors/sample.rs"]
mod sample;
#[path = "vectors/vector.rs"]
mod vector;
#[path = "vectors/wire.rs"]
mod wire;
#[path = "vectors/work.rs"]
mod work;

fn vectors() -> Vec<Vector> {
    [
        wire::vectors(),
        crypto::vectors(),
        credential::vectors(),
        vec![work::vector()],
        auth::vectors(),
        delivery::vectors(),
        queue::vectors(),
        vec![entry::vector()],
    ]
    .concat()
}

/// Where the files are; written first if the environment asks for it.
fn stored() -> PathBuf {
    static WRITTEN: Once = Once::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    WRITTEN.call_once(|| {
        if env::var_os("HEARTH_WRITE_VECTORS").is_some() {
            for vector in vectors() {
                let path = directory.join(vector.file());
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, vector.render()).unwrap();
            }
        }
    });
    directory
}

#[test]
fn stored_vectors_are_what_the_code_computes() {
    let directory = stored();
    let text = |file| fs::read_to_string(directory.join(file)).unwrap_or_default();
    let mut different = vectors();
    different.retain(|vector| text(vector.file()) != vector.render());
    let different: Vec<String> = different.iter().map(Vector::file).collect();
    assert!(different.is_empty(), "stored differently: {different:#?}");
}

#[test]
fn stored_bytes_decode_to_what_encodes_to_them_or_fail_as_stated() {
    let mut wrong = Vec::new();
    for vector in vectors() {
        let text = fs::read_to_string(stored().join(vector.file())).unwrap_or_default();
        let stored: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        for (index, case) in vector.cases().iter().enumerate() {
            let stored = &stored["cases"][index];
            let text = |key: &str| stored[key].as_str().unwrap_or_default().to_owned();
            let bytes = from_hex(&text("bytes"));
            let (outcome, again) = match case.replay(&bytes) {
                Ok(again) => ("ok".to_owned(), again),
                Err(error) => (error, bytes.clone()),
            };
            if outcome != text("expect") || again != bytes || text("name") != case.name() {
                wrong.push(format!("{}: {}: {outcome}", vector.file(), case.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "not as stated: {wrong:#?}");
}

#[test]
fn every_operation_has_a_vector_file_and_no_file_is_left_over() {
    let computed: BTreeSet<String> = vectors().iter().map(Vector::file).collect();
    for entry in REGISTRY {
        let file = operation::file(entry);
        assert!(computed.contains(&file), "no vectors for {}", entry.name);
        assert!(stored().join(&file).exists(), "{file} is not written");
    }
    let files = fs::read_dir(stored()).unwrap().flat_map(|area| {
        let area = area.unwrap().path();
        let files = area.is_dir().then(|| fs::read_dir(area).unwrap());
        files.into_iter().flatten().map(|file| file.unwrap().path())
    });
    for path in files {
        let file = path.strip_prefix(stored()).unwrap().to_str().unwrap();
        assert!(computed.contains(file), "nothing computes {file}");
    }
}
