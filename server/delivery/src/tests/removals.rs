//! Removals that the service proposes, more of them than there is room for.

use garbler::Garble;
use protocol::delivery::{JoinGroup, PathProof, ProofVerdict};
use protocol::error::Rule;

use super::client::Client;
use super::garbler::garbled;
use super::{GROUP, POLICY, World, client};
use crate::{Error, Policy};

/// Eleven members: an admin, an attacker, its victim, and eight whose queues are gone.
fn eleven() -> (World, [Client; 3], Vec<Client>) {
    let world = World::with(Policy {
        members_max: 20,
        ..POLICY
    });
    let [mut a, mut b, mut c] = [1, 2, 3].map(client);
    let mut gone: Vec<Client> = (4..12).map(client).collect();
    world.create(&mut a).unwrap();
    let joining = [&mut b, &mut c].into_iter().chain(&mut gone);
    let mut joining: Vec<&mut Client> = joining.collect();
    world.add(&mut a, &mut [], &mut joining);
    let (_, outbox) = world.send(&mut a, b"x").unwrap();
    world.settle(&mut [&mut b]);
    let tickets: Vec<_> = gone.iter().map(|member| member.ticket.ticket).collect();
    let reported = world.delivery.report_gone(outbox, &tickets, &world.entropy);
    reported.unwrap();
    (world, [a, b, c], gone)
}

/// The attacker's removal takes the place of another one, which comes with the next commit.
/// [DS-PROPOSE-3] [DS-PROOF-2]
#[test]
fn a_removal_for_which_there_is_no_room_is_proposed_later() {
    let (world, [mut a, mut b, c], gone) = eleven();
    let commit = garbled(&mut b, Garble::Nonsense, &[&c]);
    world.commit(&b, &commit).unwrap();
    world.settle(&mut [&mut a]);
    assert_eq!(a.group().pending_proposals().count(), gone.len());
    let mut fresh = client(3);
    let fetched = world.fetch_external(GROUP, c.state_key()).unwrap();
    let node_key = c.own_key();
    let request = JoinGroup {
        proof: Some(PathProof {
            commit: commit.commit,
            node_key,
        }),
        ..fresh.enter(&fetched, &[])
    };
    let (reply, _) = world.join(&fresh, &request).unwrap();
    assert_eq!(reply.proof, ProofVerdict::Holds);
    world.settle(&mut [&mut a, &mut fresh]);
    assert_eq!(a.group().pending_proposals().count(), gone.len());
    // Whose removal has yet to be proposed cannot resync either.
    let fetched = world.fetch_external(GROUP, fresh.state_key()).unwrap();
    let mut last = client(11);
    let request = last.enter(&fetched, &[]);
    let refused = world.join(&last, &request).unwrap_err();
    assert_eq!(refused, Error::Invalid(Rule::ExternalCommit));
    for proposed in [1, 0] {
        let commit = a.update();
        world.commit(&a, &commit).unwrap();
        a.merge();
        world.settle(&mut [&mut a, &mut fresh]);
        assert_eq!(a.group().pending_proposals().count(), proposed);
    }
    let staying: Vec<_> = a
        .group()
        .members()
        .map(|member| member.index.u32())
        .collect();
    assert_eq!(staying, [0, 2]);
}
