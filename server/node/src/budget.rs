//! How many handshakes each network may make, and all together.
//!
//! ```text
//! validated address ──► every prefix has some left? ──no──► refuse
//!                            └─ yes ─► half of all is for anyone, half for networks that have
//!                                      not had theirs: neither has some left? ──► ignore
//! ```

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Handshakes;
use crate::gcra::{Bucket, Quota};
use crate::prefix::{self, SHARE_UNIT};
use crate::sketch::Sketch;

/// 2^16 cells in four rows of 8 bytes: 2 MiB, enough to tell some 50,000 busy networks apart.
const CELL_BITS: u32 = 16;
/// A network counts as fresh while its last handshakes took no more than this many of its own
/// recently, so that whoever has been waiting is not behind a crowd of those who have not.
const FRESH_HANDSHAKES: u64 = 2;
/// How long one of those counts.
const FRESH_PERIOD: Duration = Duration::from_secs(7);

/// Why a handshake may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// One of the address's networks has had its share.
    Network,
    /// All handshakes together take as much of the processors as they may.
    All,
}

/// Budgets of handshakes. Only addresses that are validated may be charged: whoever can write any
/// sender on a packet must not use up another's budget. [NODE-BUDGET-2]
#[derive(Debug)]
pub(crate) struct Budgets {
    /// For one address; larger networks' units come back faster in proportion.
    host: Quota,
    all: Quota,
    fresh: Quota,
    for_anyone: Bucket,
    for_fresh: Bucket,
    networks: Mutex<Sketch>,
}

