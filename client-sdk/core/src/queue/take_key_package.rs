//! take_key_package - spec/queue.md#take_key_package

use openmls::prelude::{
    KeyPackage, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider, ProtocolVersion,
};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::identity::{Identity, SealedIdentity};
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PublicKey;
use protocol::queue::{PublishedKeyPackage, TakeKeyPackage, TakeKeyPackageReply};

use crate::contact::StoredContact;
use crate::drive::success;
use crate::error::Error;
use crate::group::leaf::{CIPHERSUITE, sealed_identity, signature_key};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::Taken;
use crate::tx::Tx;

/// A contact's KeyPackage, verified to be theirs; made by `open_key_package` alone.
pub(crate) struct OpenedKeyPackage {
    pub(crate) key_package: KeyPackage,
    pub(crate) leaf: PublicKey,
    pub(crate) link_key: SymmetricKey,
}

impl Tx<'_> {
    pub(crate) fn take_key_package(contact: &StoredContact) -> Outgoing {
        let token = contact.friendship_token.clone();
        let body = TakeKeyPackage {
            ticket: contact.ticket.ticket,
            token,
        };
        Outgoing::unsigned(&body, contact.ticket.domain.clone(), Isolation::Anonymous)
    }

    /// A KeyPackage out of the answer, if it is the contact's and can be used.
    pub(crate) fn taken_key_package(
        &self,
        contact: &StoredContact,
        payload: &[u8],
    ) -> Result<Option<Taken>, Error> {
        let reply: TakeKeyPackageReply = success(payload)?;
        if self.open_key_package(contact, &reply.package)?.is_none() {
            return Ok(None);
        }
        Ok(Some(Taken {
            contact: contact.id,
            package: encode(&reply.package).into(),
        }))
    }

    /// Check the KeyPackage, and that the identity inside opens with the contact's friendship key
    /// and is that very contact, user and client key. [SDK-INVITE-1]
    pub(crate) fn open_key_package(
        &self,
        contact: &StoredContact,
        published: &PublishedKeyPackage,
    ) -> Result<Option<OpenedKeyPackage>, Error> {
        let Some(key_package) = self.valid_key_package(published) else {
            return Ok(None);
        };
        let leaf = key_package.leaf_node();
        let (Some(key), Some(sealed)) = (signature_key(leaf), sealed_identity(leaf)) else {
            return Ok(None);
        };
        let Ok(link_key) = published.link_key.open(&contact.friendship_key, &key) else {
            return Ok(None);
        };
        let sealed = decode_exact::<SealedIdentity>(sealed);
        let identity = sealed
            .ok()
            .and_then(|sealed| Identity::open(&sealed, &link_key, &key).ok());
        let Some(identity) = identity else {
            return Ok(None);
        };
        let tbs = &identity.credential.request.tbs;
        let Some(issuer) = self.issuer(&tbs.user.domain, tbs.issuer)? else {
            return Ok(None);
        };
        let is_theirs = identity
            .verify(&key, &issuer, self.now)
            .is_ok_and(|client| {
                *client.user() == contact.user
                    && client.client() == contact.client
                    && client.public_key() == contact.client_key
            });
        Ok(is_theirs.then_some(OpenedKeyPackage {
            key_package,
            leaf: key,
            link_key,
        }))
    }

    fn valid_key_package(&self, published: &PublishedKeyPackage) -> Option<KeyPackage> {
        let message: MlsMessageIn = decode_exact(published.key_package.as_slice()).ok()?;
        let MlsMessageBodyIn::KeyPackage(received) = message.extract() else {
            return None;
        };
        let provider = self.provider();
        let valid = received
            .validate(provider.crypto(), ProtocolVersion::Mls10)
            .ok()?;
        (valid.ciphersuite() == CIPHERSUITE).then_some(valid)
    }
}
