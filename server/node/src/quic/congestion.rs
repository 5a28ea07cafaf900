//! CUBIC with a ceiling: a peer that acknowledges what it has not received cannot drive the rate
//! of a connection beyond ceiling and round-trip time.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// Makes controllers that never let more than so many bytes be in flight. [NODE-CONGESTION-1]
#[derive(Debug)]
pub(crate) struct Capped {
    cubic: Arc<CubicConfig>,
    bytes: u64,
}

impl Capped {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            cubic: Arc::new(CubicConfig::default()),
            bytes,
        }
    }
}

impl ControllerFactory for Capped {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(CappedCubic {
            cubic: Arc::clone(&self.cubic).build(now, current_mtu),
            bytes: self.bytes,
        })
    }
}

struct CappedCubic {
    cubic: Box<dyn Controller>,
    bytes: u64,
}

impl Controller for CappedCubic {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        // At the ceiling the window stands still, or a loss would take it down from a height that
        // was never used.
        let stands = app_limited || self.cubic.window() >= self.bytes;
        self.cubic.on_ack(now, sent, bytes, stands, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.cubic
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.cubic
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().min(self.bytes)
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            cubic: self.cubic.clone_box(),
            bytes: self.bytes,
        })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window().min(self.bytes)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::clock;

    /// [NODE-CONGESTION-1]
    #[test]
    fn the_window_is_never_above_its_ceiling_and_a_loss_takes_it_below() {
        let now = clock::instant();
        let ceiling = 5_000;
        let mut controller = Arc::new(Capped::new(ceiling)).build(now, 1_200);
        assert_eq!(controller.window(), ceiling);
        assert_eq!(controller.initial_window(), ceiling);
        assert_eq!(controller.clone_box().window(), ceiling);
        controller.on_congestion_event(now, now, true, 1_200);
        assert!(controller.window() < ceiling);
    }

    /// The largest window of a connection that sends megabytes to a peer who acknowledges
    /// everything at once, as one does who has received nothing of it.
    async fn largest_window(bytes: Option<u64>) -> u64 {
        const CHUNK: &[u8] = &[7; 1 << 16];
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let mut server =
            quinn::ServerConfig::with_single_cert(vec![certificate.clone()], key).unwrap();
        let mut transport = quinn::TransportConfig::default();
        transport.send_window(64 << 20);
        if let Some(bytes) = bytes {
            transport.congestion_controller_factory(Arc::new(Capped::new(bytes)));
        }
        server.transport_config(Arc::new(transport));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let server = quinn::Endpoint::server(server, any).unwrap();
        let endpoint = quinn::Endpoint::client(any).unwrap();
        let to = server.local_addr().unwrap();
        let reading = async {
            let connecting = endpoint.connect_with(client, to, "localhost").unwrap();
            let connection = connecting.await.unwrap();
            let mut stream = connection.accept_uni().await.unwrap();
            while stream
                .read_chunk(CHUNK.len(), true)
                .await
                .unwrap()
                .is_some()
            {}
        };
        let writing = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            let mut stream = connection.open_uni().await.unwrap();
            let mut largest = 0;
            for _ in 0..128 {
                stream.write_all(CHUNK).await.unwrap();
                largest = largest.max(connection.stats().path.cwnd);
            }
            stream.finish().unwrap();
            stream.stopped().await.unwrap();
            largest.max(connection.stats().path.cwnd)
        };
        tokio::join!(reading, writing).1
    }

    /// Threat model: DoS1, attack T18. [NODE-CONGESTION-1]
    #[tokio::test]
    async fn no_acknowledgements_take_the_window_above_its_ceiling() {
        let ceiling = 64 << 10;
        assert_eq!(largest_window(Some(ceiling)).await, ceiling);
        let without = largest_window(None).await;
        assert!(without > ceiling, "{without}: so there is nothing to stop");
    }
}