impl Budgets {
    pub(crate) fn new(limits: &Handshakes, cores: usize) -> Self {
        let second = Duration::from_secs(1);
        let half = (limits.per_second(cores) / 2).max(1);
        Self {
            host: Quota::new(
                limits.per_minute * SHARE_UNIT,
                second * 60,
                limits.burst * SHARE_UNIT,
            ),
            all: Quota::new(half, second, half),
            fresh: Quota::new(1, FRESH_PERIOD, FRESH_HANDSHAKES),
            for_anyone: Bucket::default(),
            for_fresh: Bucket::default(),
            networks: Mutex::new(Sketch::new(CELL_BITS)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sketch> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the address's networks have some left. Changes nothing.
    pub(crate) fn has_some(&self, address: IpAddr, now: Duration) -> bool {
        let networks = self.lock();
        prefix::shares(address).all(|(prefix, share)| {
            let (full_at, cost) = (networks.read(&prefix), SHARE_UNIT * SHARE_UNIT);
            self.host.advance(full_at, cost, share, now).is_ok()
        })
    }

    /// Pay for one handshake of an address that nobody has validated: no network is charged.
    pub(crate) fn take_unvalidated(&self, now: Duration) -> Result<(), Spent> {
        let paid = self.for_anyone.take(self.all, 1, now);
        paid.map_err(|_| Spent::All)
    }

    /// Pay for one handshake of a validated address.
    pub(crate) fn take(&self, address: IpAddr, now: Duration) -> Result<(), Spent> {
        let mut networks = self.lock();
        let mut paid = Vec::with_capacity(4);
        for (prefix, share) in prefix::shares(address) {
            let (full_at, cost) = (networks.read(&prefix), SHARE_UNIT * SHARE_UNIT);
            let next = self.host.advance(full_at, cost, share, now);
            paid.push((prefix, next.map_err(|_| Spent::Network)?));
        }
        let network = (prefix::network(address), "fresh");
        let fresh = self.fresh.advance(networks.read(&network), 1, 1, now);
        if self.for_anyone.take(self.all, 1, now).is_err() {
            let is_fresh = fresh.is_ok();
            if !is_fresh || self.for_fresh.take(self.all, 1, now).is_err() {
                return Err(Spent::All);
            }
        }
        for (prefix, next) in paid {
            networks.raise(&prefix, next);
        }
        if let Ok(next) = fresh {
            networks.raise(&network, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budgets(per_minute: u64, burst: u64, cores: usize) -> Budgets {
        let limits = Handshakes {
            per_minute,
            burst,
            ..Handshakes::default()
        };
        Budgets::new(&limits, cores)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// [NODE-BUDGET-2]
    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let budgets = budgets(30, 20, 4);
        let take = |now| budgets.take(address("10.0.0.1"), now);
        assert!((0..20).all(|_| take(SECOND).is_ok()));
        assert_eq!(take(SECOND), Err(Spent::Network));
        assert!(!budgets.has_some(address("10.0.0.1"), SECOND));
        assert!(budgets.take(address("10.0.0.2"), SECOND).is_ok());
        assert_eq!(take(SECOND * 3), Ok(()));
        assert_eq!(take(SECOND * 3), Err(Spent::Network));
    }

    #[test]
    fn a_network_of_many_addresses_has_its_own_budget() {
        let budgets = budgets(30, 20, 4);
        let mut granted = 0;
        for host in 0..=255_u8 {
            for _ in 0..20 {
                granted += usize::from(budgets.take([10, 0, 0, host].into(), SECOND).is_ok());
            }
        }
        // The share of all together, for anyone, is larger than the /24's.
        assert_eq!(granted, 20 * 32);
        let mut granted = 0;
        for subnet in 0..=255_u16 {
            let address = std::net::Ipv6Addr::from([0x2001, 0xdb8, 1, subnet << 8, 0, 0, 0, 1]);
            for _ in 0..20 {
                granted += usize::from(budgets.take(address.into(), SECOND).is_ok());
            }
        }
        assert_eq!(granted, 20 * 2, "one /48 however many /64 it has");
    }

    /// [NODE-BUDGET-2]
    #[test]
    fn every_ipv6_prefix_has_its_budget() {
        let at = |groups: [u16; 4]| {
            let [a, b, c, d] = groups;
            IpAddr::from(std::net::Ipv6Addr::from([a, b, c, d, 0, 0, 0, 1]))
        };
        // What varies is the address alone, the /64, the /56, the /48.
        type Place = fn(u16) -> [u16; 4];
        let places: [(Place, usize); 4] = [
            (|_| [0x2001, 0xdb8, 1, 1], 20),
            (|n| [0x2001, 0xdb8, 1, n & 0xff], 30),
            (|n| [0x2001, 0xdb8, 1, n << 8], 40),
            (|n| [0x2001, 0xdb8, n, 0], 640),
        ];
        for (place, most) in places {
            let budgets = budgets(30, 20, 4);
            let takes = (0..2_000).map(|n| budgets.take(at(place(n)), SECOND));
            assert_eq!(takes.filter(Result::is_ok).count(), most);
        }
    }

    #[test]
    fn fresh_networks_get_through_when_busy_ones_take_all() {
        let budgets = budgets(1_000_000, 1_000_000, 1);
        let busy = |n: u8| IpAddr::from([10, 0, n, 1]);
        let mut now = SECOND;
        let mut granted = 0;
        for round in 0..20_000_u32 {
            now += Duration::from_micros(100);
            let network = u8::try_from(round % 20).unwrap();
            granted += u32::from(budgets.take(busy(network), now).is_ok());
        }
        // Two seconds: the rate for anyone, and its burst.
        let half = u32::try_from(Handshakes::default().per_second(1) / 2).unwrap();
        assert!(granted < 3 * half + 20 * 3, "{granted}");
        for n in 0..50 {
            assert_eq!(budgets.take([192, 0, n, 1].into(), now), Ok(()));
        }
    }

    proptest! {
        /// No network ever gets more than its burst and its rate, however others meet it.
        #[test]
        fn no_network_gets_more_than_its_budget(
            takes in prop::collection::vec((0_u8..3, 0_u8..3, 0_u64..3_000), 1..600),
        ) {
            let budgets = budgets(30, 20, 1_000);
            let mut now = SECOND;
            let mut granted = BTreeMap::<[u8; 2], u64>::new();
            for (network, host, wait) in takes {
                now += Duration::from_millis(wait);
                if budgets.take([10, 0, network, host].into(), now).is_ok() {
                    *granted.entry([network, host]).or_default() += 1;
                }
            }
            let most = 20 + (now - SECOND).as_secs() / 2 + 1;
            for (_, count) in granted {
                prop_assert!(count <= most);
            }
        }

        /// A budget comes back: after long enough silence everything is there again.
        #[test]
        fn a_budget_comes_back(takes in 1_usize..200, host in any::<u8>()) {
            let budgets = budgets(30, 20, 1_000);
            let address = IpAddr::from([10, 0, 0, host]);
            let spent = (0..takes).filter(|_| budgets.take(address, SECOND).is_ok()).count();
            prop_assert_eq!(spent, takes.min(20));
            let later = SECOND * 60;
            prop_assert_eq!((0..takes).filter(|_| budgets.take(address, later).is_ok()).count(), takes.min(20));
        }
    }
}
