//! Networks that an address belongs to.

use std::net::IpAddr;

/// A network: its family, the length of its prefix, and its address with the rest zeroed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Prefix {
    is_v6: bool,
    length: u8,
    bits: u128,
}

/// The prefixes for which handshakes are counted, with how many single addresses' worth each may
/// have: a network has many users, but fewer the longer its prefix is. [NODE-BUDGET-2]
const V4: [(u8, u64); 3] = [(32, 2), (24, 64), (20, 512)];
const V6: [(u8, u64); 4] = [(64, 2), (56, 3), (48, 4), (32, 64)];
/// The multipliers are counted in halves, so that one and a half is a whole number.
pub(crate) const SHARE_UNIT: u64 = 2;

/// An address as one user's: IPv4 /32 or IPv6 /64.
pub(crate) fn host(address: IpAddr) -> Prefix {
    cut(address, 32, 64)
}

/// The network of one operator, as far as addresses tell: IPv4 /24 or IPv6 /48.
pub(crate) fn network(address: IpAddr) -> Prefix {
    cut(address, 24, 48)
}

/// All prefixes for which handshakes are counted, each with its share in units of [`SHARE_UNIT`].
pub(crate) fn shares(address: IpAddr) -> impl Iterator<Item = (Prefix, u64)> {
    let address = address.to_canonical();
    let lengths: &[(u8, u64)] = if address.is_ipv6() { &V6 } else { &V4 };
    lengths
        .iter()
        .map(move |(length, share)| (cut(address, *length, *length), *share))
}

fn cut(address: IpAddr, v4: u8, v6: u8) -> Prefix {
    let (is_v6, bits, length) = match address.to_canonical() {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96, v4),
        IpAddr::V6(address) => (true, address.to_bits(), v6),
    };
    let mask = u128::MAX
        .checked_shl(128 - u32::from(length))
        .unwrap_or_default();
    Prefix {
        is_v6,
        length,
        bits: bits & mask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_networks_are_those_of_the_design() {
        let same = |one: &str, two: &str| {
            let [one, two] = [one, two].map(|text| text.parse().unwrap());
            [host(one) == host(two), network(one) == network(two)]
        };
        assert_eq!(same("10.0.0.1", "10.0.0.2"), [false, true]);
        assert_eq!(same("10.0.0.1", "10.0.1.1"), [false, false]);
        assert_eq!(same("2001:db8::1", "2001:db8::2"), [true, true]);
        assert_eq!(same("2001:db8:0:1::1", "2001:db8:0:2::1"), [false, true]);
        assert_eq!(same("10.0.0.1", "::ffff:10.0.0.1"), [true, true]);
    }

    #[test]
    fn larger_networks_have_larger_shares() {
        for address in ["10.1.2.3", "2001:db8::1"] {
            let shares: Vec<u64> = shares(address.parse().unwrap())
                .map(|(_, share)| share)
                .collect();
            assert!(shares.is_sorted() && shares.first() == Some(&SHARE_UNIT));
        }
    }
}
