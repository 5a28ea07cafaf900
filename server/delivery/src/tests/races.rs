//! Requests that arrive together: one wins, the other learns what to do, and the group goes on.

use std::thread;

use protocol::error::Rule;
use store::StoreError;

use super::client::Client;
use super::proposals::trio;
use super::{GROUP, World, client};
use crate::Error;

const ROUNDS: usize = 12;

/// Run both at once, in either order; exactly one is accepted. Gives the loser's error.
fn race<T: Send, U: Send>(
    one: impl FnOnce() -> Result<T, Error> + Send,
    other: impl FnOnce() -> Result<U, Error> + Send,
) -> Error {
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(one);
        (other().map(drop), one.join().unwrap().map(drop))
    });
    match (one, other) {
        (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
        both => panic!("not exactly one: {both:?}"),
    }
}

/// Everybody follows, and hears what is said next.
fn goes_on(world: &World, speaker: &mut Client, others: &mut [&mut Client]) {
    let epoch = speaker.epoch();
    world.send(speaker, b"well?").unwrap();
    world.settle(others);
    others
        .iter()
        .for_each(|other| assert_eq!(other.epoch(), epoch));
}

/// [DS-COMMIT-1] [DS-COMMIT-7]
#[test]
fn commit_against_propose() {
    for _ in 0..ROUNDS {
        let (world, [mut a, mut b, mut c]) = trio();
        let (commit, wish) = (a.update(), b.leave());
        let lost = race(|| world.commit(&a, &commit), || world.propose(&b, &wish));
        match lost {
            Error::WrongEpoch(_) => {
                a.merge();
                b.forget_proposals();
                world.settle(&mut [&mut b, &mut c]);
                goes_on(&world, &mut a, &mut [&mut b, &mut c]);
            }
            Error::Invalid(Rule::PendingProposals) | Error::Store(StoreError::Conflict) => {
                a.drop_commit();
                world.settle(&mut [&mut a, &mut c]);
                let commit = a.update();
                world.commit(&a, &commit).unwrap();
                a.merge();
                world.settle(&mut [&mut c]);
                goes_on(&world, &mut a, &mut [&mut c]);
            }
            other @ (Error::Denied
            | Error::Exists
            | Error::Invalid(_)
            | Error::Backlog
            | Error::Store(_)) => panic!("{other}"),
        }
    }
}

/// [DS-COMMIT-1] [DS-JOIN-2]
#[test]
fn resync_against_commit() {
    for _ in 0..ROUNDS {
        let (world, [mut a, b, mut c]) = trio();
        let fetched = world.fetch_external(GROUP, b.state_key()).unwrap();
        let mut again = client(2);
        let (commit, request) = (a.update(), again.enter(&fetched, &[]));
        let lost = race(
            || world.commit(&a, &commit),
            || world.join(&again, &request),
        );
        assert!(matches!(lost, Error::WrongEpoch(_)), "{lost}");
        let joined = world.fetch_external(GROUP, again.state_key()).is_ok();
        if joined {
            a.drop_commit();
            world.settle(&mut [&mut a, &mut c]);
            goes_on(&world, &mut again, &mut [&mut a, &mut c]);
        } else {
            a.merge();
            world.settle(&mut [&mut c]);
            goes_on(&world, &mut a, &mut [&mut c]);
        }
    }
}

/// [DS-DELETE-1]
#[test]
fn delete_against_commit() {
    for _ in 0..ROUNDS {
        let (world, [mut a, mut b, mut c]) = trio();
        let (commit, end) = (b.update(), a.end());
        match race(|| world.commit(&b, &commit), || world.delete(&a, &end)) {
            Error::WrongEpoch(_) => {
                b.merge();
                world.settle(&mut [&mut a, &mut c]);
                goes_on(&world, &mut b, &mut [&mut a, &mut c]);
            }
            Error::Denied => {
                world.settle(&mut [&mut b, &mut c]);
                assert!(world.rows().is_empty());
            }
            other @ (Error::Exists | Error::Invalid(_) | Error::Backlog | Error::Store(_)) => {
                panic!("{other}")
            }
        }
    }
}

/// [DS-TICKET-1] [DS-COMMIT-1]
#[test]
fn a_ticket_that_was_accepted_survives_a_commit_at_the_same_time() {
    for _ in 0..ROUNDS {
        let (world, [mut a, b, _]) = trio();
        let (commit, moved) = (a.update(), b.move_to(client(9).ticket));
        let (updated, committed) = thread::scope(|scope| {
            let committed = scope.spawn(|| world.commit(&a, &commit).map(drop));
            (world.update_ticket(&b, &moved), committed.join().unwrap())
        });
        let expected = match (updated, committed) {
            (Ok(()), Ok(())) => (0, 1),
            (Ok(()), Err(Error::Store(StoreError::Conflict))) => {
                world.commit(&a, &commit).unwrap();
                (0, 1)
            }
            (Err(Error::WrongEpoch(_)), Ok(())) => (1, 0),
            both => panic!("{both:?}"),
        };
        let inboxes = world.deliver(&[&b, &client(9)]);
        assert_eq!((inboxes[0].len(), inboxes[1].len()), expected);
    }
}
