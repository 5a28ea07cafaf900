//! The homeserver behind the frames, over a store in memory.
//!
//! ```text
//! 0 || payload                            a payload as it comes
//! 1 || Step*                              requests made from templates, one after the other
//! Step = template place count (offset[2] xor)^count
//! ```
//!
//! `place` says whether the changes are made to the body before it is signed, so that they get
//! past the signature, or to the finished payload. Groups and KeyPackages are placeholders: what
//! OpenMLS makes of real ones is for the tests of the services.

mod template;
pub(crate) mod world;

use protocol::error::ErrorCode;
use protocol::request::{decode_reply, peek};
use tls_codec::{DeserializeBytes, Error, Serialize, Size};

pub use template::TEMPLATES;

use template::Template;
use world::World;

/// Every request is answered; a failure changes no row and is never the server's own fault.
/// [DS-COMMIT-5] [WIRE-REQUEST-1]
pub fn engine(bytes: &[u8]) {
    let world = World::prepared();
    match bytes.split_first() {
        Some((kind, payload)) if kind % 2 == 0 => serve(&world, payload),
        Some((_, script)) => run(&world, script),
        None => {}
    }
}

/// A script of one unchanged request.
#[must_use]
pub fn script(template: u8) -> Vec<u8> {
    vec![1, template, 0, 0]
}

/// Whether the prepared world grants a template as it is.
#[must_use]
pub fn is_granted(template: u8) -> bool {
    let world = World::prepared();
    let templates = template::all(&world);
    let template = templates.get(usize::from(template));
    let payload = template.and_then(|template| template.payload(&template.body, &world.binding));
    payload.is_some_and(|payload| world.answer(&payload).first() == Some(&0))
}

fn run(world: &World, mut script: &[u8]) {
    let templates = template::all(world);
    while let Some(([which, place, count], rest)) = script.split_first_chunk() {
        let changes = usize::from(count % 8) * 3;
        let (changes, rest) = rest.split_at(changes.min(rest.len()));
        let template = templates.get(usize::from(*which) % templates.len());
        let inside = place % 2 == 0;
        if let Some(payload) = template.and_then(|it| request(world, it, inside, changes)) {
            serve(world, &payload);
        }
        script = rest;
    }
}

fn request(world: &World, template: &Template, inside: bool, changes: &[u8]) -> Option<Vec<u8>> {
    if inside {
        return template.payload(&changed(&template.body, changes), &world.binding);
    }
    let payload = template.payload(&template.body, &world.binding)?;
    Some(changed(&payload, changes))
}

fn changed(bytes: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes.chunks_exact(3) {
        let [high, low, mask] = change else { continue };
        let offset = usize::from(u16::from_be_bytes([*high, *low]));
        let length = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(offset % length) {
            *byte ^= mask;
        }
    }
    bytes
}

fn serve(world: &World, payload: &[u8]) {
    let before = world.rows();
    let answer = world.answer(payload);
    let Ok(reply) = decode_reply::<Anything>(&answer) else {
        panic!("an answer is no reply");
    };
    let Err(error) = reply else {
        assert!(peek(payload).is_ok(), "an unknown operation succeeds");
        return;
    };
    assert_ne!(
        error.code,
        ErrorCode::Internal,
        "a request makes the server fail"
    );
    assert!(
        before == world.rows(),
        "a request that failed with {:?} changed a row",
        error.code
    );
}

/// A reply whose structure does not matter here: target `reply` is about that.
struct Anything;

impl DeserializeBytes for Anything {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        Ok((Self, bytes.get(bytes.len()..).unwrap_or_default()))
    }
}

impl Size for Anything {
    fn tls_serialized_len(&self) -> usize {
        0
    }
}

impl Serialize for Anything {
    fn tls_serialize<W: std::io::Write>(&self, _: &mut W) -> Result<usize, Error> {
        Ok(0)
    }
}
