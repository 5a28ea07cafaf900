//! Which connections may begin, before anything is kept for them.
//!
//! ```text
//! first packet ─► memory, total ─► validated? ──no──► a place, and may it be let in all the same? ─► Retry
//!                                            └─ yes ─► strangers of its networks, its half-open
//!                                                      handshakes, its budgets ─► accept
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::budget::{Budgets, Spent};
use crate::clock::Stopwatch;
use crate::config::{Connections, Handshakes, Retry};
use crate::cpu::{self, Use};
use crate::gcra::{Bucket, Quota};
use crate::headcount::Headcount;
use crate::identity::Identity;
use crate::ledger::{CONNECTION_BYTES, Held, Ledger, Pressure};
use crate::places::{Place, Places};
use crate::prefix;

/// Refusals that are told to the peer, per second: each takes some 10 microseconds and a packet.
/// What exceeds them is ignored.
const REFUSALS_PER_SECOND: u64 = 500;

/// Why a first packet, or a connection, is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There is not enough memory.
    Memory,
    /// There are too many connections in all.
    Total,
    /// Too many handshakes are in progress, of this address or, so that others get its place, in all.
    HalfOpen,
    /// Too many connections of this network have not shown whose they are.
    Strangers,
    /// The network has had its handshakes.
    Budget,
    /// All handshakes together take as much of the processors as they may.
    Processors,
}

/// What to do with a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Begin the handshake.
    Accept,
    /// Have the peer show that it receives at its address.
    Retry,
    /// Tell the peer that there is no room for it.
    Refuse(Reason),
    /// Answer nothing; an honest peer sends again.
    Ignore(Reason),
}

/// Counts of connections and handshakes, for each network and in all. [NODE-ADMIT-1]
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Connections,
    half_open_max: u32,
    budgets: Budgets,
    handshakes: AtomicUsize,
    connections: AtomicUsize,
    strangers: Headcount,
    half_open: Headcount,
    refusals: Bucket,
    ledger: Arc<Ledger>,
    used: Arc<Use>,
    watch: Stopwatch,
}

