//! One QUIC connection to the server, from a socket of its own. Spec: wire.md#transport.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::crypto::label;
use protocol::crypto::signed::Binding;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, IdleTimeout, TransportConfig, VarInt};
use rustls::client::Resumption;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::trust::Judge;
use crate::address::ServerAddress;
use crate::error::Error;

/// What TLS calls the protocol.
const ALPN: &[u8] = b"hearth/1";
/// How long a handshake may take.
const HANDSHAKE_SECONDS: u64 = 5;
/// How long the next address of a name waits for the one before it.
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);
/// How often a connection that must stay open says so; less than any router forgets a flow.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// Silence after which a connection counts as dead, in milliseconds.
const IDLE_MILLISECONDS: u32 = 90_000;
/// Codes of TLS alerts, as QUIC carries them (RFC 9001 section 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// An open connection and what signatures on it are bound to.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) quic: quinn::Connection,
    pub(crate) binding: Binding,
    /// Keeps the socket open.
    _endpoint: Endpoint,
}

impl Connection {
    /// Whether requests can still be sent on it, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.quic.close_reason().is_none()
    }

    /// Give the connection up.
    pub(crate) fn close(&self) {
        self.quic.close(VarInt::from_u32(0), b"");
    }

    /// Give the connection up and wait until the server has been told.
    pub(crate) async fn close_and_wait(&self) {
        self.close();
        self._endpoint.wait_idle().await;
    }
}

/// How long a connection lives without requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifespan {
    /// Until it has been idle: requests come in bursts.
    UntilIdle,
    /// As long as possible: the server speaks first.
    KeptAlive,
}

/// Connections of one isolation context: no session ticket, no address token and no socket is ever
/// shared with another one, so that a server cannot link them by these. [SDK-ISOLATION-1]
#[derive(Debug)]
pub(crate) struct Dialer {
    server: ServerAddress,
    judge: Judge,
    config: ClientConfig,
}

impl Dialer {
    /// For a server.
    pub(crate) fn new(
        server: ServerAddress,
        judge: Judge,
        lifespan: Lifespan,
    ) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| Error::Certificate(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(judge.verifier(&provider)?)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = Resumption::disabled();
        tls.enable_early_data = false;
        let tls = QuicClientConfig::try_from(tls);
        let tls = tls.map_err(|error| Error::Certificate(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(tls));
        let mut transport = TransportConfig::default();
        transport.keep_alive_interval(match lifespan {
            Lifespan::UntilIdle => None,
            Lifespan::KeptAlive => Some(KEEP_ALIVE),
        });
        transport.max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLISECONDS))));
        transport.max_concurrent_uni_streams(VarInt::from_u32(0));
        transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
        config.transport_config(Arc::new(transport));
        Ok(Self {
            server,
            judge,
            config,
        })
    }

    /// Connect: to the addresses of the server's name in order, each a little later than the one
    /// before, whichever answers first.
    ///
    /// # Errors
    /// `Unreachable` where another attempt may succeed; anything else is final.
    pub(crate) async fn dial(&self) -> Result<Connection, Error> {
        let mut attempts = JoinSet::new();
        let mut delay = Duration::ZERO;
        for address in self.server.resolve().await? {
            let name = self.server.domain().as_str().to_owned();
            attempts.spawn(handshake(address, name, self.config.clone(), delay));
            delay += NEXT_ADDRESS_DELAY;
        }
        let mut failure = Error::Unreachable("the name has no address".to_owned());
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok((endpoint, quic))) => return self.bind(endpoint, quic),
                Ok(Err(error)) => failure = self.explain(error),
                Err(error) => failure = Error::Unreachable(error.to_string()),
            }
            if !failure.is_transient() {
                break;
            }
        }
        Err(failure)
    }

    fn bind(&self, endpoint: Endpoint, quic: quinn::Connection) -> Result<Connection, Error> {
        let mut exporter = [0; 32];
        quic.export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), b"")
            .map_err(|_| Error::Unreachable("TLS gave no exporter".to_owned()))?;
        let domain = self.server.domain().clone();
        Ok(Connection {
            quic,
            binding: Binding { domain, exporter },
            _endpoint: endpoint,
        })
    }

    fn explain(&self, failure: HandshakeFailure) -> Error {
        let error = match failure {
            HandshakeFailure::Local(reason) => return Error::Unreachable(reason),
            HandshakeFailure::Quic(error) => error,
        };
        if let Judge::Pinned(pin) = &self.judge
            && pin.is_contradicted()
        {
            return Error::CertificateChanged(self.server.to_string());
        }
        if let ConnectionError::TransportError(ours) = &error
            && TLS_ALERTS.contains(&u64::from(ours.code))
        {
            return Error::Certificate(ours.reason.clone());
        }
        Error::Unreachable(error.to_string())
    }
}

enum HandshakeFailure {
    Local(String),
    Quic(ConnectionError),
}

async fn handshake(
    address: SocketAddr,
    name: String,
    config: ClientConfig,
    delay: Duration,
) -> Result<(Endpoint, quinn::Connection), HandshakeFailure> {
    sleep(delay).await;
    let unspecified: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = |error: &dyn std::fmt::Display| HandshakeFailure::Local(error.to_string());
    let endpoint = Endpoint::client(SocketAddr::new(unspecified, 0)).map_err(|e| local(&e))?;
    let connecting = endpoint
        .connect_with(config, address, &name)
        .map_err(|e| local(&e))?;
    let deadline = Duration::from_secs(HANDSHAKE_SECONDS);
    match timeout(deadline, connecting).await {
        Ok(Ok(connection)) => Ok((endpoint, connection)),
        Ok(Err(error)) => Err(HandshakeFailure::Quic(error)),
        Err(_) => Err(HandshakeFailure::Quic(ConnectionError::TimedOut)),
    }
}
