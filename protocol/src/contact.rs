//! What two people exchange to become contacts. Spec: auth.md#connections.
//!
//! The requester seals a [`ConnectionRequest`] to a connection package of the other's username; the
//! other accepts with a [`ConnectionAcceptance`] through the ticket inside. No server can open either.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::codec::{Opaque, encode};
use crate::crypto::credential::{ClientCredential, VerifiedClient, VerifiedServerKeys};
use crate::crypto::label;
use crate::crypto::sealed::{SymmetricKey, hash};
use crate::crypto::signature::{BadSignature, PrivateKey, Signature};
use crate::id::{ConnectionPackageId, Domain, GroupId, ReplyId, UsernameHash};
use crate::limit::DISPLAY_NAME_BYTES_MAX;
use crate::time::Timestamp;

/// A way into a queue: its id and a ticket id, sealed under its queueing service's own key, so that
/// it looks random to everybody else. Spec: queue.md#tickets.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub struct Ticket(pub [u8; 64]);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// A ticket with the domain whose queueing service opens it.
///
/// ```text
/// struct { Domain domain; Ticket ticket; } QualifiedTicket;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct QualifiedTicket {
    /// The queueing service's domain.
    pub domain: Domain,
    /// The ticket.
    pub ticket: Ticket,
}

/// Who holds it may take the owner's KeyPackages.
#[derive(
    Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, TlsSize, TlsSerialize, TlsDeserializeBytes,
)]
pub struct FriendshipToken(pub [u8; 32]);

impl fmt::Debug for FriendshipToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FriendshipToken(..)")
    }
}

impl FriendshipToken {
    /// What the queueing service keeps of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash(label::FRIENDSHIP_TOKEN, &self.0)
    }
}

/// What a contact needs to reach a person.
///
/// ```text
/// struct {
///     ClientCredential credential;
///     opaque display_name<0..128>;            // UTF-8
///     FriendshipToken friendship_token;       // takes KeyPackages
///     opaque friendship_key[32];              // unwraps the link keys beside them
///     QualifiedTicket ticket;                 // into the person's queue
/// } Contact;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Contact {
    /// Who.
    pub credential: ClientCredential,
    /// How they want to be shown; may be empty, proves nothing.
    pub display_name: Opaque<DISPLAY_NAME_BYTES_MAX>,
    /// Takes KeyPackages.
    pub friendship_token: FriendshipToken,
    /// Unwraps the link keys beside KeyPackages.
    pub friendship_key: SymmetricKey,
    /// Into the person's queue.
    pub ticket: QualifiedTicket,
}

/// What is sealed to a connection package.
///
/// ```text
/// struct {
///     Contact contact; ReplyId reply_id; opaque reply_key[32];
///     Signature signature;    // by the credential's key, over contact, reply_id, reply_key, target, package
/// } ConnectionRequest;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConnectionRequest {
    /// The requester.
    pub contact: Contact,
    /// Names this request in the acceptance.
    pub reply_id: ReplyId,
    /// Seals the acceptance.
    pub reply_key: SymmetricKey,
    /// By the requester, over all above and the addressee.
    pub signature: Signature,
}

/// What is sealed under a request's reply key, with the reply id as associated data.
///
/// ```text
/// struct { Contact contact; Signature signature; } ConnectionAcceptance;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConnectionAcceptance {
    /// Who accepts.
    pub contact: Contact,
    /// By the accepter, over the contact and the reply id.
    pub signature: Signature,
}

/// The way into a connection group, from the one who opened it to the other. Sealed under a key
/// that is derived from the reply key of the request that made them contacts, which only the two
/// know.
///
/// ```text
/// struct { GroupId group; opaque state_key[32]; opaque identity_key[32]; } ConnectionInvitation;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ConnectionInvitation {
    /// The group.
    pub group: GroupId,
    /// The group state key of an epoch: opens what an external commit needs.
    pub state_key: SymmetricKey,
    /// Unwraps the link keys.
    pub identity_key: SymmetricKey,
}

/// The key of a connection's invitations, from the reply key of its request.
#[must_use]
pub fn invitation_key(reply_key: &SymmetricKey) -> SymmetricKey {
    reply_key.derive(label::CONNECTION_INVITATION, &[])
}

impl ConnectionRequest {
    /// Ask the holder of `target` to become a contact.
    #[must_use]
    pub fn new(
        contact: Contact,
        reply: (ReplyId, SymmetricKey),
        addressee: (&UsernameHash, ConnectionPackageId),
        key: &PrivateKey,
    ) -> Self {
        let (reply_id, reply_key) = reply;
        let content = request_content(&contact, reply_id, &reply_key, addressee);
        let signature = key.sign(label::CONNECTION_REQUEST_CONTENT, &content);
        Self {
            contact,
            reply_id,
            reply_key,
            signature,
        }
    }

    /// Check that the credential is valid and its holder meant this addressee. [AUTH-CONNECTION-1]
    ///
    /// # Errors
    /// The requester's fault: a credential or signature that does not verify.
    pub fn verify(
        &self,
        addressee: (&UsernameHash, ConnectionPackageId),
        issuer: &VerifiedServerKeys,
        now: Timestamp,
    ) -> Result<VerifiedClient, BadSignature> {
        let client = self
            .contact
            .credential
            .verify(issuer, now)
            .map_err(|_| BadSignature)?;
        let content = request_content(&self.contact, self.reply_id, &self.reply_key, addressee);
        client
            .public_key()
            .verify(label::CONNECTION_REQUEST_CONTENT, &content, &self.signature)?;
        Ok(client)
    }
}

impl ConnectionAcceptance {
    /// Accept the request that `reply_id` names.
    #[must_use]
    pub fn new(contact: Contact, reply_id: ReplyId, key: &PrivateKey) -> Self {
        let signature = key.sign(
            label::CONNECTION_ACCEPTANCE_CONTENT,
            &acceptance_content(&contact, reply_id),
        );
        Self { contact, signature }
    }

    /// Check that the credential is valid and its holder accepted this request. [AUTH-CONNECTION-2]
    ///
    /// # Errors
    /// The accepter's fault: a credential or signature that does not verify.
    pub fn verify(
        &self,
        reply_id: ReplyId,
        issuer: &VerifiedServerKeys,
        now: Timestamp,
    ) -> Result<VerifiedClient, BadSignature> {
        let client = self
            .contact
            .credential
            .verify(issuer, now)
            .map_err(|_| BadSignature)?;
        let content = acceptance_content(&self.contact, reply_id);
        client.public_key().verify(
            label::CONNECTION_ACCEPTANCE_CONTENT,
            &content,
            &self.signature,
        )?;
        Ok(client)
    }
}

fn request_content(
    contact: &Contact,
    reply_id: ReplyId,
    reply_key: &SymmetricKey,
    (target, package): (&UsernameHash, ConnectionPackageId),
) -> Vec<u8> {
    [
        encode(contact),
        encode(&reply_id),
        encode(reply_key),
        encode(target),
        encode(&package),
    ]
    .concat()
}

fn acceptance_content(contact: &Contact, reply_id: ReplyId) -> Vec<u8> {
    [encode(contact), encode(&reply_id)].concat()
}