impl Admission {
    pub(crate) fn new(
        limits: Connections,
        handshakes: &Handshakes,
        ledger: Arc<Ledger>,
        used: Arc<Use>,
        watch: Stopwatch,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            limits,
            half_open_max: handshakes.in_progress_per_address,
            budgets: Budgets::new(handshakes, cores),
            handshakes: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            strangers: Headcount::new(),
            half_open: Headcount::new(),
            refusals: Bucket::default(),
            ledger,
            used,
            watch,
        }
    }

    /// Decide about a first packet. Charges the networks of a validated address alone: an address
    /// that nobody has validated must not fill another's quota, so all that it can change is
    /// whether it is asked to validate it. [NODE-ADMIT-4]
    pub(crate) fn decide(
        &self,
        places: &Places,
        address: SocketAddr,
        is_validated: bool,
    ) -> Decision {
        let now = self.watch.elapsed();
        if self.ledger.pressure() >= Pressure::Yellow {
            return Decision::Ignore(Reason::Memory);
        }
        if self.handshakes() + self.connections() >= self.limits.total {
            return self.refuse(Reason::Total, now);
        }
        let address = address.ip();
        if is_validated {
            return self.decide_validated(address, now);
        }
        // Who has not even shown its address must not take another's place.
        if places.are_taken() {
            return Decision::Ignore(Reason::HalfOpen);
        }
        let must_validate = match self.limits.retry {
            Retry::Always => true,
            Retry::Adaptive => {
                places.taken() >= self.limits.retry_threshold || self.is_suspect(address, now)
            }
            Retry::Never => false,
        };
        if must_validate {
            return Decision::Retry;
        }
        match self.budgets.take_unvalidated(now) {
            Ok(()) => Decision::Accept,
            Err(_) => Decision::Ignore(Reason::Processors),
        }
    }

    fn decide_validated(&self, address: IpAddr, now: Duration) -> Decision {
        if self.is_network_full(address) {
            return self.refuse(Reason::Strangers, now);
        }
        if self.half_open.count(&prefix::host(address)) >= self.half_open_max {
            return Decision::Ignore(Reason::HalfOpen);
        }
        match self.budgets.take(address, now) {
            Ok(()) => Decision::Accept,
            Err(Spent::Network) => self.refuse(Reason::Budget, now),
            Err(Spent::All) => Decision::Ignore(Reason::Processors),
        }
    }

    /// Whether half of a shard's places for handshakes are taken.
    pub(crate) fn is_crowded(&self, places: &Places) -> bool {
        places.taken() >= self.limits.handshakes.div_ceil(2)
    }

    /// The places for handshakes of one more shard.
    pub(crate) fn places(&self) -> Places {
        Places::new(self.limits.handshakes)
    }

    /// A handshake begins. If all places of its shard are taken, the oldest handshake loses its own.
    /// [NODE-ADMIT-7]
    pub(crate) fn begin(
        self: &Arc<Self>,
        places: &Places,
        address: SocketAddr,
        is_validated: bool,
    ) -> Handshake {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        if is_validated {
            self.half_open.add(&prefix::host(address.ip()));
        }
        Handshake {
            admission: Arc::clone(self),
            place: places.take(),
            charged: is_validated.then(|| address.ip()),
            held: Some(self.ledger.hold(CONNECTION_BYTES)),
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

    fn refuse(&self, reason: Reason, now: Duration) -> Decision {
        let second = Duration::from_secs(1);
        let quota = Quota::new(REFUSALS_PER_SECOND, second, REFUSALS_PER_SECOND);
        match self.refusals.take(quota, 1, now) {
            Ok(()) => Decision::Refuse(reason),
            Err(_) => Decision::Ignore(reason),
        }
    }

    /// Whether a validated address would be turned away.
    fn is_suspect(&self, address: IpAddr, now: Duration) -> bool {
        self.is_network_full(address)
            || self.half_open.count(&prefix::host(address)) >= self.half_open_max
            || !self.budgets.has_some(address, now)
    }

    fn is_network_full(&self, address: IpAddr) -> bool {
        self.strangers.count(&prefix::host(address)) >= self.limits.per_address
            || self.strangers.count(&prefix::network(address)) >= self.limits.per_network
    }
}

/// A handshake in progress.
#[derive(Debug)]
pub(crate) struct Handshake {
    admission: Arc<Admission>,
    place: Place,
    /// The address, if it was validated and charged before.
    charged: Option<IpAddr>,
    held: Option<Held>,
}

impl Handshake {
    /// Wait until a newcomer has got this one's place. [NODE-ADMIT-7]
    pub(crate) async fn place_lost(&mut self) {
        self.place.lost().await;
    }

    /// The handshake is over, so the address is the peer's own and can be counted. [NODE-ADMIT-2]
    pub(crate) fn complete(mut self, address: SocketAddr) -> Result<Admitted, Reason> {
        let admission = Arc::clone(&self.admission);
        let address = address.ip();
        let now = admission.watch.elapsed();
        let identity = Identity::stranger(address);
        admission.used.charge(&identity, cpu::HANDSHAKE, now);
        if admission.is_network_full(address) {
            return Err(Reason::Strangers);
        }
        if self.charged.is_none() && admission.budgets.take(address, now) == Err(Spent::Network) {
            return Err(Reason::Budget);
        }
        if admission.connections.fetch_add(1, Ordering::Relaxed) >= admission.limits.total {
            admission.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::Total);
        }
        admission.strangers.add(&prefix::host(address));
        admission.strangers.add(&prefix::network(address));
        Ok(Admitted {
            is_stranger: AtomicBool::new(true),
            admission,
            address,
            _held: self.held.take(),
        })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.charged {
            self.admission.half_open.remove(&prefix::host(address));
        }
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    is_stranger: AtomicBool,
    _held: Option<Held>,
}

impl Admitted {
    /// Where the connection was from when its handshake was complete.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The connection has shown whose it is, and no longer counts for its address. [NODE-ADMIT-5]
    pub(crate) fn recognise(&self) {
        if self.is_stranger.swap(false, Ordering::Relaxed) {
            let strangers = &self.admission.strangers;
            strangers.remove(&prefix::host(self.address));
            strangers.remove(&prefix::network(self.address));
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        self.recognise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Account;
    use crate::config::Memory;

    fn admission(change: impl FnOnce(&mut Connections, &mut Handshakes)) -> Arc<Admission> {
        let (mut limits, mut handshakes) = (Connections::default(), Handshakes::default());
        change(&mut limits, &mut handshakes);
        let frames = Arc::new(Account::new(1 << 20));
        let memory = Memory {
            bytes: 1 << 30,
            ..Memory::default()
        };
        Arc::new(Admission::new(
            limits,
            &handshakes,
            Arc::new(Ledger::new(&memory, frames)),
            Arc::new(Use::new()),
            Stopwatch::start(),
        ))
    }

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 4_433)
    }

    fn connect(admission: &Arc<Admission>, from: &str) -> Result<Admitted, Reason> {
        let places = admission.places();
        match admission.decide(&places, address(from), true) {
            Decision::Accept => admission
                .begin(&places, address(from), true)
                .complete(address(from)),
            Decision::Refuse(reason) | Decision::Ignore(reason) => Err(reason),
            Decision::Retry => panic!("the address is validated"),
        }
    }

    /// [NODE-ADMIT-2]
    #[test]
    fn a_network_fills_up_and_others_do_not() {
        let admission = admission(|limits, _| limits.per_network = 2);
        let held = ["10.0.0.1", "10.0.0.2"].map(|from| connect(&admission, from).unwrap());
        let refused = connect(&admission, "10.0.0.3").unwrap_err();
        assert_eq!(refused, Reason::Strangers);
        assert!(connect(&admission, "10.0.1.1").is_ok());
        assert!(connect(&admission, "2001:db8::1").is_ok());
        drop(held);
        assert!(connect(&admission, "10.0.0.3").is_ok());
    }

    /// [NODE-ADMIT-5]
    #[test]
    fn those_who_have_shown_whose_they_are_leave_room_at_their_address() {
        let admission = admission(|limits, _| limits.per_address = 1);
        let mut held = Vec::new();
        for _ in 0..10 {
            let admitted = connect(&admission, "10.0.0.1").unwrap();
            assert!(connect(&admission, "10.0.0.1").is_err());
            admitted.recognise();
            held.push(admitted);
        }
        assert_eq!(admission.connections(), 10);
        drop(held);
        assert_eq!(admission.connections(), 0);
        let _stranger = connect(&admission, "10.0.0.1").unwrap();
        assert!(connect(&admission, "10.0.0.1").is_err());
    }

    /// [NODE-ADMIT-4]
    #[test]
    fn addresses_that_nobody_validated_use_up_nobodys_budget() {
        let admission = admission(|limits, handshakes| {
            limits.retry = Retry::Adaptive;
            handshakes.burst = 3;
        });
        let (places, victim) = (admission.places(), address("10.0.0.1"));
        for _ in 0..50 {
            drop(admission.begin(&places, victim, false));
            admission.decide(&places, victim, false);
        }
        for _ in 0..3 {
            assert!(connect(&admission, "10.0.0.1").is_ok());
        }
        assert_eq!(connect(&admission, "10.0.0.1").unwrap_err(), Reason::Budget);
        // Whoever claims to be there is asked to show it.
        assert_eq!(admission.decide(&places, victim, false), Decision::Retry);
    }

    #[test]
    fn addresses_are_validated_once_many_handshakes_are_in_progress() {
        let admission = admission(|limits, _| {
            limits.retry = Retry::Adaptive;
            limits.retry_threshold = 1;
            limits.handshakes = 2;
        });
        let (places, peer) = (admission.places(), address("10.0.0.1"));
        let decide = |is_validated| admission.decide(&places, peer, is_validated);
        assert_eq!(decide(false), Decision::Accept);
        let first = admission.begin(&places, peer, false);
        assert_eq!(decide(false), Decision::Retry);
        assert_eq!(decide(true), Decision::Accept);
        let second = admission.begin(&places, peer, true);
        drop((first, second));
        assert_eq!(decide(false), Decision::Accept);
    }

    /// [NODE-ADMIT-7]
    #[test]
    fn once_all_places_are_taken_validated_addresses_alone_come_in() {
        let admission = admission(|limits, _| {
            limits.retry = Retry::Never;
            limits.handshakes = 1;
        });
        let (places, peer) = (admission.places(), address("10.0.0.1"));
        let _first = admission.begin(&places, peer, false);
        let refused = Decision::Ignore(Reason::HalfOpen);
        assert_eq!(admission.decide(&places, peer, false), refused);
        assert_eq!(admission.decide(&places, peer, true), Decision::Accept);
        let other = admission.places();
        assert_eq!(admission.decide(&other, peer, false), Decision::Accept);
    }

    /// [NODE-DEADLINE-1]
    #[test]
    fn it_is_crowded_while_half_of_the_places_are_taken() {
        let admission = admission(|limits, _| limits.handshakes = 3);
        let (places, peer) = (admission.places(), address("10.0.0.1"));
        let _first = admission.begin(&places, peer, true);
        assert!(!admission.is_crowded(&places));
        let second = admission.begin(&places, peer, true);
        assert!(admission.is_crowded(&places));
        drop(second);
        assert!(!admission.is_crowded(&places));
    }

    #[test]
    fn one_address_has_few_handshakes_in_progress() {
        let admission = admission(|_, _| ());
        let (places, peer) = (admission.places(), address("10.0.0.1"));
        let held = [(); 8].map(|()| admission.begin(&places, peer, true));
        let refused = connect(&admission, "10.0.0.1").unwrap_err();
        assert_eq!(refused, Reason::HalfOpen);
        assert!(connect(&admission, "10.0.0.2").is_ok());
        drop(held);
        assert!(connect(&admission, "10.0.0.1").is_ok());
    }

    #[test]
    fn the_total_is_never_exceeded() {
        let admission = admission(|limits, _| limits.total = 1);
        let places = admission.places();
        let [first, second] =
            ["10.0.0.1", "10.0.0.2"].map(|from| admission.begin(&places, address(from), true));
        let held = first.complete(address("10.0.0.1")).unwrap();
        assert_eq!(
            second.complete(address("10.0.0.2")).unwrap_err(),
            Reason::Total
        );
        assert_eq!(admission.connections(), 1);
        drop(held);
        assert_eq!(admission.connections(), 0);
    }

    #[test]
    fn nobody_comes_in_while_memory_is_short() {
        let admission = admission(|_, _| ());
        let held = admission.ledger.hold(800 << 20);
        assert_eq!(connect(&admission, "10.0.0.1").unwrap_err(), Reason::Memory);
        drop(held);
        assert!(connect(&admission, "10.0.0.1").is_ok());
    }
}
