//! Vectors of proof of work: a solved puzzle and each reason to refuse one.

use protocol::codec::{decode_exact, encode};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::work::Work;
use protocol::time::Timestamp;

use crate::sample::{self, NOW};
use crate::vector::{Case, Fields, Vector, name};

const PURPOSE: [u8; 32] = [0x0b; 32];

/// [AUTH-WORK-1]
pub(crate) fn vector() -> Vector {
    let work = sample::work(&PURPOSE);
    let altered = |name_of_case: &str, change: fn(&mut Work)| {
        let mut work = work;
        change(&mut work);
        case(name_of_case, work, sample::challenge_key(), PURPOSE, NOW)
    };
    let expired = Timestamp(work.challenge.expires.0 + 1);
    let key = sample::challenge_key;
    Vector::new(
        "auth/work",
        "auth.md#work",
        "Bytes are Work: 8 KiB, 3 target bits, 4 stamp bits; what is checked is stated by the inputs.",
        vec![
            case("solved", work, key(), PURPOSE, NOW),
            case(
                "in its last second",
                work,
                key(),
                PURPOSE,
                work.challenge.expires,
            ),
            case("for another purpose", work, key(), [0x0c; 32], NOW).failing("Solution"),
            case("expired", work, key(), PURPOSE, expired).failing("Challenge"),
            case(
                "another server's",
                work,
                sample::symmetric_key(0),
                PURPOSE,
                NOW,
            )
            .failing("Challenge"),
            altered("difficulty lowered", |work| {
                work.challenge.difficulty.target_bits = 0;
            })
            .failing("Challenge"),
            altered("challenge nonce altered", |work| {
                work.challenge.nonce[0] ^= 1;
            })
            .failing("Challenge"),
            altered("solution nonce altered", |work| work.solution.nonce += 1).failing("Solution"),
            altered("solution tag altered", |work| work.solution.tag[0] ^= 1).failing("Solution"),
        ],
    )
}

fn case(
    name_of_case: &str,
    work: Work,
    key: SymmetricKey,
    purpose: [u8; 32],
    now: Timestamp,
) -> Case {
    let fields = Fields::new()
        .encoded("challenge_key", &key)
        .bytes("purpose", purpose)
        .encoded("now", &now);
    Case::new(name_of_case, fields, encode(&work), move |bytes| {
        let work: Work = decode_exact(bytes).map_err(name)?;
        work.verify(&key, &purpose, now).map_err(name)?;
        Ok(encode(&work))
    })
}
