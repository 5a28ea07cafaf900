//! Vectors of frames, envelopes, signed requests and names.

use protocol::auth::{FetchServerKeys, ReleaseUsername};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::signed::{Binding, Signed};
use protocol::error::{ErrorCode, ErrorReply, Rule};
use protocol::frame;
use protocol::id::{Domain, Epoch, UserAddress, UserId};
use protocol::limit::{DOMAIN_BYTES_MAX, FRAME_BYTES_MAX};
use protocol::queue::{PostEntry, queue_id};
use protocol::request::{Operation, decode_reply, encode_reply, encode_request};

use crate::operation::reencode;
use crate::sample::{self, counting, private_key};
use crate::vector::{Case, Fields, Vector, name};

pub(crate) fn vectors() -> Vec<Vector> {
    vec![
        buckets(),
        frames(),
        requests(),
        signed_requests(),
        error_replies(),
        names(),
        queue_ids(),
    ]
}

/// [WIRE-FRAME-2]
fn buckets() -> Vector {
    let case = |length: u64| {
        let fields = Fields::new().encoded("length", &length);
        Case::computed(&length.to_string(), fields, move || {
            let padded = frame::bucket(usize::try_from(length).unwrap());
            encode(&u64::try_from(padded).unwrap())
        })
    };
    let lengths = [
        0, 1, 255, 256, 257, 272, 273, 300, 511, 512, 513, 1_000, 1_025, 4_097, 65_536, 65_537,
        70_000, 1_048_577, 2_097_158,
    ];
    Vector::new(
        "wire/bucket",
        "wire.md#frames",
        "Lengths and bytes are numbers of 64 bits: bucket(length).",
        lengths.map(case).to_vec(),
    )
}

fn refusal(name_of_case: &str, bytes: Vec<u8>, error: &'static str) -> Case {
    frame_case(name_of_case, Fields::new(), bytes).failing(error)
}

fn frame_case(name_of_case: &str, fields: Fields, bytes: Vec<u8>) -> Case {
    Case::new(name_of_case, fields, bytes, |bytes| {
        let payload = frame::decode_exact(bytes).map_err(name)?;
        frame::encode(&payload).map_err(name)
    })
}

/// [WIRE-FRAME-1] [WIRE-FRAME-3]
fn frames() -> Vector {
    let good = |name_of_case: &str, payload: &[u8]| {
        let fields = Fields::new().bytes("payload", payload);
        frame_case(name_of_case, fields, frame::encode(payload).unwrap())
    };
    let frame = frame::encode(b"payload").unwrap();
    let altered = |index: usize, byte: u8| {
        let mut frame = frame.clone();
        frame[index] = byte;
        frame
    };
    let announcing = |length: usize| {
        let length = u32::try_from(length).unwrap();
        [&frame[..2], &length.to_be_bytes(), &frame[6..]].concat()
    };
    Vector::new(
        "wire/frame",
        "wire.md#frames",
        "Bytes are one frame and the end of the stream.",
        vec![
            good("empty payload", &[]),
            good("short payload", b"payload"),
            good("payload that fills the smallest bucket", &[0x61; 250]),
            good("payload one byte longer than that", &[0x61; 251]),
            good("longer payload", &[0x61; 1_000]),
            refusal("version 0", altered(1, 0), "UnsupportedVersion"),
            refusal("version 2", altered(1, 2), "UnsupportedVersion"),
            refusal("version 257", altered(0, 1), "UnsupportedVersion"),
            refusal(
                "length beyond the limit",
                announcing(FRAME_BYTES_MAX + 1),
                "TooLarge",
            ),
            refusal(
                "length beyond everything",
                announcing(0xffff_ffff),
                "TooLarge",
            ),
            refusal(
                "length at the limit, bytes missing",
                announcing(FRAME_BYTES_MAX),
                "Length",
            ),
            refusal("no bytes", Vec::new(), "Length"),
            refusal("header cut off", frame[..5].to_vec(), "Length"),
            refusal("padding cut off", frame[..255].to_vec(), "Length"),
            refusal("padding missing", frame[..13].to_vec(), "Length"),
            refusal(
                "one byte too many",
                [frame.as_slice(), &[0]].concat(),
                "Length",
            ),
            refusal(
                "first byte of the padding not zero",
                altered(13, 1),
                "Padding",
            ),
            refusal(
                "last byte of the padding not zero",
                altered(255, 1),
                "Padding",
            ),
        ],
    )
}

