//! QUIC settings, and why they are what they are.

pub(crate) mod cid;
mod congestion;
mod token;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::crypto::sealed::SymmetricKey;
use quinn::crypto::HandshakeTokenKey;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    BloomTokenLog, EndpointConfig, IdleTimeout, ServerConfig, TokenLog, TransportConfig,
    ValidationTokenConfig, VarInt,
};
use ring::hmac;

use crate::clock;
use crate::config::Config;
use crate::quic::cid::{CidKey, Generator, Kind, Place};
use crate::quic::congestion::Capped;
use crate::quic::token::RotatingKey;

/// QUIC version 1 and no draft of it.
pub(crate) const QUIC_V1: u32 = 1;
/// The longest datagram that fits an Ethernet frame over IPv4; longer ones need not be received.
pub(crate) const DATAGRAM_BYTES_MAX: u16 = 1_472;
/// Handshake bytes kept out of order. The longest message is a certificate chain.
const CRYPTO_BUFFER_BYTES: usize = 16 * 1_024;
/// How long a client may take to come back with a Retry token.
const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(10);
/// Memory for address-validation tokens that were used, at most.
const TOKEN_LOG_BYTES: usize = 16 << 20;
/// Tokens used in one lifetime for which that memory is enough.
const TOKEN_LOG_ITEMS: u64 = 4_000_000;
/// A day in seconds.
const DAY_SECONDS: u64 = 86_400;

const LABEL_RESET: &str = "hearth node 1.0 Stateless Reset";
const LABEL_TOKEN: &str = "hearth node 1.0 Address Token";
const LABEL_CONNECTION_ID: &str = "hearth node 1.0 Connection Id";

/// The keys by which a restarted server knows what it gave out before: clients that still believe
/// in a connection learn at once that it is gone. [NODE-RESTART-1]
#[derive(Clone, Debug)]
pub(crate) struct TransportKeys {
    reset: SymmetricKey,
    token: SymmetricKey,
    connection_id: SymmetricKey,
}

impl TransportKeys {
    /// Derived from the storage key, so that there is no further file to keep.
    pub(crate) fn derive(storage_key: &SymmetricKey) -> Self {
        Self {
            reset: storage_key.derive(LABEL_RESET, &[]),
            token: storage_key.derive(LABEL_TOKEN, &[]),
            connection_id: storage_key.derive(LABEL_CONNECTION_ID, &[]),
        }
    }

    /// Settings of a socket whose ids are of this kind and place. All sockets of a server share
    /// the key of stateless resets: steering sends each datagram to the shard that knows its
    /// connection, so none resets another's.
    pub(crate) fn endpoint(&self, kind: Kind, place: Place) -> EndpointConfig {
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &self.reset.0);
        let ids = self.connection_id.clone();
        let mut config = EndpointConfig::new(Arc::new(reset));
        config.supported_versions(vec![QUIC_V1]);
        config.cid_generator(move || Box::new(Generator::new(&ids, kind, place)));
        if config.max_udp_payload_size(DATAGRAM_BYTES_MAX).is_err() {
            tracing::error!("the transport takes no datagrams of {DATAGRAM_BYTES_MAX} bytes");
        }
        config
    }

    /// What recognises connection ids.
    pub(crate) fn cids(&self) -> CidKey {
        CidKey::new(&self.connection_id)
    }
}

/// What all sockets of a server, and its certificates one after the other, have in common.
pub(crate) struct Settings {
    workers: ServerConfig,
    token_key: Arc<dyn HandshakeTokenKey>,
    token_lifetime: Duration,
}

impl Settings {
    pub(crate) fn new(
        crypto: Arc<QuicServerConfig>,
        keys: &TransportKeys,
        config: &Config,
    ) -> Self {
        let key = RotatingKey::new(keys.token.clone(), clock::now);
        let token_key: Arc<dyn HandshakeTokenKey> = Arc::new(key);
        let days = u64::from(config.transport.token_days);
        let token_lifetime = Duration::from_secs(days * DAY_SECONDS);
        let mut workers = ServerConfig::new(crypto, Arc::clone(&token_key));
        let limits = &config.transport;
        workers
            .transport_config(Arc::new(transport(config)))
            .validation_token_config(validation(token_lifetime))
            .retry_token_lifetime(RETRY_TOKEN_LIFETIME)
            .max_incoming(limits.first_packets)
            .incoming_buffer_size(limits.first_packet_bytes)
            .incoming_buffer_size_total(limits.first_packet_bytes_total);
        Self {
            workers,
            token_key,
            token_lifetime,
        }
    }

