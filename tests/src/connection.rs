//! A bare client connection: frames in and out, nothing remembered.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use protocol::crypto::label;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::frame::{self, HEADER_BYTES, Header};
use protocol::id::Domain;
use protocol::request::{Operation, decode_reply, encode_request, encode_signed};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::CertificateDer;
use tls_codec::Serialize;

/// What a test's tools fail with: for people to read.
pub type Failure = Box<dyn Error + Send + Sync>;

/// One QUIC connection to the server.
#[derive(Clone, Debug)]
pub struct Connection {
    quic: quinn::Connection,
    binding: Arc<Binding>,
}

/// Whether the server has too much to do at present.
#[must_use]
pub fn is_busy(failure: &Failure) -> bool {
    let error = failure.downcast_ref::<ErrorReply>();
    error.is_some_and(|error| error.code == ErrorCode::Busy)
}

/// TLS as a client speaks it, which trusts the given certificate alone.
///
/// # Errors
/// The certificate is none.
pub fn tls(certificate: CertificateDer<'static>) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"hearth/1".to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    Ok(tls)
}

/// A UDP socket for clients, which trusts the given certificate alone.
pub fn endpoint(certificate: CertificateDer<'static>) -> Result<quinn::Endpoint, Failure> {
    endpoint_at(Ipv4Addr::LOCALHOST.into(), certificate)
}

/// The same, on an address of this machine.
///
/// # Errors
/// The certificate is none, or the operating system refuses.
pub fn endpoint_at(
    address: IpAddr,
    certificate: CertificateDer<'static>,
) -> Result<quinn::Endpoint, Failure> {
    let tls = QuicClientConfig::try_from(tls(certificate)?)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(90).try_into()?));
    transport.keep_alive_interval(Some(Duration::from_secs(25)));
    transport.datagram_receive_buffer_size(None);
    config.transport_config(Arc::new(transport));
    let mut endpoint = quinn::Endpoint::client(SocketAddr::new(address, 0))?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

impl Connection {
    /// Connect to the server at `address`, which serves `domain`.
    pub async fn open(
        endpoint: &quinn::Endpoint,
        address: SocketAddr,
        domain: &Domain,
    ) -> Result<Self, Failure> {
        let quic = endpoint.connect(address, domain.as_str())?.await?;
        let mut exporter = [0; 32];
        quic.export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), &[])
            .map_err(|_| "the connection exports no keying material")?;
        Ok(Self {
            quic,
            binding: Arc::new(Binding {
                domain: domain.clone(),
                exporter,
            }),
        })
    }

    /// Send an unsigned request and wait for its reply.
    pub async fn request<T: Operation + Serialize>(&self, body: &T) -> Result<T::Reply, Failure> {
        self.exchange(&encode_request(body)).await
    }

    /// Sign a request for this connection, send it and wait for its reply.
    pub async fn signed<T: Operation + Serialize>(
        &self,
        body: T,
        key: &PrivateKey,
    ) -> Result<T::Reply, Failure> {
        self.exchange(&encode_signed(&Signed::new(body, key, &self.binding)))
            .await
    }

    async fn exchange<R: tls_codec::DeserializeBytes>(&self, payload: &[u8]) -> Result<R, Failure> {
        Ok(decode_reply(&self.raw(&frame::encode(payload)?).await?)??)
    }

    /// Send any bytes as a request and give the payload of the answer's frame.
    ///
    /// # Errors
    /// The connection or the stream ends without an answer.
    pub async fn raw(&self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let (mut send, mut receive) = self.quic.open_bi().await?;
        // The server may have answered and stopped the stream before all is written.
        match send.write_all(bytes).await {
            Ok(()) => send.finish()?,
            Err(quinn::WriteError::Stopped(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let answer = read_frame(&mut receive).await?;
        // A stream whose end nobody reads is stopped, which is one more frame for each answer.
        receive.read_to_end(0).await?;
        Ok(answer)
    }

    /// What signatures on this connection are bound to.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// The QUIC connection.
    #[must_use]
    pub fn quic(&self) -> &quinn::Connection {
        &self.quic
    }

    /// Open a listen stream; gives the first reply and the stream's two sides.
    pub async fn listen_reply<T: Operation + Serialize>(
        &self,
        body: T,
        key: &PrivateKey,
    ) -> Result<(T::Reply, (quinn::SendStream, quinn::RecvStream)), Failure> {
        let (mut send, mut receive) = self.quic.open_bi().await?;
        let payload = encode_signed(&Signed::new(body, key, &self.binding));
        send.write_all(&frame::encode(&payload)?).await?;
        let reply = decode_reply::<T::Reply>(&read_frame(&mut receive).await?)??;
        Ok((reply, (send, receive)))
    }
}

/// Read one frame's payload.
pub async fn read_frame(stream: &mut quinn::RecvStream) -> Result<Vec<u8>, Failure> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let header = Header::decode(header)?;
    let mut body = vec![0; header.body_bytes()];
    stream.read_exact(&mut body).await?;
    Ok(header.payload(body)?)
}
