//! A way in over QUIC: what stands behind it may be another server from one moment to the next.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{Listener, Served};
use protocol::codec::encode;
use protocol::crypto::label;
use protocol::crypto::signed::Binding;
use protocol::frame;
use protocol::id::Seq;
use protocol::queue::ListenEvent;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tests::configuration;
use tests::connection::{Failure, read_frame};
use tests::process::{Server, program};

use crate::services::Services;

/// An address at which people find a server.
pub(crate) struct Door {
    endpoint: quinn::Endpoint,
    port: u16,
    behind: Arc<Mutex<Behind>>,
}

/// What a door leads to.
struct Behind {
    services: Arc<Services>,
    /// Of those who came in.
    connections: Vec<quinn::Connection>,
}

/// A certificate as `hearthd init` makes one, and TLS as a server speaks it.
pub(crate) fn tls(directory: &Path) -> Result<quinn::ServerConfig, Failure> {
    let directory = directory.join("server");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    configuration::init(&program(), &directory, address)?;
    let certificate = CertificateDer::from_pem_file(configuration::certificate(&directory))?;
    let key = PrivateKeyDer::from_pem_file(directory.join("tls.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    tls.alpn_protocols = vec![b"hearth/1".to_vec()];
    let tls = QuicServerConfig::try_from(tls)?;
    Ok(quinn::ServerConfig::with_crypto(Arc::new(tls)))
}

impl Door {
    /// Open one to a server.
    pub(crate) fn open(
        tls: &quinn::ServerConfig,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = quinn::Endpoint::server(tls.clone(), address)?;
        let behind = Arc::new(Mutex::new(Behind {
            services: Arc::clone(services),
            connections: Vec::new(),
        }));
        let port = endpoint.local_addr()?.port();
        tokio::spawn(welcome(endpoint.clone(), Arc::clone(&behind)));
        Ok(Self {
            endpoint,
            port,
            behind,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The server behind it.
    pub(crate) fn services(&self) -> Arc<Services> {
        Arc::clone(&lock(&self.behind).services)
    }

    /// Another server stands behind it from here on: who was in has to come in again.
    pub(crate) fn lead_to(&self, services: Arc<Services>) {
        let mut behind = lock(&self.behind);
        behind.services = services;
        for connection in behind.connections.drain(..) {
            connection.close(0_u32.into(), b"");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.endpoint.close(0_u32.into(), b"");
    }
}

fn lock(behind: &Mutex<Behind>) -> MutexGuard<'_, Behind> {
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn welcome(endpoint: quinn::Endpoint, behind: Arc<Mutex<Behind>>) {
    while let Some(incoming) = endpoint.accept().await {
        let behind = Arc::clone(&behind);
        tokio::spawn(async move {
            // Who does not come in, or goes, is seen by the one who waits for it.
            if let Ok(connection) = incoming.await {
                drop(host(connection, &behind).await);
            }
        });
    }
}

async fn host(connection: quinn::Connection, behind: &Mutex<Behind>) -> Result<(), Failure> {
    let services = {
        let mut behind = lock(behind);
        behind.connections.push(connection.clone());
        Arc::clone(&behind.services)
    };
    let mut exporter = [0; 32];
    connection
        .export_keying_material(&mut exporter, label::EXPORTER.as_bytes(), &[])
        .map_err(|_| "the connection exports no keying material")?;
    let binding = Arc::new(Binding {
        domain: Server::domain()?,
        exporter,
    });
    loop {
        let stream = connection.accept_bi().await?;
        let (services, binding) = (Arc::clone(&services), Arc::clone(&binding));
        tokio::spawn(async move { drop(answer(stream, &services, &binding).await) });
    }
}

async fn answer(
    (mut send, mut receive): (quinn::SendStream, quinn::RecvStream),
    services: &Services,
    binding: &Binding,
) -> Result<(), Failure> {
    let payload = read_frame(&mut receive).await?;
    let served = tokio::task::block_in_place(|| services.serve(&payload, binding))?;
    match served {
        Served::Reply { payload, .. } => {
            send.write_all(&frame::encode(&payload)?).await?;
            send.finish()?;
            Ok(())
        }
        Served::Listen {
            listener, payload, ..
        } => {
            send.write_all(&frame::encode(&payload)?).await?;
            tokio::select! {
                ended = push(services, &listener, send) => ended,
                ended = take_acks(services, &listener, receive) => ended,
            }
        }
    }
}

/// Entries as they come.
async fn push(
    services: &Services,
    listener: &Listener,
    mut send: quinn::SendStream,
) -> Result<(), Failure> {
    let (mut next, mut is_caught_up) = (Seq(0), false);
    loop {
        let arrived = services.arrived.notified();
        tokio::pin!(arrived);
        // Whatever comes from here on is not missed.
        arrived.as_mut().enable();
        let read = || services.engine().entries(listener, next);
        let batch = tokio::task::block_in_place(read)?;
        next = batch.next;
        if !batch.is_empty {
            send.write_all(&frame::encode(&batch.event)?).await?;
        } else if !is_caught_up {
            is_caught_up = true;
            let event = encode(&ListenEvent::CaughtUp(next));
            send.write_all(&frame::encode(&event)?).await?;
        } else {
            arrived.await;
        }
    }
}

async fn take_acks(
    services: &Services,
    listener: &Listener,
    mut receive: quinn::RecvStream,
) -> Result<(), Failure> {
    loop {
        let ack = read_frame(&mut receive).await?;
        tokio::task::block_in_place(|| services.engine().ack(listener, &ack))?;
    }
}
