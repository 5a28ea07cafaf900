//! An attacker who is inside: connected, with a queue of its own.

use std::net::IpAddr;
use std::time::Duration;

use protocol::auth::FetchServerKeys;
use protocol::contact::FriendshipToken;
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::frame;
use protocol::queue::CreateQueue;
use protocol::request::encode_request;

use crate::connection::Failure;
use crate::hostile::frame::Close;
use crate::hostile::peer::{Peer, Unfinished};
use crate::siege::figure::{Bound, at_least, at_most, count};
use crate::siege::ground::Ground;

/// How long a handshake or a request is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often an attack asks the server what it has closed.
pub(super) const LOOKS_PER_SECOND: u64 = 4;
/// The network of attackers who are inside.
pub(super) const NETWORK: u8 = 62;

/// Connect and show a key.
pub(super) fn enter(ground: &Ground, from: IpAddr) -> Result<Peer, Failure> {
    let mut peer = match Peer::connect(&ground.server, &ground.tls, from, PATIENCE) {
        Ok(peer) => peer,
        Err(Unfinished::Refused) => return Err("the attacker was not let in".into()),
        Err(Unfinished::Failed(failure)) => return Err(failure),
    };
    let key = PrivateKey::from_seed(&rand::random());
    let body = CreateQueue {
        public_key: key.public_key(),
        seal_key: OpenKey::from_seed(rand::random()).seal_key()?,
        ratchet_seed: SymmetricKey(rand::random()),
        friendship_token_hash: FriendshipToken(rand::random()).hash(),
    };
    let request = peer.signed(body, &key)?;
    peer.request(&request, PATIENCE)?;
    Ok(peer)
}

/// A request that anybody may make, and that costs the server next to nothing.
pub(super) fn harmless() -> Result<Vec<u8>, Failure> {
    Ok(frame::encode(&encode_request(&FetchServerKeys {}))?)
}

/// The code for whom the supervisor of connections has closed (spec/registry.md).
pub(super) const FLOOD: u64 = 0x08;
/// The code for whose misbehaviour budget is used up.
pub(super) const MISBEHAVIOUR: u64 = 0x02;

/// How many connections the server has closed for a reason, by its own count. A peer that neither
/// acknowledges nor stops may miss the one packet that tells it so.
pub(super) fn ended(ground: &Ground, why: &str) -> Result<f64, Failure> {
    let label = format!("why=\"{why}\"");
    let metrics = ground.metrics()?;
    Ok(metrics.labelled("hearthd_connections_closed_total", &label))
}

/// That the server closed a connection for what it did, and how soon.
pub(super) fn is_closed(
    what: &str,
    closed: Option<Close>,
    codes: &[u64],
    after: Duration,
    patience: Duration,
) -> [Bound; 2] {
    let is_as_expected = matches!(closed, Some(Close::Application(code)) if codes.contains(&code));
    let name = match closed {
        Some(close) => format!("{what}: closed as it should be ({close:?})"),
        None => format!("{what}: closed"),
    };
    [
        at_least(name, count(usize::from(is_as_expected)), 1.0),
        at_most(
            format!("{what}: seconds until closed"),
            after.as_secs_f64(),
            patience.as_secs_f64(),
        ),
    ]
}
