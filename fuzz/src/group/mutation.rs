//! Changes of a forgery's structure, each chosen by a few bytes.

use crate::group::anvil::{
    ADD, CONTEXT_EXTENSIONS, Content, EXTERNAL_INIT, REMOVE, SELF_REMOVE, Sender, Source, UPDATE,
    by_reference, by_value,
};
use crate::group::bytes::put_vector;
use crate::group::forgery::Forgery;
use crate::group::live::{Ask, Live};

/// Bytes of one change.
pub(super) const CHANGE_BYTES: usize = 3;

/// Change one thing.
pub(super) fn mutate(live: &Live, forgery: &mut Forgery, change: [u8; CHANGE_BYTES]) {
    let [what, which, how] = change;
    let which = usize::from(which);
    match what % 8 {
        0 => change_framing(forgery, which, how),
        1 => change_signer(forgery, which, how),
        2 => change_proposals(live, forgery, which, how),
        3 => insert_proposal(live, forgery, which, how),
        4 => change_path(forgery, which, how),
        5 => change_leaf(forgery, which, how),
        6 => change_info(forgery, which, how),
        _ => change_request(live, forgery, which, how),
    }
}

fn change_framing(forgery: &mut Forgery, which: usize, how: u8) {
    let message = &mut forgery.message;
    match which % 5 {
        0 => message.epoch = message.epoch.wrapping_add(u64::from(how)).wrapping_sub(2),
        1 => flip(&mut message.group, how),
        2 => message.authenticated.resize(usize::from(how) * 32, how),
        3 => {
            let number = u32::from(how >> 2);
            message.sender = match how % 4 {
                0 => Sender::Member(number),
                1 => Sender::External(number),
                2 => Sender::NewMemberProposal,
                _ => Sender::NewMemberCommit,
            };
        }
        _ => flip(&mut forgery.context, how),
    }
}

fn change_signer(forgery: &mut Forgery, which: usize, how: u8) {
    let who = usize::from(how) % 6;
    match which % 4 {
        0 => forgery.signers = [who; 2],
        1 => forgery.signers[0] = who,
        2 => {
            // Another member altogether.
            let number = u32::from(how % 6);
            forgery.signers = [who; 2];
            forgery.message.sender = Sender::Member(number);
            forgery.place = number;
            if let Ask::Commit(request) = &mut forgery.ask {
                request.sender.0 = number;
            }
            if let Ask::Propose(request) = &mut forgery.ask {
                request.sender.0 = number;
            }
        }
        _ => forgery.place = u32::from(how),
    }
}

fn change_proposals(live: &Live, forgery: &mut Forgery, which: usize, how: u8) {
    if let Content::Proposal(proposal) = &mut forgery.message.content {
        *proposal = palette(live, which, how).split_off(1);
        return;
    }
    let Some(commit) = forgery.message.commit() else {
        return;
    };
    let count = commit.proposals.len();
    if count == 0 {
        return;
    }
    let place = which % count;
    match how % 4 {
        0 => drop(commit.proposals.remove(place)),
        1 => {
            let again = commit.proposals[place].clone();
            commit.proposals.push(again);
        }
        2 => commit.proposals.swap(0, place),
        _ => flip(&mut commit.proposals[place], how),
    }
}

fn insert_proposal(live: &Live, forgery: &mut Forgery, which: usize, how: u8) {
    let proposal = palette(live, which, how);
    if let Some(commit) = forgery.message.commit() {
        let place = usize::from(how) % (commit.proposals.len() + 1);
        commit.proposals.insert(place, proposal);
    }
}

/// A proposal of any kind.
fn palette(live: &Live, which: usize, how: u8) -> Vec<u8> {
    let leaf = u32::from(how % 8).to_be_bytes();
    let mut filled = Vec::new();
    put_vector(&mut filled, &vec![how; usize::from(how)]);
    match which % 8 {
        0 => by_value(REMOVE, &leaf),
        1 => by_value(SELF_REMOVE, &[]),
        2 => by_value(EXTERNAL_INIT, &filled),
        3 => by_value(CONTEXT_EXTENSIONS, &filled),
        4 => {
            let packages = &live.packages;
            by_value(ADD, &packages[usize::from(how) % packages.len()])
        }
        5 => by_reference(&[how; 32]),
        6 => by_value(UPDATE, &filled),
        _ => by_value(u16::from(how), &filled),
    }
}