/// [WIRE-ENCODING-1] [WIRE-ENCODING-2] [WIRE-REQUEST-1]
fn requests() -> Vector {
    let case =
        |name_of_case: &str, bytes: &[u8]| Case::new(name_of_case, Fields::new(), bytes, reencode);
    let bare = encode_request(&FetchServerKeys {});
    let code = PostEntry::CODE.to_be_bytes();
    let post = |payload: &[u8]| [code.as_slice(), &[0; 64 + 16 + 8], payload].concat();
    let too_long = [[0x80, 0, 0x20, 1].as_slice(), &[0; 8_193]].concat();
    Vector::new(
        "wire/request",
        "wire.md#requests",
        "Bytes are a frame's payload.",
        vec![
            case("no body", &bare),
            case("one-byte length prefix", &post(&[1, 0xaa])),
            case("no bytes", &[]).failing("Malformed"),
            case("half an operation number", &[1]).failing("Malformed"),
            case("operation 0", &[0, 0]).failing("UnknownOperation"),
            case("operation 0xffff", &[0xff, 0xff]).failing("UnknownOperation"),
            case("bytes left over", &[bare.as_slice(), &[0]].concat()).failing("Malformed"),
            case("body missing", &code).failing("Malformed"),
            case("length prefix longer than needed", &post(&[0x40, 1, 0xaa])).failing("Malformed"),
            case("reserved length prefix", &post(&[0xc0, 0, 0, 1, 0xaa])).failing("Malformed"),
            case("length beyond the bytes", &post(&[2, 0xaa])).failing("Malformed"),
            case("length beyond the bound", &post(&too_long)).failing("Malformed"),
        ],
    )
}

/// [WIRE-SIGNED-1] [WIRE-SIGNED-2]
fn signed_requests() -> Vector {
    let body = ReleaseUsername {
        username: sample::username(),
    };
    let key = private_key(4);
    let signed = Signed::new(body, &key, &sample::binding());
    let case = |name_of_case: &str, verifier: u8, binding: Binding, bytes: Vec<u8>| {
        let public_key = private_key(verifier).public_key();
        let fields = Fields::new()
            .encoded("body", &body)
            .bytes("signing_key_seed", [4; 32])
            .encoded("verifying_key", &public_key)
            .bytes("verifier_domain", binding.domain.as_str())
            .bytes("verifier_tls_exporter", binding.exporter);
        Case::new(name_of_case, fields, bytes, move |bytes| {
            let signed: Signed<ReleaseUsername> = decode_exact(bytes).map_err(name)?;
            let again = encode(&signed);
            let verified = signed.verify(&public_key, &binding).map_err(name);
            verified.map(|_| again)
        })
    };
    let bytes = encode(&signed);
    let mut forged = bytes.clone();
    forged[1] ^= 1;
    let other_domain = Binding {
        domain: "b.example".parse().unwrap(),
        ..sample::binding()
    };
    let other_connection = Binding {
        exporter: counting(0),
        ..sample::binding()
    };
    let here = sample::binding;
    let refused = "BadSignature";
    Vector::new(
        "wire/signed",
        "wire.md#signed-requests",
        "Bytes are the Signed body of release_username. Signed over a.example and the exporter value e0..ff.",
        vec![
            case("as signed", 4, here(), bytes.clone()),
            case("under another key", 9, here(), bytes.clone()).failing(refused),
            case("at another server", 4, other_domain, bytes.clone()).failing(refused),
            case("on another connection", 4, other_connection, bytes).failing(refused),
            case("with another body", 4, here(), forged).failing(refused),
            case("for another operation", 4, here(), for_another_operation()).failing(refused),
        ],
    )
}

