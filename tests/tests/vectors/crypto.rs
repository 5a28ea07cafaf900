//! Vectors of the cryptographic constructions.

use protocol::codec::{decode_exact, encode};
use protocol::contact::FriendshipToken;
use protocol::crypto::hpke::{HpkeCiphertext, OpenKey};
use protocol::crypto::label;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::crypto::signature::{PublicKey, Signature};
use protocol::delivery::Complaint;
use protocol::entry::{FanOutKey, GroupEvent, GroupEventContent};
use protocol::id::{GroupId, Seq};
use protocol::receipt::{ChainHash, Receipt};

use crate::sample::{self, DELIVERY_KEY, LEAF_KEY, counting, opaque, private_key, symmetric_key};
use crate::vector::{Case, Fields, Vector, from_hex, name};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        signature(),
        sealed(),
        derive(),
        hashes(),
        ratchet(),
        group_event(),
        receipt(),
        complaint(),
        hpke(),
    ]
}

/// [CRYPTO-SIGNATURE-1]
fn signature() -> Vector {
    let signature = private_key(7).sign(label::LEAF_IDENTITY, b"content");
    let case = |name_of_case: &str,
                key: PublicKey,
                label: &'static str,
                content: &'static [u8],
                signature: Signature| {
        let fields = Fields::new()
            .encoded("public_key", &key)
            .bytes("label", label)
            .bytes("content", content);
        Case::new(name_of_case, fields, signature.0, move |bytes| {
            let signature: Signature = decode_exact(bytes).map_err(name)?;
            let verified = key.verify(label, content, &signature);
            verified.map(|()| signature.0.to_vec()).map_err(name)
        })
    };
    let key = private_key(7).public_key();
    let own = label::LEAF_IDENTITY;
    let mut altered = signature;
    altered.0[63] ^= 0x80;
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut neutral_signature = [0; 64];
    neutral_signature[0] = 1;
    let refused = "BadSignature";
    Vector::new(
        "crypto/signature",
        "crypto.md#signatures",
        "Bytes are a signature, of the key whose seed repeats 07 unless the case says otherwise.",
        vec![
            case("as signed", key, own, b"content", signature),
            case(
                "under another label",
                key,
                label::REQUEST,
                b"content",
                signature,
            )
            .failing(refused),
            case("of other content", key, own, b"other", signature).failing(refused),
            case(
                "under another key",
                private_key(8).public_key(),
                own,
                b"content",
                signature,
            )
            .failing(refused),
            case("altered", key, own, b"content", altered).failing(refused),
            case(
                "key that is no curve point",
                PublicKey([0xff; 32]),
                own,
                b"content",
                signature,
            )
            .failing(refused),
            case(
                "key of small order, which verifies everything if it is let to",
                PublicKey(neutral),
                own,
                b"content",
                Signature(neutral_signature),
            )
            .failing(refused),
        ],
    )
}

fn sealed() -> Vector {
    let case = |name_of_case: &str, key: SymmetricKey, aad: &'static [u8], bytes: Vec<u8>| {
        let fields = Fields::new()
            .encoded("key", &key)
            .bytes("nonce", counting::<12>(0x40))
            .bytes("associated_data", aad)
            .bytes("plaintext", b"plaintext");
        Case::new(name_of_case, fields, bytes, move |bytes| {
            let plaintext = key.open(aad, bytes).map_err(name)?;
            Ok(key.seal(counting(0x40), aad, &plaintext))
        })
    };
    let key = || symmetric_key(0x01);
    let bytes = key().seal(counting(0x40), b"here", b"plaintext");
    let mut altered = bytes.clone();
    altered[12] ^= 1;
    let refused = "BadCiphertext";
    Vector::new(
        "crypto/sealed",
        "crypto.md#sealing",
        "Bytes are nonce, ciphertext and tag; sealed under the key 01..20 with the associated data `here`.",
        vec![
            case("as sealed", key(), b"here", bytes.clone()),
            case("with other associated data", key(), b"there", bytes.clone()).failing(refused),
            case(
                "under another key",
                symmetric_key(2),
                b"here",
                bytes.clone(),
            )
            .failing(refused),
            case("altered", key(), b"here", altered).failing(refused),
            case("cut off", key(), b"here", bytes[..27].to_vec()).failing(refused),
            case("shorter than a nonce", key(), b"here", bytes[..11].to_vec()).failing(refused),
        ],
    )
}