fn change_path(forgery: &mut Forgery, which: usize, how: u8) {
    let Some(commit) = forgery.message.commit() else {
        return;
    };
    let Some(path) = &mut commit.path else { return };
    let count = path.nodes.len();
    if count == 0 || which.is_multiple_of(6) {
        commit.path = None;
        return;
    }
    let place = usize::from(how) % count;
    match which % 6 {
        1 => drop(path.nodes.remove(place)),
        2 => path.nodes.push(path.nodes[place].clone()),
        3 => flip(&mut path.nodes[place].key, how),
        4 => drop(path.nodes[place].secrets.pop()),
        _ => {
            let mut secret = Vec::new();
            put_vector(&mut secret, &[how; 32]);
            put_vector(&mut secret, &[how; 48]);
            path.nodes[place].secrets.push(secret);
        }
    }
}

fn change_leaf(forgery: &mut Forgery, which: usize, how: u8) {
    let Some(leaf) = forgery.leaf() else { return };
    match which % 9 {
        0 => flip(&mut leaf.identity, how),
        1 => flip(&mut leaf.signature_key, how),
        2 => flip(&mut leaf.encryption_key, how),
        3 => leaf.capabilities[usize::from(how) % 5].truncate(usize::from(how >> 4)),
        4 => leaf.capabilities[usize::from(how) % 5].extend([how, how]),
        5 => flip(&mut leaf.extensions, how),
        6 => leaf.extensions.extend([0xf0, how, 2, how, how]),
        7 => {
            leaf.source = match how % 3 {
                0 => Source::Update,
                1 => Source::KeyPackage(0, u64::MAX),
                _ => Source::Commit(vec![how; 32]),
            };
        }
        _ => forgery.signs_leaf = false,
    }
}

fn change_info(forgery: &mut Forgery, which: usize, how: u8) {
    let Some(group_info) = &mut forgery.group_info else {
        return;
    };
    match which % 9 {
        0 => {
            group_info.epoch = group_info
                .epoch
                .wrapping_add(u64::from(how))
                .wrapping_sub(2);
        }
        1 => flip(&mut group_info.tree_hash, how),
        2 => {
            flip(&mut group_info.transcript_hash, how);
            forgery.follows = false;
        }
        3 => flip(&mut group_info.confirmation, how),
        4 => group_info.signer = u32::from(how % 8),
        5 => group_info.extensions.extend([0xf0, how, 1, how]),
        6 => group_info.extensions.clear(),
        7 => flip(&mut group_info.context_extensions, how),
        _ => flip(&mut group_info.group, how),
    }
}

fn change_request(live: &Live, forgery: &mut Forgery, which: usize, how: u8) {
    let other = &live.templates[usize::from(how) % live.templates.len()].ask;
    match (&mut forgery.ask, other) {
        (Ask::Commit(request), Ask::Commit(other)) => match which % 6 {
            0 => request.sender.0 = u32::from(how % 8),
            1 => flip(&mut request.state_key.0, how),
            2 => request.next_state_key = other.next_state_key.clone(),
            3 => request.added = other.added.clone(),
            4 => request.welcome = other.welcome.clone(),
            _ => request.next_state_key = request.state_key.clone(),
        },
        (Ask::Commit(request), Ask::Join(_) | Ask::Propose(_)) => {
            request.group.0[which % 16] ^= how;
        }
        (Ask::Join(request), _) => match which % 4 {
            0 => request.epoch.0 = u64::from(how),
            1 => flip(&mut request.state_key.0, how),
            2 => request.next_state_key = request.state_key.clone(),
            _ => request.group.0[usize::from(how) % 16] ^= 1,
        },
        (Ask::Propose(request), _) => match which % 4 {
            0 => request.epoch.0 = u64::from(how),
            1 => flip(&mut request.state_key.0, how),
            2 => request.sender.0 = u32::from(how % 8),
            _ => request.group.0[usize::from(how) % 16] ^= 1,
        },
    }
}

fn flip(bytes: &mut [u8], how: u8) {
    let place = usize::from(how) % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= how | 1;
    }
}
