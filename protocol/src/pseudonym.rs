//! Which pseudonym a signed request is under, before anybody has checked that it is.
//! Spec: wire.md#signed-requests.

use std::borrow::Cow;

use crate::codec::length_prefixed;
use crate::crypto::signature::PublicKey;
use crate::delivery::{Complain, JoinGroup};
use crate::queue::{CreateQueue, queue_id};
use crate::request::{AccessMode, Operation, OperationEntry};

/// Bytes of a group's id and a leaf's index, of a queue's id, and of a username's hash: what the
/// bodies of signed requests begin with. [WIRE-SIGNED-3]
const LEAF_BYTES: usize = 20;
const QUEUE_BYTES: usize = 16;
const USERNAME_BYTES: usize = 32;

/// What names the key that must have signed a request: the beginning of its body. Nothing if the
/// operation takes no signature or the payload is cut short, and for the two operations whose sender
/// is at no leaf of the present epoch: taken for a leaf's, they would count against somebody else.
/// Only a success says that it is true.
#[must_use]
pub fn pseudonym<'a>(entry: &OperationEntry, payload: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    match entry.mode {
        AccessMode::Open | AccessMode::Work | AccessMode::Anonymous => return None,
        AccessMode::Pseudonymous => {}
    }
    if [JoinGroup::CODE, Complain::CODE].contains(&entry.code) {
        return None;
    }
    let signed = payload.get(2..)?;
    let (body, _) = length_prefixed(signed).ok()?;
    let bytes = match entry.code >> 8 {
        0x01 => USERNAME_BYTES,
        0x02 => LEAF_BYTES,
        _ => QUEUE_BYTES,
    };
    let name = body.get(..bytes)?;
    // Who creates a queue is whom the queue's later requests are by.
    if entry.code == CreateQueue::CODE {
        let key = body.first_chunk().copied().map(PublicKey)?;
        return Some(Cow::Owned(queue_id(&key).0.to_vec()));
    }
    Some(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hpke::SealKey;
    use crate::crypto::sealed::SymmetricKey;
    use crate::crypto::signature::PrivateKey;
    use crate::crypto::signed::{Binding, Signed};
    use crate::id::{QueueId, Seq};
    use crate::queue::{Listen, TakeTickets};
    use crate::request::{REGISTRY, encode_request, encode_signed, peek};

    fn signed<T: Operation + tls_codec::Serialize>(body: T) -> Vec<u8> {
        let binding = Binding {
            domain: "a.example".parse().unwrap(),
            exporter: [1; 32],
        };
        encode_signed(&Signed::new(
            body,
            &PrivateKey::from_seed(&[7; 32]),
            &binding,
        ))
    }

    /// [WIRE-SIGNED-3]
    #[test]
    fn requests_of_one_queue_are_under_one_pseudonym() {
        let queue = QueueId([3; 16]);
        let listen = signed(Listen {
            queue,
            from: Seq(0),
        });
        let take = signed(TakeTickets { queue, count: 1 });
        for payload in [listen, take] {
            let entry = peek(&payload).unwrap();
            assert_eq!(pseudonym(&entry, &payload).unwrap(), [3; 16].as_slice());
            assert_eq!(pseudonym(&entry, &payload[..10]), None);
        }
    }

    #[test]
    fn who_creates_a_queue_is_its_owner() {
        let key = PrivateKey::from_seed(&[7; 32]).public_key();
        let payload = signed(CreateQueue {
            public_key: key,
            seal_key: SealKey([1; 32]),
            ratchet_seed: SymmetricKey([2; 32]),
            friendship_token_hash: [3; 32],
        });
        let entry = peek(&payload).unwrap();
        let name = pseudonym(&entry, &payload).unwrap();
        assert_eq!(name, queue_id(&key).0.as_slice());
    }

    #[test]
    fn a_request_from_outside_the_epoch_is_under_no_leaf() {
        for code in [JoinGroup::CODE, Complain::CODE] {
            let entry = REGISTRY.iter().find(|entry| entry.code == code).unwrap();
            let body = [&code.to_be_bytes(), [40].as_slice(), &[0; 40]].concat();
            assert_eq!(pseudonym(entry, &body), None);
        }
    }

    #[test]
    fn a_request_that_nobody_signs_is_under_none() {
        let payload = encode_request(&crate::auth::FetchServerKeys {});
        let entry = peek(&payload).unwrap();
        assert_eq!(pseudonym(&entry, &payload), None);
    }
}