fn derive() -> Vector {
    let case = |name_of_case: &str, label: &'static str, context: &'static [u8]| {
        let fields = Fields::new()
            .encoded("key", &symmetric_key(0x01))
            .bytes("label", label)
            .bytes("context", context);
        Case::computed(name_of_case, fields, move || {
            encode(&symmetric_key(0x01).derive(label, context))
        })
    };
    Vector::new(
        "crypto/derive",
        "crypto.md#sealing",
        "Bytes are derive(key, label, context).",
        vec![
            case("empty context", label::FAN_OUT, b""),
            case("another label", label::TICKET_KEY, b""),
            case("with a context", label::FAN_OUT, b"context"),
        ],
    )
}

fn hashes() -> Vector {
    let case = |name_of_case: &str, label: &'static str, content: &'static [u8]| {
        let fields = Fields::new()
            .bytes("label", label)
            .bytes("content", content);
        Case::computed(name_of_case, fields, move || hash(label, content).to_vec())
    };
    let token = || FriendshipToken(counting(0x30));
    let token_fields = Fields::new()
        .bytes("label", label::FRIENDSHIP_TOKEN)
        .encoded("content", &token());
    Vector::new(
        "crypto/hash",
        "crypto.md#sealing",
        "Bytes are H(label, content).",
        vec![
            case("empty content", label::FINGERPRINT, b""),
            case("content", label::FINGERPRINT, b"content"),
            case("another label", label::QUEUE_ID, b"content"),
            Case::computed("friendship token", token_fields, move || {
                token().hash().to_vec()
            }),
        ],
    )
}

/// [CRYPTO-RATCHET-1] [CRYPTO-RATCHET-2]
fn ratchet() -> Vector {
    const REFRESH_BEFORE: u64 = 3;
    let randomness = || counting::<32>(0x80).into();
    // The ratchet that seals the item at `seq`: two items, a refresh in place 2, two items.
    let at = move |seq: u64| {
        let mut ratchet = Ratchet::new(symmetric_key(0x22));
        for earlier in (0..seq).filter(|earlier| *earlier + 1 != REFRESH_BEFORE) {
            drop(ratchet.advance());
            if earlier + 2 == REFRESH_BEFORE {
                ratchet.refresh(&randomness());
            }
        }
        ratchet
    };
    let case = |seq: u64, name_of_case: &str| {
        let item = format!("item {seq}").into_bytes();
        let fields = Fields::new()
            .encoded("seed", &symmetric_key(0x22))
            .encoded("chain", &at(seq))
            .encoded("seq", &Seq(seq))
            .bytes("item", &item);
        let sealed = at(seq).advance().seal(Seq(seq), &item);
        Case::new(name_of_case, fields, sealed, move |bytes| {
            let item = at(seq).advance().open(Seq(seq), bytes).map_err(name)?;
            Ok(at(seq).advance().seal(Seq(seq), &item))
        })
    };
    let moved = at(0).advance().seal(Seq(0), b"item 0");
    let moved_fields = Fields::new()
        .encoded("chain", &at(0))
        .encoded("seq", &Seq(1));
    let refresh_fields = Fields::new()
        .bytes("randomness", counting::<32>(0x80))
        .encoded("seq", &Seq(REFRESH_BEFORE - 1));
    Vector::new(
        "crypto/ratchet",
        "crypto.md#queue-ratchet",
        "One chain: two items, a refresh, two items. Bytes are the sealed item; of the refresh the next chain key.",
        vec![
            case(0, "item 0"),
            case(1, "item 1"),
            Case::computed("refresh in place 2", refresh_fields, move || {
                encode(&at(REFRESH_BEFORE))
            }),
            case(3, "item 3, after the refresh"),
            case(4, "item 4"),
            Case::new("item 0 in place 1", moved_fields, moved, move |bytes| {
                at(0).advance().open(Seq(1), bytes).map_err(name)
            })
            .failing("BadCiphertext"),
        ],
    )
}

/// [DS-FANOUT-1]
fn group_event() -> Vector {
    let event = GroupEvent {
        receipt: sample::receipt(1),
        content: GroupEventContent::Message(opaque(b"MLS message")),
    };
    let nonce = counting(0x40);
    let fan_out = |first: u8| FanOutKey::of(&symmetric_key(first));
    let sealed = event.seal(&fan_out(0x12), nonce);
    let case = |name_of_case: &str, first: u8| {
        let fields = Fields::new()
            .encoded("state_key", &symmetric_key(first))
            .bytes("fan_out_key", fan_out(first).bytes())
            .bytes("nonce", nonce)
            .encoded("event", &event);
        Case::new(name_of_case, fields, sealed.clone(), move |bytes| {
            let event = GroupEvent::open(&fan_out(first), bytes).map_err(name)?;
            Ok(event.seal(&fan_out(first), nonce))
        })
    };
    Vector::new(
        "crypto/group_event",
        "crypto.md#group-state-key",
        "Bytes are a GroupEvent as it is sent to members; sealed in the epoch of the state key 12..31.",
        vec![
            case("in its epoch", 0x12),
            case("in another epoch", 0x13).failing("BadCiphertext"),
        ],
    )
}

