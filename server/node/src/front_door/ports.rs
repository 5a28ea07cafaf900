//! Source ports of services that answer whatever is sent to them: packets from there are answers to
//! packets that somebody sent in our name.

/// What is thought of a source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing in particular.
    Ordinary,
    /// A client may have it by chance, so little is taken from there.
    Suspect,
    /// No client has it.
    Blocked,
}

/// Judge a source port. [NODE-DOOR-3]
///
/// Blocked are the well-known ones: none, echo, quote, chargen, DNS, portmapper, NTP, NetBIOS, SNMP,
/// LDAP, IKE. Suspect are SSDP, WS-Discovery, mDNS, LLMNR and memcached, which are in the range
/// that routers give to clients.
pub(crate) const fn standing(port: u16) -> Standing {
    match port {
        0 | 7 | 17 | 19 | 53 | 111 | 123 | 137 | 138 | 161 | 389 | 500 => Standing::Blocked,
        1_900 | 3_702 | 5_353 | 5_355 | 11_211 => Standing::Suspect,
        _ => Standing::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [NODE-DOOR-3]
    #[test]
    fn ports_of_services_that_answer_anybody_are_refused_and_ports_of_clients_are_not() {
        for port in [0, 19, 53, 123, 389] {
            assert_eq!(standing(port), Standing::Blocked, "{port}");
        }
        for port in [1_900, 5_353, 11_211] {
            assert_eq!(standing(port), Standing::Suspect, "{port}");
        }
        for port in [443, 1_024, 4_433, 40_000, 65_535] {
            assert_eq!(standing(port), Standing::Ordinary, "{port}");
        }
        let refused = (1_024..=u16::MAX).filter(|port| standing(*port) == Standing::Blocked);
        assert_eq!(refused.count(), 0, "routers give these to clients");
    }
}
