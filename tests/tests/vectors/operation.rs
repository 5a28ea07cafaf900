//! Vectors of an operation: its request, signed where it must be, and its replies.

use std::fmt::Debug;

use protocol::codec::{decode_exact, encode};
use protocol::crypto::signed::Signed;
use protocol::request::{
    Operation, OperationEntry, Request, decode_reply, encode_reply, encode_request, encode_signed,
};
use tls_codec::{DeserializeBytes, Serialize};

use crate::sample;
use crate::vector::{Case, Fields, Vector, name};

/// The file of an operation's vectors.
pub(crate) fn file(entry: &OperationEntry) -> String {
    format!("{}/{}.json", area(entry), entry.name)
}

fn area(entry: &OperationEntry) -> &'static str {
    match entry.code >> 8 {
        1 => "auth",
        2 => "delivery",
        _ => "queue",
    }
}

/// The vectors of an operation.
pub(crate) fn vector<T: Operation>(cases: Vec<Case>) -> Vector {
    let (area, name) = (area(&T::ENTRY), T::ENTRY.name);
    Vector::new(
        &format!("{area}/{name}"),
        &format!("{area}.md#{name}"),
        "Payloads of frames. Contents that MLS defines are placeholders.",
        cases,
    )
}

/// An unsigned request.
pub(crate) fn request<T: Operation + Serialize>(body: &T, fields: Fields) -> Case {
    Case::new("request", fields, encode_request(body), reencode)
}

/// A request signed by the key of the seed that repeats `seed`.
pub(crate) fn signed<T>(body: &T, seed: u8, fields: Fields) -> Case
where
    T: Operation + Serialize + DeserializeBytes + Clone + 'static,
{
    let key = sample::private_key(seed);
    let binding = sample::binding();
    let context = Fields::new()
        .bytes("signing_key_seed", [seed; 32])
        .bytes("server_domain", binding.domain.as_str())
        .bytes("tls_exporter", binding.exporter);
    let payload = encode_signed(&Signed::new(body.clone(), &key, &binding));
    Case::new("request", context.and(fields), payload, move |payload| {
        reencode(payload)?;
        let signed: Signed<T> = decode_exact(payload.split_at(2).1).map_err(name)?;
        let body = signed.verify(&key.public_key(), &binding).map_err(name)?;
        Ok(encode_signed(&Signed::new(body, &key, &binding)))
    })
}

/// A successful reply.
pub(crate) fn reply<T: Operation>(reply: T::Reply, fields: Fields) -> Case
where
    T::Reply: Debug + 'static,
{
    Case::new("reply", fields, encode_reply(&Ok(reply)), |payload| {
        let reply = decode_reply::<T::Reply>(payload).map_err(name)?;
        Ok(encode_reply(&reply))
    })
}

/// Decode any request and encode it again.
pub(crate) fn reencode(payload: &[u8]) -> Result<Vec<u8>, String> {
    Ok(match Request::decode(payload).map_err(name)? {
        Request::Auth(request) => encode(&request),
        Request::Delivery(request) => encode(&request),
        Request::Queue(request) => encode(&request),
    })
}
