//! Requests that the shell sends, and how they keep apart what must not be linked.

use std::fmt;
use std::sync::Arc;

use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::{Domain, GroupId, UsernameHash};
use protocol::request::{Operation, encode_request, encode_signed};
use tls_codec::Serialize;

/// Requests of different isolations never share a connection, a session ticket or an address
/// validation token: what the server may not link on the wire stays unlinked. [SDK-ISOLATION-1]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// The account: registration.
    Account,
    /// The client's own queue.
    Queue,
    /// Anonymous and open requests.
    Anonymous,
    /// One username of the client.
    Username(UsernameHash),
    /// The client's leaf in one group.
    Group(GroupId),
}

type Sign = dyn Fn(&Binding) -> Vec<u8> + Send + Sync;

/// One request. Cheap to clone; may be sent again, on another connection too: the body stays
/// the same, the signature follows the connection.
#[derive(Clone)]
pub struct Outgoing {
    domain: Domain,
    isolation: Isolation,
    operation: &'static str,
    sign: Arc<Sign>,
}

impl Outgoing {
    pub(crate) fn signed<T>(body: T, key: PrivateKey, domain: Domain, isolation: Isolation) -> Self
    where
        T: Operation + Serialize + Clone + Send + Sync + 'static,
    {
        let sign =
            move |binding: &Binding| encode_signed(&Signed::new(body.clone(), &key, binding));
        Self {
            domain,
            isolation,
            operation: T::ENTRY.name,
            sign: Arc::new(sign),
        }
    }

    pub(crate) fn unsigned<T>(body: &T, domain: Domain, isolation: Isolation) -> Self
    where
        T: Operation + Serialize,
    {
        let payload = encode_request(body);
        let sign = move |_: &Binding| payload.clone();
        Self {
            domain,
            isolation,
            operation: T::ENTRY.name,
            sign: Arc::new(sign),
        }
    }

    /// The server that it is for.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Which connection may carry it.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// The operation's name in the registry, for logs and time-outs.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The frame's payload for one connection: signed for it where the operation is signed.
    #[must_use]
    pub fn payload(&self, binding: &Binding) -> Vec<u8> {
        (self.sign)(binding)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({})", self.operation)
    }
}