    /// The settings of those who make connections.
    pub(crate) fn workers(&self) -> ServerConfig {
        self.workers.clone()
    }

    /// The settings of a front door. Its log of used tokens is its own: it sees each token before
    /// the worker does, and the worker must find it unused. [NODE-TOKEN-2]
    pub(crate) fn door(&self) -> ServerConfig {
        let mut config = self.workers.clone();
        config
            .token_key(Arc::clone(&self.token_key))
            .validation_token_config(validation(self.token_lifetime));
        config
    }

    /// Use another certificate. Everything but it stays, above all the key of the tokens that are
    /// out. [NODE-RELOAD-1]
    pub(crate) fn set_certificate(&mut self, crypto: Arc<QuicServerConfig>) {
        self.workers.crypto = crypto;
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// Address-validation tokens, each good once. Whoever clones these settings shares the log, so a
/// token is good once over all shards. [NODE-TOKEN-2]
fn validation(lifetime: Duration) -> ValidationTokenConfig {
    let mut config = ValidationTokenConfig::default();
    config
        .lifetime(lifetime)
        .log(Arc::new(used_tokens(lifetime)))
        .sent(1);
    config
}

/// A log of used tokens that takes every token that is good today. A fresh one would take the end
/// of the first token for the beginning of its time, and every token that ends before for one that
/// was used; so the first that it is told of is one that ends now. [NODE-RESTART-1]
fn used_tokens(lifetime: Duration) -> BloomTokenLog {
    let log = BloomTokenLog::new_expected_items(TOKEN_LOG_BYTES, TOKEN_LOG_ITEMS);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(clock::now().0);
    let issued = now.checked_sub(lifetime).unwrap_or(now);
    if log.check_and_insert(0, issued, lifetime).is_err() {
        tracing::warn!("tokens given out before will not be taken");
    }
    log
}

/// What a connection may take before it has shown who it is; see [`crate::config::Transport`].
fn transport(config: &Config) -> TransportConfig {
    let bytes = |bytes: u32| VarInt::from_u32(bytes);
    let (streams, first) = (&config.streams, &config.transport);
    let idle = VarInt::from_u32(config.connections.idle_seconds.saturating_mul(1_000));
    let window = streams
        .connection_receive_window
        .min(first.first_receive_window);
    let send_window = streams.send_window.min(first.first_send_window);
    let concurrent = streams.concurrent.min(first.first_streams);
    let mut settings = TransportConfig::default();
    settings
        .max_concurrent_bidi_streams(VarInt::from_u32(concurrent))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(bytes(streams.receive_window))
        .receive_window(bytes(window))
        .send_window(u64::from(send_window))
        .datagram_receive_buffer_size(None)
        .crypto_buffer_size(CRYPTO_BUFFER_BYTES)
        .congestion_controller_factory(Arc::new(Capped::new(first.congestion_window)))
        .max_idle_timeout(Some(IdleTimeout::from(idle)))
        .keep_alive_interval(None);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [NODE-TOKEN-2] [NODE-RESTART-1]
    #[test]
    fn a_fresh_log_takes_every_token_that_is_good_once_and_in_any_order() {
        let day = Duration::from_secs(DAY_SECONDS);
        let log = used_tokens(7 * day);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(clock::now().0);
        for (nonce, age) in [(1, 0), (2, 6), (3, 3), (4, 0)] {
            let take = || {
                log.check_and_insert(nonce, now - age * day, 7 * day)
                    .is_ok()
            };
            assert!(take(), "a token of {age} days ago");
            assert!(!take(), "the same again");
        }
    }
}
