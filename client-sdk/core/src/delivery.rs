//! The client's side of the delivery service's operations.

mod commit_group;
mod create_group;
pub(crate) use create_group::check_name;
mod fetch_welcome_state;
mod request_group_id;
mod send_message;

use openmls::prelude::{Ciphersuite, OpenMlsProvider};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::SealedIdentityKey;
use protocol::id::GroupId;

use crate::error::Error;
use crate::tx::Tx;

const _: () = assert!(matches!(
    crate::group::leaf::CIPHERSUITE,
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519
));

impl Tx<'_> {
    /// The identity key as joiners of an epoch get it: under that epoch's exporter.
    fn seal_identity_key(
        &self,
        group: &GroupId,
        identity_key: &SymmetricKey,
        wrap: &SymmetricKey,
    ) -> Result<SealedIdentityKey, Error> {
        let sealed = wrap.seal(self.random()?, &group.0, &identity_key.0);
        let sealed = sealed.try_into().map_err(|_| Error::Crypto)?;
        Ok(SealedIdentityKey { sealed })
    }

    /// The two secrets of an epoch that we use: group state key and identity key wrap.
    fn epoch_keys<E>(
        &self,
        export: impl Fn(&openmls_rust_crypto::RustCrypto, &str) -> Result<Vec<u8>, E>,
    ) -> Result<(SymmetricKey, SymmetricKey), Error> {
        let provider = self.provider();
        let secret = |label| export(provider.crypto(), label).map_err(|_| Error::Mls("exporter"));
        let state_key = crate::group::exported(secret(label::GROUP_STATE_KEY)?)?;
        Ok((
            state_key,
            crate::group::exported(secret(label::IDENTITY_KEY_WRAP)?)?,
        ))
    }
}
