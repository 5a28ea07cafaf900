//! How much goes to addresses that have not shown that they are there.
//!
//! quinn lets a whole datagram go to a new address of a connection for each small one from there,
//! so whoever owns a connection could aim it at others by writing their addresses on its packets.
//! Here such an address gets three times what came from it, and what exceeds that comes out of one
//! small allowance for the whole server. [NODE-EGRESS-1]
//!
//! An address is an IPv4 address or an IPv6 /64, without the port: a client whose router gives it
//! another port is where it was. It is proven when a handshake from it is complete, or by what the
//! transport does. The transport keeps to three times and one datagram more for each path that it
//! tries, and to one more when it leaves that path, and no path is tried without a datagram from
//! there. If it sends well beyond that, it has validated the path: so a client that moved to
//! another network is found to be proven as soon as it downloads something.
//!
//! What cannot be known here: whether a datagram is authentic, and to which connection it belongs.
//! A client that moved and takes only small answers stays unproven; while somebody uses up the
//! allowance, answers to it beyond three times are lost, and it has to connect again.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::gcra::{Bucket, Quota};
use crate::quic::DATAGRAM_BYTES_MAX;

/// Locks, so that shards seldom wait for each other.
const STRIPES: usize = 64;
/// Places in which an address can be.
const WAYS: usize = 8;
/// What the transport may send beyond three times for one datagram received: one to the path that
/// it tries, one to the path that it leaves.
const OVERSHOOT: u64 = 2 * DATAGRAM_BYTES_MAX as u64;
/// Such datagrams that it may still owe: one for each connection that uses the address at a time.
const OVERSHOOT_MAX: u64 = 8 * OVERSHOOT;
/// Bytes beyond all that from which on the path must be validated.
const EXCESS_MAX: u64 = 8 << 10;
/// How many times what was received may be sent (RFC 9000 section 8).
const AMPLIFICATION: u64 = 3;

/// What is known of addresses, in a table of fixed size.
#[derive(Debug)]
pub(crate) struct Governor {
    hasher: RandomState,
    stripes: Vec<Mutex<Stripe>>,
    allowance: Bucket,
    quota: Quota,
}

#[derive(Debug)]
struct Stripe {
    places: Vec<Place>,
    clock: u64,
}

/// One address.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Hash of the address; 0 is an empty place.
    address: u64,
    /// When it was last used, in uses of its stripe.
    used: u64,
    is_proven: bool,
    /// Bytes that three times what was received leaves.
    credit: u64,
    /// Bytes that the transport may send beyond.
    overshoot: u64,
    /// Bytes that it sent beyond even that.
    excess: u64,
}

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Egress {
    Send,
    Withhold,
}

impl Governor {
    /// For about so many addresses at a time, with an allowance for all unproven ones.
    pub(crate) fn new(addresses: usize, allowance: u64, per_second: u64) -> Self {
        // Twice the room, because hashes do not fill places evenly.
        let places = (2 * addresses / STRIPES).div_ceil(WAYS).max(1) * WAYS;
        let stripe = || Stripe {
            places: vec![Place::default(); places],
            clock: 0,
        };
        Self {
            hasher: RandomState::new(),
            stripes: (0..STRIPES).map(|_| Mutex::new(stripe())).collect(),
            allowance: Bucket::default(),
            quota: Quota::new(per_second, Duration::from_secs(1), allowance),
        }
    }

    /// A handshake from this address is complete, or a token says that one was.
    pub(crate) fn prove(&self, address: IpAddr) {
        self.with(address, |place| place.is_proven = true);
    }

    /// Whether somebody has shown to be at this address. Asking changes nothing: who asks for many
    /// addresses pushes out none.
    pub(crate) fn is_proven(&self, address: IpAddr) -> bool {
        self.set(address, |_, hash, places| {
            let is_it = |place: &Place| place.address == hash && place.is_proven;
            places.iter().any(is_it)
        }) == Some(true)
    }

    /// Something came from this address that may be of a connection.
    pub(crate) fn received(&self, address: IpAddr, bytes: u64) {
        self.with(address, |place| {
            place.credit = place.credit.saturating_add(AMPLIFICATION * bytes);
            place.overshoot = (place.overshoot + OVERSHOOT).min(OVERSHOOT_MAX);
        });
    }

    /// Whether `bytes` may go to this address.
    pub(crate) fn may_send(&self, address: IpAddr, bytes: u64, now: Duration) -> Egress {
        let beyond = self.with(address, |place| place.charge(bytes));
        let beyond = beyond.unwrap_or(bytes);
        if beyond == 0 || self.allow(beyond, now) {
            return Egress::Send;
        }
        // What was not sent is still there for something smaller.
        let unspent = bytes - beyond;
        self.with(address, |place| {
            place.credit = place.credit.saturating_add(unspent);
        });
        Egress::Withhold
    }

    fn allow(&self, bytes: u64, now: Duration) -> bool {
        self.allowance.take(self.quota, bytes, now).is_ok()
    }

    /// Look an address up, or put it in the place that is the least loss.
    fn with<T>(&self, address: IpAddr, body: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let found = self.set(address, |clock, hash, places| {
            *clock += 1;
            let place = match places.iter().position(|place| place.address == hash) {
                Some(found) => places.get_mut(found)?,
                None => {
                    let least = places
                        .iter_mut()
                        .min_by_key(|place| (place.is_proven, place.used))?;
                    *least = Place {
                        address: hash,
                        ..Place::default()
                    };
                    least
                }
            };
            place.used = *clock;
            Some(body(place))
        });
        found.flatten()
    }

