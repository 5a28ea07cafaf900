//! The client's side of the delivery service's operations.

mod commit_group;
mod complain;
mod create_group;
mod delete_group;
mod enter_connection_group;
mod fetch_external_state;
mod fetch_welcome_state;
mod join_group;
mod open_connection_group;
mod propose;
mod request_group_id;
mod send_message;
mod send_to_member;
mod update_ticket;

pub(crate) use commit_group::committed;
pub(crate) use create_group::check_name;

use std::time::Duration;

use openmls::prelude::{MlsGroup, OpenMlsProvider};
use protocol::codec::{Opaque, encode};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::SealedIdentityKey;
use protocol::error::{ErrorCode, ErrorReply, Rule};
use protocol::id::{Epoch, GroupId};
use protocol::request::Operation;
use tls_codec::Serialize;

use crate::agenda::StoredJob;
use crate::delivery::create_group::serialized;
use crate::drive::Next;
use crate::error::Error;
use crate::group::StoredGroup;
use crate::group::content::Content;
use crate::group::leaf::signer;
use crate::job::Step;
use crate::outgoing::Outgoing;
use crate::state::{Behind, JobState};
use crate::tx::{Tx, storable};

/// How long the queue is read for what the server has before it is taken for lost.
const WITHHELD_SECONDS: u64 = 60;
/// How long the queue is read before a server's denial is believed.
const DENIAL_SECONDS: u64 = 20;

impl Tx<'_> {
    /// A step that waits until the queue has brought us where the server is, unless it has.
    fn catch_up(
        &self,
        group: &GroupId,
        epoch: u64,
        behind: Option<Behind>,
    ) -> Result<Option<Next>, Error> {
        let Some(behind) = behind else {
            return Ok(None);
        };
        let last = self.last_number(group)?.unwrap_or(0);
        if epoch > behind.epoch || (epoch == behind.epoch && last >= behind.number) {
            return Ok(None);
        }
        let heard = self.count("SELECT heard FROM queue", [])?;
        if self.now.0 > behind.since.max(heard).saturating_add(WITHHELD_SECONDS) {
            // The queue is silent and has not brought what the server has. [SDK-HEAL-1]
            self.lost_track(group)?;
        }
        if self.believes_denial(behind) {
            return Ok(Some(Next::Over(Error::Refused(ErrorCode::Denied.into()))));
        }
        let wait = |denied: u64| denied.saturating_add(DENIAL_SECONDS + 1) - self.now.0;
        Ok(Some(Next::Step(Step::CatchUp {
            group: *group,
            epoch: Epoch(behind.epoch),
            number: behind.number,
            patience: behind.denied.map(wait).map(Duration::from_secs),
        })))
    }

    /// The group of a job whose turn it is, or what is to be done instead. Jobs of one group go in
    /// their order.
    fn turn(&self, job: &StoredJob) -> Result<Result<StoredGroup, Next>, Error> {
        if let Some(earlier) = self.earlier_job(job)? {
            return Ok(Err(Next::Step(Step::Wait(earlier))));
        }
        let id = job.group.ok_or(Error::Corrupt("job"))?;
        let group = self.find_active_group(&id)?;
        Ok(group.ok_or(Next::Over(Error::Unknown("group"))))
    }

    /// Encrypt something for a group, with the newest receipt that we know.
    fn encrypt_content<const MAX: usize>(
        &self,
        group: &StoredGroup,
        mls: &mut MlsGroup,
        content: Content,
    ) -> Result<Opaque<MAX>, Error> {
        let content = encode(&content.with_receipt(self.newest_receipt(&group.id)?));
        let message = mls
            .create_message(&self.provider(), &signer(&group.leaf_seed), &content)
            .map_err(|_| Error::Mls("message"))?;
        serialized(&message)
    }

    /// Whether the queue has been read for long enough to believe that the server does not know us.
    fn believes_denial(&self, behind: Behind) -> bool {
        let is_over = |denied: u64| self.now.0 > denied.saturating_add(DENIAL_SECONDS);
        behind.denied.is_some_and(is_over)
    }

    /// A request of our leaf, for the connection that only this group uses.
    fn send_as_leaf<T>(group: StoredGroup, body: T) -> Next
    where
        T: Operation + Serialize + Clone + Send + Sync + 'static,
    {
        let key = PrivateKey::from_seed(&group.leaf_seed);
        let isolation = group.isolation();
        Next::Step(Step::Send(Outgoing::signed(
            body,
            key,
            group.domain,
            isolation,
        )))
    }

    /// What a refusal of a request of epoch `ours` says about the group's epoch, or why the job is
    /// over.
    fn behind(&self, ours: u64, reply: ErrorReply) -> Result<Behind, Error> {
        if reply.code == ErrorCode::Denied {
            return Ok(Behind {
                epoch: storable(ours.saturating_add(1)),
                denied: Some(self.now.0),
                number: 0,
                since: self.now.0,
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
            number: 0,
            since: self.now.0,
        })
    }

    /// What a refusal of a request of epoch `ours` leaves to do: `again` once the group is where the
    /// server is, or nothing.
    fn again(
        &self,
        ours: u64,
        reply: ErrorReply,
        again: impl FnOnce(Option<Behind>) -> JobState,
    ) -> Next {
        match self.behind(ours, reply) {
            Ok(behind) => Next::Goto(again(Some(behind))),
            Err(error) => Next::Over(error),
        }
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

/// Whether the server says that this rule is broken.
fn breaks(reply: ErrorReply, rule: Rule) -> bool {
    reply == ErrorReply::invalid(rule)
}
