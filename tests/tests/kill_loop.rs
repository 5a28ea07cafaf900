//! SIGKILL under load, again and again: nothing acknowledged is lost, nothing is applied twice, no
//! group forks. [STORE-DURABLE-1] [DS-SEND-1] [DS-COMMIT-1] [QS-DELIVER-1] [DS-OUTBOX-3]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hearth_sdk::{GroupId, Hearth};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tests::connection::Failure;
use tests::process::Server;

use tests::people::{befriend, hear, invite, of, register};

const ROUNDS: u32 = 50;
/// The longest that a round lets the server live.
const ROUND_MILLIS: u64 = 700;

/// Talk, and now and then renew keys, until told to stop; gives what was acknowledged.
async fn talk(
    person: Hearth,
    group: GroupId,
    name: &'static str,
    stop: Arc<AtomicBool>,
) -> Result<Vec<String>, Failure> {
    let mut said = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{name} says {}", said.len());
        person.send(group, &text).await?;
        said.push(text);
        if said.len() % 40 == 0 {
            person.update_keys(group).await?;
        }
    }
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_in_fifty_kills() -> Result<(), Failure> {
    let seed: u64 = match std::env::var("HEARTH_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => rand::rng().random(),
    };
    eprintln!("to repeat the moments of the kills: HEARTH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::start(&tests::process::program(), &std::env::temp_dir())?;
    let homes = tempfile::tempdir()?;
    let homes = homes.path();
    let names = ["aspen", "birch", "cedar"];
    let mut people = Vec::new();
    for name in names {
        people.push(register(&server, homes, name).await?);
    }
    let [aspen, birch, cedar] = people.as_slice() else {
        return Err("three people".into());
    };
    befriend(aspen, birch, "birch").await?;
    befriend(aspen, cedar, "cedar").await?;
    let group = aspen.create_group("walk").await?;
    invite(aspen, group, birch, "birch").await?;
    invite(aspen, group, cedar, "cedar").await?;

    let stop = Arc::new(AtomicBool::new(false));
    let talking: Vec<_> = people
        .iter()
        .zip(names)
        .map(|(person, name)| tokio::spawn(talk(person.clone(), group, name, stop.clone())))
        .collect();
    for _ in 0..ROUNDS {
        // The moment of the kill is what the round is about: any wait will do.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..ROUND_MILLIS))).await;
        tokio::task::block_in_place(|| {
            server.kill()?;
            server.restart()
        })?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut said = Vec::new();
    for talking in talking {
        said.push(talking.await??);
    }
    let total: usize = said.iter().map(Vec::len).sum();
    eprintln!("{ROUNDS} kills, {total} messages acknowledged");
    assert!(total > 100, "it was no load: {total} messages");
    agree(&people, &names, &said, group).await?;
    let log = server.log()?;
    assert!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// Everybody has everything that the others got acknowledged, in order and once, is in the same
/// epoch, and can still talk.
async fn agree(
    people: &[Hearth],
    names: &[&str],
    said: &[Vec<String>],
    group: GroupId,
) -> Result<(), Failure> {
    for (person, name) in people.iter().zip(names) {
        person.send(group, format!("{name} says goodbye")).await?;
    }
    let total: usize = said.iter().map(|said| said.len() + 1).sum();
    for ((listener, own_name), own) in people.iter().zip(names).zip(said) {
        let heard = hear(listener, group, total - own.len() - 1).await?;
        let others = names
            .iter()
            .zip(said)
            .filter(|(speaker, _)| *speaker != own_name);
        for (speaker, said) in others {
            let goodbye = format!("{speaker} says goodbye");
            let mut expected: Vec<&str> = said.iter().map(String::as_str).collect();
            expected.push(&goodbye);
            assert_eq!(of(&heard, speaker), expected, "{own_name} heard {speaker}");
        }
    }
    let mut epochs = Vec::new();
    for person in people {
        let groups = person.groups().await?;
        epochs.extend(
            groups
                .iter()
                .filter(|entry| entry.id == group)
                .map(|entry| entry.epoch),
        );
    }
    let is_same = |pair: &[_]| pair.first() == pair.last();
    assert!(epochs.windows(2).all(is_same), "one epoch, not {epochs:?}");
    Ok(())
}
