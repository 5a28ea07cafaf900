//! Tokens made with the server's own keys, as no attacker can: nobody waits a week for one to
//! become stale. Spec: node.md#transport.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use protocol::crypto::sealed::SymmetricKey;
use quinn::crypto::HandshakeTokenKey;
use ring::{hkdf, hmac};

use crate::clock;
use crate::connection::Failure;
use crate::process::Server;

const LABEL_TOKEN: &str = "hearth node 1.0 Address Token";
const LABEL_DAY: &str = "hearth node 1.0 Address Token Day";
const LABEL_MASK: &str = "hearth node 1.0 Address Token Mask";
/// Seconds that a key seals tokens.
const DAY: u64 = 86_400;
/// Bytes of the nonce behind a token.
const NONCE_BYTES: usize = 16;

/// When a token was given out, and under which key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Age {
    /// How long ago the token says that it was.
    pub issued: Duration,
    /// How many days the key is older than today's.
    pub key_days: u64,
}

/// What makes tokens.
#[derive(Debug)]
pub struct Mint {
    secret: SymmetricKey,
}

impl Mint {
    /// One with the keys of this server.
    ///
    /// # Errors
    /// Its storage key cannot be read.
    pub fn of(server: &Server) -> Result<Self, Failure> {
        let digits = fs::read_to_string(server.directory().join("storage.key"))?;
        let mut key = [0; 32];
        for (byte, place) in key.iter_mut().zip((0..).step_by(2)) {
            let pair = digits.get(place..place + 2).ok_or("a short storage key")?;
            *byte = u8::from_str_radix(pair, 16)?;
        }
        Ok(Self {
            secret: SymmetricKey(key).derive(LABEL_TOKEN, &[]),
        })
    }

    /// A token of those that clients are given for the next time.
    ///
    /// # Errors
    /// The time is before 1970.
    pub fn for_later(&self, ip: IpAddr, age: Age) -> Result<Vec<u8>, Failure> {
        let mut payload = vec![1];
        put_ip(&mut payload, ip);
        self.seal(payload, age)
    }

    /// A token as it is in a Retry packet, which the first packet was addressed to `destination`.
    ///
    /// # Errors
    /// The time is before 1970.
    pub fn for_retry(
        &self,
        address: SocketAddr,
        destination: &[u8],
        age: Age,
    ) -> Result<Vec<u8>, Failure> {
        let mut payload = vec![0];
        put_ip(&mut payload, address.ip());
        payload.extend(address.port().to_be_bytes());
        payload.push(u8::try_from(destination.len())?);
        payload.extend(destination);
        self.seal(payload, age)
    }

    fn seal(&self, mut payload: Vec<u8>, age: Age) -> Result<Vec<u8>, Failure> {
        let now = clock::unix_seconds()?;
        let issued = now.saturating_sub(age.issued.as_secs());
        payload.extend(issued.to_be_bytes());
        let day = (now / DAY).saturating_sub(age.key_days);
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, LABEL_DAY.as_bytes());
        let key = salt.extract(&self.secret.derive(LABEL_DAY, &day.to_be_bytes()).0);
        key.aead_from_hkdf(&nonce)
            .seal(&mut payload, &[])
            .map_err(|_| "the token is not sealed")?;
        let mask = hmac::Key::new(hmac::HMAC_SHA256, &self.secret.derive(LABEL_MASK, &[]).0);
        let masks = hmac::sign(&mask, &nonce);
        let mask = masks.as_ref().first().copied().unwrap_or_default();
        let [.., day] = day.to_be_bytes();
        payload.push(day ^ mask);
        payload.extend(nonce);
        Ok(payload)
    }
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.push(0);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(1);
            out.extend(ip.octets());
        }
    }
}
