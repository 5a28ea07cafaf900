//! What a group's context says: who may do what, and whose receipts and proposals count.

use openmls::prelude::{
    BasicCredential, CredentialType, Extension, ExtensionType, Extensions, ExternalSender,
    GroupContext, ProposalType, RequiredCapabilitiesExtension, UnknownExtension,
};
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::crypto::credential::BadCredential;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::SEALED_IDENTITY_EXTENSION;
use protocol::crypto::signature::PublicKey;
use protocol::group_policy::{GROUP_POLICY_EXTENSION, GroupPolicy};
use protocol::id::Domain;
use protocol::limit::EXTENSIONS_BYTES_MAX;
use tls_codec::{Serialize, TlsDeserializeBytes, TlsSize};

use crate::error::Error;
use crate::state::JobState;
use crate::tx::Tx;

/// The credential type `basic` (RFC 9420 section 17.5).
const BASIC: u16 = 1;

/// An external sender (RFC 9420 section 12.1.8.1), whose fields openmls does not show.
///
/// ```text
/// struct { opaque signature_key<V>; uint16 credential_type; opaque identity<V>; } ExternalSender;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
struct SenderFields {
    key: Opaque<32>,
    credential_type: u16,
    credential: Opaque<EXTENSIONS_BYTES_MAX>,
}

/// What became of checking a group's delivery credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryCheck {
    /// Signed by the pinned domain's keys.
    Verified,
    /// By keys that this client does not know (yet), or that have expired since.
    Unknown,
    /// By nobody who may.
    Refused,
}

/// The extensions of a group that is to be created.
pub(crate) fn context_extensions(
    delivery: &DeliveryCredential,
    policy: &GroupPolicy,
) -> Result<Extensions<GroupContext>, Error> {
    let sender = ExternalSender::new(
        delivery.tbs.public_key.0.as_slice().into(),
        BasicCredential::new(encode(delivery)).into(),
    );
    let required = RequiredCapabilitiesExtension::new(
        &[
            ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION),
            ExtensionType::Unknown(GROUP_POLICY_EXTENSION),
        ],
        &[ProposalType::SelfRemove],
        &[CredentialType::Basic],
    );
    let extensions = vec![
        Extension::RequiredCapabilities(required),
        Extension::ExternalSenders(vec![sender]),
        policy_extension(policy),
    ];
    Extensions::from_vec(extensions).map_err(|_| Error::Mls("context extensions"))
}

pub(crate) fn policy_extension(policy: &GroupPolicy) -> Extension {
    Extension::Unknown(GROUP_POLICY_EXTENSION, UnknownExtension(encode(policy)))
}

/// Who may do what.
pub(crate) fn policy(extensions: &Extensions<GroupContext>) -> Option<GroupPolicy> {
    let extension = extensions.unknown(GROUP_POLICY_EXTENSION)?;
    GroupPolicy::decode(&extension.0)
}

/// The delivery service's credential: of the only external sender, whose key it names.
pub(crate) fn delivery_credential(
    extensions: &Extensions<GroupContext>,
) -> Option<DeliveryCredential> {
    let [sender] = extensions.external_senders()?.as_slice() else {
        return None;
    };
    let fields: SenderFields = decode_exact(&sender.tls_serialize_detached().ok()?).ok()?;
    let credential: DeliveryCredential = decode_exact(fields.credential.as_slice()).ok()?;
    let is_its_key = fields.key.as_slice() == credential.tbs.public_key.0;
    (fields.credential_type == BASIC && is_its_key).then_some(credential)
}

impl Tx<'_> {
    /// Check a delivery credential under its domain's pinned keys. [CRYPTO-DELIVERY-1]
    /// [SDK-DELIVERY-1]
    pub(crate) fn check_delivery(
        &self,
        credential: &DeliveryCredential,
        domain: &Domain,
    ) -> Result<DeliveryCheck, Error> {
        let tbs = &credential.tbs;
        if tbs.domain != *domain {
            return Ok(DeliveryCheck::Refused);
        }
        let Some(issuer) = self.issuer(domain, tbs.issuer)? else {
            return Ok(DeliveryCheck::Unknown);
        };
        Ok(match credential.verify(&issuer, self.now) {
            Ok(_) => DeliveryCheck::Verified,
            Err(BadCredential::Lifetime) => DeliveryCheck::Unknown,
            Err(_) => DeliveryCheck::Refused,
        })
    }

    /// The delivery key of a group that we join. A group outlives the keys that vouched for it, so
    /// an issuer that is not known is looked for, and does not keep anybody out.
    pub(crate) fn joined_delivery_key(
        &self,
        extensions: &Extensions<GroupContext>,
        domain: &Domain,
    ) -> Result<Option<PublicKey>, Error> {
        let Some(credential) = delivery_credential(extensions) else {
            return Ok(None);
        };
        match self.check_delivery(&credential, domain)? {
            DeliveryCheck::Refused => return Ok(None),
            DeliveryCheck::Unknown => {
                let domain = domain.as_str().to_owned();
                self.ensure_upkeep(&JobState::FetchServerKeys { domain })?;
            }
            DeliveryCheck::Verified => {}
        }
        Ok(Some(credential.tbs.public_key))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::crypto::credential::{IntermediateCredential, RootCredential};
    use protocol::crypto::signature::PrivateKey;
    use protocol::group_policy::GroupKind;
    use protocol::id::Pseudonym;
    use protocol::time::{Lifetime, Timestamp};

    use super::*;

    fn credential(seed: u8) -> DeliveryCredential {
        let [root_key, issuer_key, key] =
            [1, 2, seed].map(|seed| PrivateKey::from_seed(&[seed; 32]));
        let days = |days: u64| {
            let start = Timestamp(1_800_000_000);
            Lifetime::starting(start, Duration::from_secs(days * 86_400))
        };
        let root = RootCredential::new("a.example".parse().unwrap(), &root_key, days(3_000));
        let issuer = IntermediateCredential::new(&root, &root_key, &issuer_key, days(300));
        DeliveryCredential::new(&issuer, &issuer_key, &key)
    }

    #[test]
    fn a_context_says_what_it_was_made_of() {
        let policy_made = GroupPolicy::new(GroupKind::Group, [Pseudonym([7; 16])]);
        let extensions = context_extensions(&credential(3), &policy_made).unwrap();
        assert_eq!(policy(&extensions), Some(policy_made));
        assert_eq!(delivery_credential(&extensions), Some(credential(3)));
    }

    /// [SDK-DELIVERY-1]
    #[test]
    fn a_context_with_another_key_or_a_second_sender_has_no_delivery_service() {
        let sender = |key: u8, seed: u8| {
            let key = PrivateKey::from_seed(&[key; 32]).public_key();
            let content = encode(&credential(seed));
            ExternalSender::new(
                key.0.as_slice().into(),
                BasicCredential::new(content).into(),
            )
        };
        for senders in [vec![sender(4, 3)], vec![sender(3, 3), sender(4, 4)], vec![]] {
            let extensions = vec![Extension::ExternalSenders(senders)];
            let extensions = Extensions::from_vec(extensions).unwrap();
            assert_eq!(delivery_credential(&extensions), None);
        }
    }
}
