//! Where a homeserver is: `host:port`. The host is the domain.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use protocol::id::Domain;

use crate::error::Error;

/// A homeserver's address. Its host part is the domain that accounts and usernames belong to.
///
/// ```
/// let server: hearth_sdk::ServerAddress = "localhost:4433".parse()?;
/// assert_eq!(server.domain().as_str(), "localhost");
/// # Ok::<(), hearth_sdk::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    domain: Domain,
    port: u16,
}

impl ServerAddress {
    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can only be this machine: `localhost` or an address of 127.0.0.0/8. Only there
    /// a certificate may be trusted because it was the first one seen. [SDK-TRUST-2]
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.domain.as_str();
        host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
    }

    /// Every socket address to try, in order. `localhost` is never asked of a resolver (RFC 6761
    /// section 6.3), so that no resolver can make the trusted name another machine's.
    ///
    /// # Errors
    /// The name does not resolve.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, Error> {
        let host = self.domain.as_str();
        if host == "localhost" {
            let hosts = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            return Ok(hosts.map(|host| SocketAddr::new(host, self.port)).into());
        }
        let found = tokio::net::lookup_host((host, self.port)).await;
        let found = found.map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(found.take(ADDRESSES_MAX).collect())
    }
}

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

impl FromStr for ServerAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (host, port) = text.rsplit_once(':').ok_or(Error::BadAddress)?;
        Ok(Self {
            domain: host.parse().map_err(|_| Error::BadAddress)?,
            port: port.parse().map_err(|_| Error::BadAddress)?,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.domain, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let server: ServerAddress = "hearth.example:4433".parse().unwrap();
        assert_eq!(server.to_string(), "hearth.example:4433");
        for bad in ["hearth.example", "Hearth:1", ":4433", "a:b", "[::1]:4433"] {
            assert!(bad.parse::<ServerAddress>().is_err(), "{bad}");
        }
    }

    /// [SDK-TRUST-2]
    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |text: &str| text.parse::<ServerAddress>().unwrap().is_loopback();
        assert!(is_loopback("localhost:1") && is_loopback("127.0.0.9:1"));
        assert!(!is_loopback("localhost.example:1") && !is_loopback("10.0.0.1:1"));
        assert!(!is_loopback("127.0.0.1.example:1"));
    }

    #[tokio::test]
    async fn localhost_resolves_without_a_resolver() {
        let server: ServerAddress = "localhost:9".parse().unwrap();
        let addresses = server.resolve().await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    }
}