    /// The places in which an address can be, with the clock of their stripe and its hash.
    fn set<T>(
        &self,
        address: IpAddr,
        body: impl FnOnce(&mut u64, u64, &mut [Place]) -> T,
    ) -> Option<T> {
        let hash = self.hasher.hash_one(network(address)).max(1);
        let stripe = usize::try_from(hash % STRIPES as u64).ok()?;
        let mut stripe = self
            .stripes
            .get(stripe)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Stripe { places, clock } = &mut *stripe;
        let sets = places.len() / WAYS;
        let set = usize::try_from(hash / STRIPES as u64).ok()? % sets.max(1);
        let places = places.get_mut(set * WAYS..(set + 1) * WAYS)?;
        Some(body(clock, hash, places))
    }
}

impl Place {
    /// Account for bytes that the transport sends; how many of them nothing covers.
    fn charge(&mut self, bytes: u64) -> u64 {
        if self.is_proven {
            return 0;
        }
        let covered = bytes.min(self.credit);
        self.credit -= covered;
        let beyond = bytes - covered;
        let owed = beyond.min(self.overshoot);
        self.overshoot -= owed;
        self.excess += beyond - owed;
        if self.excess > EXCESS_MAX {
            self.is_proven = true;
            return 0;
        }
        beyond
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 /64.
pub(crate) fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: u64 = 48 << 10;
    const NOW: Duration = Duration::from_secs(1_000);

    fn governor() -> Governor {
        Governor::new(1_000, ALLOWANCE, 8 << 10)
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + number).into())
    }

    fn sent(governor: &Governor, to: IpAddr, bytes: u64) -> u64 {
        match governor.may_send(to, bytes, NOW) {
            Egress::Send => bytes,
            Egress::Withhold => 0,
        }
    }

    /// [NODE-EGRESS-1]
    #[test]
    fn ping_pong_over_many_addresses_gets_three_times_and_the_allowance() {
        let governor = governor();
        let (mut received, mut total) = (0, 0);
        for round in 0..100_000 {
            let victim = address(round % 64);
            governor.received(victim, 33);
            received += 33;
            // The path that is tried, and the challenge when it is left.
            total += sent(&governor, victim, 1_472) + sent(&governor, victim, 1_200);
        }
        assert!(total <= 3 * received + ALLOWANCE, "{total} bytes");
        assert!(total > 2 * received, "small answers still go out");
    }

    #[test]
    fn a_proven_address_gets_everything_and_its_neighbour_does_not() {
        let governor = governor();
        governor.prove(address(1));
        let all: u64 = (0..1_000).map(|_| sent(&governor, address(1), 1_472)).sum();
        assert_eq!(all, 1_472_000);
        assert!(governor.allow(ALLOWANCE, NOW), "nothing of it is used");
        governor.received(address(2), 100);
        assert_eq!(sent(&governor, address(2), 1_472), 0);
        assert_eq!(sent(&governor, address(2), 300), 300);
        assert_eq!(sent(&governor, address(1), 1_472), 1_472);
    }

    #[test]
    fn a_client_that_moved_is_found_to_be_proven_by_what_it_downloads() {
        let governor = governor();
        let client = address(7);
        let mut lost = 0;
        for _ in 0..500 {
            // An acknowledgement for two datagrams, as far as they arrive.
            governor.received(client, 40);
            for _ in 0..20 {
                lost += u64::from(sent(&governor, client, 1_472) == 0);
            }
        }
        assert!(lost < 40, "{lost} of 10000 datagrams are lost");
    }

    #[test]
    fn acknowledging_every_other_datagram_is_enough() {
        let governor = governor();
        let client = address(7);
        let (mut arrived, mut lost) = (0, 0);
        for datagram in 0..5_000_u32 {
            if sent(&governor, client, 1_472) > 0 {
                arrived += 1;
                if arrived % 2 == 0 {
                    governor.received(client, 40);
                }
            } else {
                lost += 1;
            }
            assert!(datagram < 100 || lost < 60, "{lost} of {datagram}");
        }
    }

    #[test]
    fn strangers_do_not_push_out_the_proven() {
        let governor = governor();
        for client in 0..500 {
            governor.prove(address(client));
        }
        for stranger in 10_000..200_000 {
            governor.received(address(stranger), 33);
        }
        governor.allow(ALLOWANCE, NOW);
        let kept = (0..500).filter(|client| sent(&governor, address(*client), 9_000) > 0);
        assert!(kept.count() > 490);
    }

    #[test]
    fn asking_whether_addresses_are_proven_pushes_nobody_out() {
        let governor = governor();
        for client in 0..100 {
            governor.received(address(client), 1_000);
        }
        let asked = (10_000..200_000).filter(|stranger| governor.is_proven(address(*stranger)));
        assert_eq!(asked.count(), 0);
        governor.allow(ALLOWANCE, NOW);
        let kept = (0..100).filter(|client| sent(&governor, address(*client), 3_000) > 0);
        assert_eq!(kept.count(), 100);
    }

    #[test]
    fn ports_and_the_lower_half_of_ipv6_addresses_do_not_matter() {
        let same =
            |one: &str, two: &str| network(one.parse().unwrap()) == network(two.parse().unwrap());
        assert!(same("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(same("2001:db8::1", "2001:db8::2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
    }
}
