//! Identifiers. Random ones print nothing of themselves, so that no log can hold one.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use tls_codec::{
    DeserializeBytes, Error, Serialize, Size, TlsDeserializeBytes, TlsSerialize, TlsSize,
};

use crate::codec::Opaque;
use crate::limit::{DOMAIN_BYTES_MAX, USERNAME_BYTES_MAX, USERNAME_BYTES_MIN};

/// Byte-string identifiers of fixed length: `opaque <name>[<length>]`.
macro_rules! fixed_ids {
    ($($(#[$doc:meta])* $name:ident[$length:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
        pub struct $name(pub [u8; $length]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

fixed_ids! {
    /// A user within its domain: random, chosen by the client at registration.
    UserId[16];
    /// A client (device) of a user: random, chosen by the client.
    ClientId[16];
    /// A group, as the delivery service and MLS know it: random, chosen by the server.
    GroupId[16];
    /// A member within a group: the content of its MLS credential, random, the same from its joining
    /// to its leaving.
    Pseudonym[16];
    /// A queue: the hash of its public key (spec/queue.md#create_queue).
    QueueId[16];
    /// What a ticket reveals to the queue's owner about who uses it.
    TicketId[16];
    /// One sender's stream of parcels: a random pseudonym per group and destination, or per
    /// conversation outside groups.
    LinkId[16];
    /// A connection package of a username.
    ConnectionPackageId[16];
    /// Which open connection request an acceptance answers.
    ReplyId[16];
    /// SHA-256 of a credential with its label (spec/crypto.md#credentials).
    Fingerprint[32];
    /// A username as the server is told it (spec/auth.md#username-hash).
    UsernameHash[32];
}

/// Numbers that count up.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one; saturates, which no honest counter reaches.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }
    )*};
}

counters! {
    /// The place of an entry in a queue, of a parcel on a link, of a message in a group.
    Seq(u64);
    /// An MLS epoch.
    Epoch(u64);
    /// The place of a member's leaf in its group's tree.
    LeafIndex(u32);
}

/// A homeserver's domain name: lower-case ASCII, `opaque<1..253>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

/// Why a text is no domain, username or user address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Empty, or longer than allowed.
    Length,
    /// A character outside the allowed ones.
    Character,
    /// An address has the form `name@domain`.
    Address,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the name is empty, too short or too long",
            Self::Character => "the name has a character that is not allowed",
            Self::Address => "an address is written name@domain",
        })
    }
}

impl std::error::Error for BadName {}

impl Domain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domain {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() || text.len() > DOMAIN_BYTES_MAX {
            return Err(BadName::Length);
        }
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        if !text.bytes().all(allowed) || text.starts_with(['-', '.']) || text.ends_with(['-', '.'])
        {
            return Err(BadName::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Size for Domain {
    fn tls_serialized_len(&self) -> usize {
        self.0.as_bytes().tls_serialized_len()
    }
}

impl Serialize for Domain {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        self.0.as_bytes().tls_serialize(writer)
    }
}

impl DeserializeBytes for Domain {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (name, rest) = Opaque::<DOMAIN_BYTES_MAX>::tls_deserialize_bytes(bytes)?;
        let domain = std::str::from_utf8(name.as_slice())
            .ok()
            .and_then(|text| text.parse().ok());
        Ok((domain.ok_or(Error::InvalidInput)?, rest))
    }
}

/// A user, qualified by the domain that registered it.
///
/// ```text
/// struct { UserId id; Domain domain; } UserAddress;
/// ```
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub struct UserAddress {
    /// The user within the domain.
    pub id: UserId,
    /// The domain.
    pub domain: Domain,
}

/// A human-readable name that people find each other by. Never on the wire in the clear.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username {
    name: String,
    domain: Domain,
}

impl Username {
    /// A name at a domain.
    ///
    /// # Errors
    /// The name is too short, too long, or has other characters than `a-z`, `0-9`, `.`, `_`, `-`.
    pub fn new(name: &str, domain: Domain) -> Result<Self, BadName> {
        if !(USERNAME_BYTES_MIN..=USERNAME_BYTES_MAX).contains(&name.len()) {
            return Err(BadName::Length);
        }
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        if !name.bytes().all(allowed) {
            return Err(BadName::Character);
        }
        Ok(Self {
            name: name.to_owned(),
            domain,
        })
    }

    /// The part before the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl FromStr for Username {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (name, domain) = text.split_once('@').ok_or(BadName::Address)?;
        Self::new(name, domain.parse()?)
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.domain)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Username(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode_exact, encode};

    #[test]
    fn names_are_checked() {
        let domain: Domain = "a.example".parse().unwrap();
        assert!(Username::new("aspen", domain.clone()).is_ok());
        assert_eq!(Username::new("as", domain.clone()), Err(BadName::Length));
        assert_eq!(Username::new("Aspen", domain), Err(BadName::Character));
        assert_eq!("aspen".parse::<Username>(), Err(BadName::Address));
        assert_eq!("A.example".parse::<Domain>(), Err(BadName::Character));
        assert_eq!("".parse::<Domain>(), Err(BadName::Length));
    }

    #[test]
    fn a_domain_that_is_no_domain_does_not_decode() {
        assert!(decode_exact::<Domain>(&[3, b'a', b'!', b'b']).is_err());
        let domain: Domain = "a.example".parse().unwrap();
        assert_eq!(decode_exact::<Domain>(&encode(&domain)).unwrap(), domain);
    }

    #[test]
    fn identifiers_print_nothing_of_themselves() {
        assert_eq!(format!("{:?}", UserId([0xab; 16])), "UserId(..)");
    }
}
