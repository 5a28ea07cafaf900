//! ME3: a copy of everything that the server keeps. After a workload no identifier, name, key or
//! content of it is found in any file. [STORE-SEAL-1] [STORE-SEAL-2]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hearth_sdk::GroupId;
use protocol::crypto::signature::PrivateKey;
use protocol::queue::queue_id;
use tests::connection::Failure;
use tests::process::Server;

use tests::people::{befriend, invite, register};

const CANARY: &str = "the-canary-sings-at-dawn";

/// Something that must not be found, with a name for the report.
struct Needle {
    name: String,
    bytes: Vec<u8>,
}

fn needle(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Needle {
    Needle {
        name: name.into(),
        bytes: bytes.into(),
    }
}

/// An identifier or key as bytes and as the text that tools would print of it.
fn secret(name: &str, bytes: Vec<u8>) -> [Needle; 2] {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [needle(name, bytes), needle(format!("{name} in hex"), hex)]
}

/// What a client's home holds as bytes: its ids, keys, tokens and tickets, those of its contacts
/// and groups. Not what the server tells everybody.
const SECRETS: &[(&str, &[&str])] = &[
    ("account", &["user", "client", "key"]),
    (
        "queue",
        &[
            "key",
            "open_seed",
            "ratchet",
            "friendship_token",
            "friendship_key",
        ],
    ),
    ("tickets", &["ticket_id", "ticket"]),
    ("key_packages", &["ticket_id", "reference", "leaf_key"]),
    ("usernames", &["hash", "key"]),
    ("connection_packages", &["id", "seed"]),
    ("outgoing_requests", &["reply_id", "reply_key"]),
    (
        "contacts",
        &[
            "user",
            "client",
            "client_key",
            "friendship_token",
            "friendship_key",
        ],
    ),
    ("groups", &["id", "leaf_key", "identity_key", "ticket_id"]),
    ("epochs", &["state_key"]),
];

/// Everything about a person that the server must not be found to hold, from its home.
fn needles_of(home: &Path, name: &str) -> Result<Vec<Needle>, Failure> {
    let mut needles = vec![needle(format!("username {name}"), name)];
    let key: String = fs::read(home.join("key"))?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let database = rusqlite::Connection::open(home.join("state.db"))?;
    database.pragma_update(None, "key", format!("x'{key}'"))?;
    for (table, columns) in SECRETS {
        for column in *columns {
            let mut query = database.prepare(&format!("SELECT {column} FROM {table}"))?;
            let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
            for bytes in rows {
                let bytes = bytes?;
                if bytes.iter().any(|byte| *byte != 0) {
                    needles.extend(secret(&format!("{table}.{column} of {name}"), bytes));
                }
            }
        }
    }
    let queue: [u8; 32] = database.query_row("SELECT key FROM queue", [], |row| row.get(0))?;
    let queue = PrivateKey::from_seed(&queue).public_key();
    needles.extend(secret(
        &format!("queue id of {name}"),
        queue_id(&queue).0.to_vec(),
    ));
    needles.extend(secret(&format!("queue key of {name}"), queue.0.to_vec()));
    Ok(needles)
}

fn files_below(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Which needles are in which files. A needle's first four bytes are looked up before the rest.
fn search(directory: &Path, needles: &[Needle]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut by_begin: BTreeMap<&[u8], Vec<&Needle>> = BTreeMap::new();
    for needle in needles {
        let begin = needle
            .bytes
            .get(..4)
            .ok_or("a needle is too short to search for")?;
        by_begin.entry(begin).or_default().push(needle);
    }
    for path in files_below(directory)? {
        let content = fs::read(&path)?;
        for place in 0..content.len() {
            let Some(begin) = content.get(place..place + 4) else {
                break;
            };
            for needle in by_begin.get(begin).into_iter().flatten() {
                if content
                    .get(place..)
                    .is_some_and(|rest| rest.starts_with(&needle.bytes))
                {
                    found.push(format!("{} in {}", needle.name, path.display()));
                }
            }
        }
    }
    Ok(found)
}

async fn workload(server: &Server, homes: &Path) -> Result<Vec<Needle>, Failure> {
    let names = ["sycamore-one", "sycamore-two", "sycamore-six"];
    let mut people = Vec::new();
    for name in names {
        people.push(register(server, homes, name).await?);
    }
    let [first, second, third] = people.as_slice() else {
        return Err("three people".into());
    };
    befriend(first, second, names[1]).await?;
    befriend(first, third, names[2]).await?;
    let group: GroupId = first.create_group("picnic-under-the-trees").await?;
    invite(first, group, second, names[1]).await?;
    // The third has joined nothing yet: its Welcome stays in its queue.
    let contact = first
        .find_contact(&format!("{}@localhost", names[2]))
        .await?;
    first.invite(group, &[contact]).await?;
    for number in 0..100 {
        first.send(group, format!("{CANARY} {number}")).await?;
    }
    second.sync().await?;
    second.update_keys(group).await?;
    let mut needles = vec![
        needle("message", CANARY),
        needle("group name", "picnic-under-the-trees"),
    ];
    needles.extend(secret("group id", group.0.to_vec()));
    for (person, name) in people.iter().zip(names) {
        person.close().await;
        needles.extend(needles_of(&homes.join(name), name)?);
    }
    Ok(needles)
}

#[tokio::test(flavor = "multi_thread")]
async fn me3_database_leak() -> Result<(), Failure> {
    let mut server = Server::start(&tests::process::program(), &std::env::temp_dir())?;
    let homes = tempfile::tempdir()?;
    let needles = workload(&server, homes.path()).await?;
    assert!(
        needles.len() > 30,
        "the workload gave {} needles",
        needles.len()
    );
    // Once as a running server leaves its files, once after a restart has compacted its log.
    server.kill()?;
    assert_eq!(search(server.directory(), &needles)?, Vec::<String>::new());
    server.restart()?;
    server.kill()?;
    assert_eq!(search(server.directory(), &needles)?, Vec::<String>::new());

    // The storage key is beside the database and never in it.
    let key = fs::read_to_string(server.directory().join("storage.key"))?;
    let bytes = key
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| Ok::<_, Failure>(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    let key = secret("storage key", bytes.collect::<Result<_, _>>()?);
    let database = tests::configuration::database(server.directory());
    assert_eq!(search(&database, &key)?, Vec::<String>::new());

    // The search finds what is there: it is no search that cannot fail.
    fs::write(database.join("planted"), format!("x{CANARY}x"))?;
    assert_eq!(search(&database, &needles)?.len(), 1);
    Ok(())
}
