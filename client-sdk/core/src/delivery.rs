//! The client's side of the delivery service's operations.

mod commit_group;
mod create_group;
pub(crate) use create_group::check_name;
mod fetch_welcome_state;
mod request_group_id;
mod send_message;

use openmls::prelude::OpenMlsProvider;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::delivery::SealedIdentityKey;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::{Epoch, GroupId};

use crate::drive::Next;
use crate::error::Error;
use crate::job::Step;
use crate::state::Behind;
use crate::tx::{Tx, storable};

/// How long the queue is read before a server's denial is believed.
const DENIAL_SECONDS: u64 = 20;

impl Tx<'_> {
    /// A step that waits until the queue has brought us to an epoch, unless it has.
    fn catch_up(&self, group: &GroupId, epoch: u64, behind: Option<Behind>) -> Option<Next> {
        let behind = behind.filter(|behind| epoch < behind.epoch)?;
        let is_believed = |denied: u64| self.now.0 > denied.saturating_add(DENIAL_SECONDS);
        if behind.denied.is_some_and(is_believed) {
            return Some(Next::Over(Error::Refused(ErrorCode::Denied.into())));
        }
        let epoch = Epoch(behind.epoch);
        Some(Next::Step(Step::CatchUp {
            group: *group,
            epoch,
        }))
    }

    /// What a refusal of a request of epoch `ours` says about the group's epoch, or why the job is
    /// over.
    fn behind(&self, ours: u64, reply: ErrorReply) -> Result<Behind, Error> {
        if reply.code == ErrorCode::Denied {
            return Ok(Behind {
                epoch: storable(ours.saturating_add(1)),
                denied: Some(self.now.0),
            });
        }
        if reply.code != ErrorCode::WrongEpoch {
            return Err(Error::Refused(reply));
        }
        if reply.detail <= ours {
            return Err(Error::Rewound);
        }
        let epoch = storable(reply.detail);
        Ok(Behind {
            epoch,
            denied: None,
        })
    }

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