/// [DS-RECEIPT-1]
fn receipt() -> Vector {
    let start = ChainHash::start(&sample::group());
    let content = || GroupEventContent::Message(opaque(b"MLS message"));
    let chain = move || start.next(Seq(1), &content());
    let own = Receipt::sign(&private_key(DELIVERY_KEY), sample::group(), Seq(1), chain());
    let case = |name_of_case: &str, receipt: Receipt, group: GroupId| {
        let key = private_key(DELIVERY_KEY).public_key();
        let fields = Fields::new()
            .encoded("group", &group)
            .encoded("public_key", &key);
        Case::new(name_of_case, fields, encode(&receipt), move |bytes| {
            let receipt: Receipt = decode_exact(bytes).map_err(name)?;
            receipt.verify(&key, group).map_err(name)?;
            Ok(encode(&receipt))
        })
    };
    let moved = Receipt {
        number: Seq(2),
        ..own
    };
    let fields = Fields::new()
        .encoded("group", &sample::group())
        .bytes("message", b"MLS message");
    Vector::new(
        "crypto/receipt",
        "delivery.md#receipts",
        "The chain of a group in which one message was sent, and receipts for it, key seed 06...",
        vec![
            Case::computed(
                "chain[0]",
                Fields::new().encoded("group", &sample::group()),
                move || start.0.to_vec(),
            ),
            Case::computed("chain[1]", fields, move || chain().0.to_vec()),
            case("as signed", own, sample::group()),
            case("of another group", own, GroupId([9; 16])).failing("BadSignature"),
            case("with another number", moved, sample::group()).failing("BadSignature"),
        ],
    )
}

/// [DS-COMPLAIN-1]
fn complaint() -> Vector {
    let case = |name_of_case: &str, group: GroupId| {
        let key = private_key(LEAF_KEY).public_key();
        let fields = Fields::new()
            .encoded("group", &group)
            .encoded("public_key", &key);
        let complaint = sample::complaint();
        Case::new(name_of_case, fields, encode(&complaint), move |bytes| {
            let complaint: Complaint = decode_exact(bytes).map_err(name)?;
            complaint.verify(&key, group).map_err(name)?;
            Ok(encode(&complaint))
        })
    };
    Vector::new(
        "crypto/complaint",
        "delivery.md#complain",
        "Bytes are a Complaint by the leaf key of seed 05...",
        vec![
            case("as signed", sample::group()),
            case("in another group", GroupId([9; 16])).failing("BadSignature"),
        ],
    )
}

/// Sealed once with `OpenKey::from_seed(counting(0x01)).seal_key()`: sealing is random.
const HPKE_ENCODED: &str = "12b37a8d4b6ee5d7a901991e3e1e4f8c3e4740a400d80fedce6c4bb2dc36f27630eb04728bb1d04bd3d594d827d15a5b6f20dd57b8440976697fae71ee316ab250f6c15405f5e0af1693a19dcd3eef84af";

fn hpke() -> Vector {
    let case = |name_of_case: &str, seed: u8, purpose: &'static str, aad: &'static [u8]| {
        let key = OpenKey::from_seed(counting(seed));
        let fields = Fields::new()
            .bytes("private_key_seed", key.seed())
            .encoded("public_key", &key.seal_key().unwrap())
            .bytes("info", purpose)
            .bytes("associated_data", aad)
            .bytes("plaintext", b"thirty-two bytes of randomness..");
        Case::new(name_of_case, fields, from_hex(HPKE_ENCODED), move |bytes| {
            let sealed: HpkeCiphertext<64> = decode_exact(bytes).map_err(name)?;
            let plaintext = key.open(purpose, aad, &sealed).map_err(name)?;
            assert_eq!(plaintext.as_slice(), b"thirty-two bytes of randomness..");
            Ok(encode(&sealed))
        })
    };
    let purpose = label::RATCHET_REFRESH_SEALED;
    let refused = "HpkeFailed";
    Vector::new(
        "crypto/hpke",
        "crypto.md#hpke",
        "Bytes are an HpkeCiphertext, made once: sealing is random, opening is not.",
        vec![
            case("as sealed", 1, purpose, &[0; 8]),
            case("for another purpose", 1, label::CONNECTION_REQUEST, &[0; 8]).failing(refused),
            case("with other associated data", 1, purpose, &[1; 8]).failing(refused),
            case("to another key", 2, purpose, &[0; 8]).failing(refused),
        ],
    )
}
