//! publish_key_packages — spec/queue.md#publish_key_packages

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::contact::Ticket;
use crate::crypto::identity::WrappedLinkKey;
use crate::id::QueueId;
use crate::limit::KEY_PACKAGE_BYTES_MAX;

/// A KeyPackage with what its taker needs to bring the owner into a group.
///
/// ```text
/// struct { opaque key_package<V>; WrappedLinkKey link_key; Ticket ticket; } PublishedKeyPackage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PublishedKeyPackage {
    /// An `MLSMessage` with a KeyPackage.
    pub key_package: Opaque<KEY_PACKAGE_BYTES_MAX>,
    /// Its leaf's link key under the owner's friendship key.
    pub link_key: WrappedLinkKey,
    /// Into the owner's queue, for this group alone.
    pub ticket: Ticket,
}

/// Replace one's published KeyPackages; signed by the queue's key.
///
/// ```text
/// struct { QueueId queue; PublishedKeyPackage packages<V>; PublishedKeyPackage last_resort; } PublishKeyPackages;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PublishKeyPackages {
    /// The queue.
    pub queue: QueueId,
    /// Handed out once each; at most `KEY_PACKAGES_MAX`.
    pub packages: Vec<PublishedKeyPackage>,
    /// Handed out when the others are gone; marked so (extension `last_resort`).
    pub last_resort: PublishedKeyPackage,
}

/// They replace whatever was there.
///
/// ```text
/// struct {} PublishKeyPackagesReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct PublishKeyPackagesReply {}
