//! Which connections may begin, before anything is kept for them.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::config::{Connections, Retry};

/// Counters of one row of the table of networks.
const COUNTERS: usize = 1 << 14;
/// Rows: a network is overestimated only if others meet it in each.
const ROWS: usize = 2;

/// What to do with a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Begin the handshake.
    Accept,
    /// Have the peer show that it receives at its address.
    Retry,
    /// Tell the peer that there is no room for it.
    Refuse,
    /// Answer nothing; an honest peer sends again.
    Ignore,
}

/// Counts of connections and handshakes, for each network and in all. [NODE-ADMIT-1]
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Connections,
    handshakes: AtomicUsize,
    connections: AtomicUsize,
    networks: Networks,
}

impl Admission {
    pub(crate) fn new(limits: Connections) -> Self {
        Self {
            limits,
            handshakes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            networks: Networks::new(),
        }
    }

    /// Decide about a first packet. Changes nothing: an address that nobody has validated must
    /// not fill a network's quota.
    pub(crate) fn decide(&self, address: SocketAddr, is_validated: bool) -> Decision {
        let handshakes = self.handshakes.load(Ordering::Relaxed);
        let connections = self.connections.load(Ordering::Relaxed);
        if handshakes + connections >= self.limits.total || self.is_network_full(address.ip()) {
            return Decision::Refuse;
        }
        if handshakes >= self.limits.handshakes {
            return Decision::Ignore;
        }
        let must_validate = match self.limits.retry {
            Retry::Always => true,
            Retry::Adaptive => handshakes >= self.limits.retry_threshold,
            Retry::Never => false,
        };
        if must_validate && !is_validated {
            Decision::Retry
        } else {
            Decision::Accept
        }
    }

    /// A handshake begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Handshake {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        Handshake {
            admission: Arc::clone(self),
        }
    }

    /// Connections at present.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Handshakes at present.
    pub(crate) fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }

    fn is_network_full(&self, address: IpAddr) -> bool {
        let [narrow, wide] = networks(address);
        self.networks.count(&narrow) >= self.limits.per_address
            || self.networks.count(&wide) >= self.limits.per_network
    }
}

/// A handshake in progress.
#[derive(Debug)]
pub(crate) struct Handshake {
    admission: Arc<Admission>,
}

/// There are too many connections, in all or from the peer's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyConnections;

impl Handshake {
    /// The handshake is over, so the address is the peer's own and can be counted. [NODE-ADMIT-2]
    pub(crate) fn complete(self, address: SocketAddr) -> Result<Admitted, TooManyConnections> {
        let admission = Arc::clone(&self.admission);
        if admission.is_network_full(address.ip()) {
            return Err(TooManyConnections);
        }
        if admission.connections.fetch_add(1, Ordering::Relaxed) >= admission.limits.total {
            admission.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(TooManyConnections);
        }
        let [narrow, wide] = networks(address.ip());
        admission.networks.add(&narrow);
        admission.networks.add(&wide);
        Ok(Admitted {
            admission,
            address: address.ip(),
        })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        let [narrow, wide] = networks(self.address);
        self.admission.networks.remove(&narrow);
        self.admission.networks.remove(&wide);
    }
}

/// A network: prefix length and address with the rest zeroed.
type Network = (u32, u128);

/// The narrow and the wide network of an address: IPv4 /32 and /24, IPv6 /64 and /48.
fn networks(address: IpAddr) -> [Network; 2] {
    let (bits, lengths) = match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, [32, 24]),
        IpAddr::V6(address) => (address.to_bits(), [64, 48]),
    };
    let family = u32::from(address.to_canonical().is_ipv6()) << 8;
    lengths.map(|length| (family | length, bits & (u128::MAX << (128 - length))))
}

/// A count-min table of fixed size: no peer can make it grow.
#[derive(Debug)]
struct Networks {
    rows: [(RandomState, Box<[AtomicU32]>); ROWS],
}

impl Networks {
    fn new() -> Self {
        let row = || {
            (
                RandomState::new(),
                (0..COUNTERS).map(|_| AtomicU32::new(0)).collect(),
            )
        };
        Self {
            rows: [(); ROWS].map(|()| row()),
        }
    }

    fn counters(&self, network: &Network) -> impl Iterator<Item = &AtomicU32> {
        self.rows.iter().filter_map(move |(hasher, counters)| {
            let hash = usize::try_from(hasher.hash_one(network) >> 32).unwrap_or_default();
            counters.get(hash % COUNTERS)
        })
    }

    fn add(&self, network: &Network) {
        self.counters(network).for_each(|counter| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn remove(&self, network: &Network) {
        self.counters(network).for_each(|counter| {
            counter.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// At least the number of the network's connections.
    fn count(&self, network: &Network) -> u32 {
        let counts = self
            .counters(network)
            .map(|counter| counter.load(Ordering::Relaxed));
        counts.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl FnOnce(&mut Connections)) -> Arc<Admission> {
        let mut limits = Connections::default();
        change(&mut limits);
        Arc::new(Admission::new(limits))
    }

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 4_433)
    }

    #[test]
    fn a_network_fills_up_and_others_do_not() {
        let admission = admission(|limits| limits.per_network = 2);
        let connect = |text| admission.begin().complete(address(text));
        let held = [connect("10.0.0.1").unwrap(), connect("10.0.0.2").unwrap()];
        assert_eq!(connect("10.0.0.3").unwrap_err(), TooManyConnections);
        assert_eq!(
            admission.decide(address("10.0.0.3"), true),
            Decision::Refuse
        );
        assert!(connect("10.0.1.1").is_ok());
        assert!(connect("2001:db8::1").is_ok());
        drop(held);
        assert!(connect("10.0.0.3").is_ok());
    }

    #[test]
    fn prefixes_are_those_of_the_design() {
        let same = |one: &str, two: &str| {
            let [one, two] = [one, two].map(|text| networks(text.parse().unwrap()));
            [one[0] == two[0], one[1] == two[1]]
        };
        assert_eq!(same("10.0.0.1", "10.0.0.2"), [false, true]);
        assert_eq!(same("10.0.0.1", "10.0.1.1"), [false, false]);
        assert_eq!(same("2001:db8::1", "2001:db8::2"), [true, true]);
        assert_eq!(same("2001:db8:0:1::1", "2001:db8:0:2::1"), [false, true]);
        assert_eq!(same("10.0.0.1", "::ffff:10.0.0.1"), [true, true]);
    }

    #[test]
    fn addresses_are_validated_once_many_handshakes_are_in_progress() {
        let admission = admission(|limits| {
            limits.retry = Retry::Adaptive;
            limits.retry_threshold = 1;
            limits.handshakes = 2;
        });
        let peer = address("10.0.0.1");
        assert_eq!(admission.decide(peer, false), Decision::Accept);
        let first = admission.begin();
        assert_eq!(admission.decide(peer, false), Decision::Retry);
        assert_eq!(admission.decide(peer, true), Decision::Accept);
        let second = admission.begin();
        assert_eq!(admission.decide(peer, true), Decision::Ignore);
        drop((first, second));
        assert_eq!(admission.decide(peer, false), Decision::Accept);
    }

    #[test]
    fn the_total_is_never_exceeded() {
        let admission = admission(|limits| limits.total = 1);
        let [first, second] = [(); 2].map(|()| admission.begin());
        let held = first.complete(address("10.0.0.1")).unwrap();
        assert_eq!(
            second.complete(address("10.0.0.2")).unwrap_err(),
            TooManyConnections
        );
        assert_eq!(admission.connections(), 1);
        drop(held);
        assert_eq!(admission.connections(), 0);
    }
}