/// A `Signed` whose signature covers the same body under the number of `listen`.
fn for_another_operation() -> Vec<u8> {
    let username = sample::username();
    let body = encode(&ReleaseUsername { username });
    let binding = sample::binding();
    let content = [
        encode(&binding.domain).as_slice(),
        &binding.exporter,
        &protocol::queue::Listen::CODE.to_be_bytes(),
        &[32],
        &body,
    ]
    .concat();
    let signature = private_key(4).sign(protocol::crypto::label::REQUEST, &content);
    [[32].as_slice(), &body, &signature.0].concat()
}

/// [WIRE-ERROR-1] lists the codes; what they are used for is for the services to prove.
fn error_replies() -> Vector {
    let case = |name_of_case: &str, error: ErrorReply| {
        let fields = Fields::new()
            .encoded("code", &error.code)
            .encoded("detail", &error.detail);
        let bytes = encode_reply::<()>(&Err(error));
        Case::new(name_of_case, fields, bytes, |bytes| {
            let reply = decode_reply::<()>(bytes).map_err(name)?;
            Ok(encode_reply(&reply))
        })
    };
    let codes = (0..=u16::MAX).filter_map(|code| decode_exact(&code.to_be_bytes()).ok());
    let plain = codes.map(|code: ErrorCode| case(&name(code), code.into()));
    let detailed = [
        case("WrongEpoch 7", ErrorReply::wrong_epoch(Epoch(7))),
        case("Invalid KeyPackage", ErrorReply::invalid(Rule::KeyPackage)),
        case(
            "Busy 250 ms",
            ErrorReply {
                code: ErrorCode::Busy,
                detail: 250,
            },
        ),
    ];
    Vector::new(
        "wire/error_reply",
        "wire.md#errors",
        "Bytes are the payload of a reply.",
        plain.chain(detailed).collect(),
    )
}

fn names() -> Vector {
    let case = |name_of_case: &str, text: &str| {
        let bytes = [length_prefix(text.len()).as_slice(), text.as_bytes()].concat();
        let fields = Fields::new().bytes("text", text);
        Case::new(name_of_case, fields, bytes, |bytes| {
            let domain = decode_exact::<Domain>(bytes).map_err(name)?;
            Ok(encode(&domain))
        })
    };
    let user = UserAddress {
        id: UserId(counting(0x10)),
        domain: sample::domain(),
    };
    let user_fields = Fields::new()
        .encoded("id", &user.id)
        .bytes("domain", user.domain.as_str());
    let (longest, longer) = (
        "a".repeat(DOMAIN_BYTES_MAX),
        "a".repeat(DOMAIN_BYTES_MAX + 1),
    );
    Vector::new(
        "wire/name",
        "wire.md#encoding",
        "Bytes are a Domain, in the last case a UserAddress.",
        vec![
            case("domain", "a.example"),
            case("longest domain", &longest),
            case("domain that is too long", &longer).failing("InvalidVectorLength"),
            case("empty domain", "").failing("InvalidInput"),
            case("upper case", "A.example").failing("InvalidInput"),
            case("not ASCII", "\u{e4}.example").failing("InvalidInput"),
            case("dot in front", ".example").failing("InvalidInput"),
            case("hyphen at the end", "example-").failing("InvalidInput"),
            Case::new("user address", user_fields, encode(&user), |bytes| {
                Ok(encode(&decode_exact::<UserAddress>(bytes).map_err(name)?))
            }),
        ],
    )
}

fn length_prefix(length: usize) -> Vec<u8> {
    if length < 64 {
        vec![u8::try_from(length).unwrap()]
    } else {
        (0x4000 | u16::try_from(length).unwrap())
            .to_be_bytes()
            .to_vec()
    }
}

/// [QS-CREATE-1]
fn queue_ids() -> Vector {
    let case = |seed: u8| {
        let public_key = private_key(seed).public_key();
        let fields = Fields::new().encoded("public_key", &public_key);
        let name_of_case = format!("key of the seed {seed:02x}..");
        Case::computed(&name_of_case, fields, move || {
            encode(&queue_id(&public_key))
        })
    };
    Vector::new(
        "queue/queue_id",
        "queue.md#create_queue",
        "Bytes are the id of the key's queue.",
        vec![case(6), case(7)],
    )
}
