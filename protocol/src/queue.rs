//! Operations of the queueing service. Spec: queue.md.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::signed::Signed;

mod create_queue;
mod listen;
mod post_entry;
mod publish_key_packages;
mod take_key_package;
mod take_tickets;

pub use create_queue::{CreateQueue, CreateQueueReply, queue_id};
pub use listen::{Ack, Entries, Listen, ListenEvent, ListenReply};
pub use post_entry::{PostEntry, PostEntryReply};
pub use publish_key_packages::{PublishKeyPackages, PublishKeyPackagesReply, PublishedKeyPackage};
pub use take_key_package::{TakeKeyPackage, TakeKeyPackageReply};
pub use take_tickets::{TakeTickets, TakeTicketsReply};

/// Every request to the service.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u16)]
pub enum Request {
    /// Create a queue.
    #[tls_codec(discriminant = 0x0301)]
    CreateQueue(Signed<CreateQueue>),
    /// Take fresh tickets into one's own queue.
    #[tls_codec(discriminant = 0x0302)]
    TakeTickets(Signed<TakeTickets>),
    /// Replace one's published KeyPackages.
    #[tls_codec(discriminant = 0x0303)]
    PublishKeyPackages(Signed<PublishKeyPackages>),
    /// Take one KeyPackage of a contact.
    #[tls_codec(discriminant = 0x0304)]
    TakeKeyPackage(TakeKeyPackage),
    /// Read a queue, and go on as items arrive.
    #[tls_codec(discriminant = 0x0305)]
    Listen(Signed<Listen>),
    /// Put one payload into the queue that a ticket opens.
    #[tls_codec(discriminant = 0x0306)]
    PostEntry(PostEntry),
}
