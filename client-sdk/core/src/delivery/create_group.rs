//! create_group - spec/delivery.md#create_group

use std::collections::BTreeMap;

use openmls::prelude::{GroupId as MlsGroupId, MlsGroup, MlsGroupCreateConfig, OpenMlsProvider};
use protocol::codec::{Opaque, encode};
use protocol::contact::QualifiedTicket;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::identity::WrappedLinkKey;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::delivery::{CreateGroup, CreateGroupReply, RequestGroupIdReply};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::group_policy::{GroupKind, GroupPolicy};
use protocol::id::{Epoch, GroupId};
use protocol::time::Timestamp;
use tls_codec::Serialize;

use crate::agenda::StoredJob;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::content::GROUP_NAME_BYTES_MAX;
use crate::group::context::{DeliveryCheck, context_extensions};
use crate::group::leaf::{CIPHERSUITE, NewLeaf, capabilities, mls_lifetime, signer};
use crate::group::{Standing, StoredGroup, join_config};
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::Outgoing;
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

impl Core {
    /// Create a group with ourselves as the only member.
    ///
    /// # Errors
    /// `NotRegistered`; `NameTaken` if a group of this home has the name; `TooLong` if it is empty,
    /// too long or has control characters; or the home's fault.
    pub fn create_group(&mut self, name: &str, now: Timestamp) -> Result<JobId, Error> {
        check_name(name)?;
        self.transact(now, |tx| {
            tx.registered()?;
            let taken = "SELECT count(*) FROM groups WHERE name = ?1 AND state = 1";
            if tx.count(taken, [name])? > 0 {
                return Err(Error::NameTaken);
            }
            tx.ensure_job(&JobState::CreateGroup {
                name: name.to_owned(),
                body: None,
            })
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_create_group(
        &self,
        name: &str,
        body: Option<&Encoded>,
    ) -> Result<Next, Error> {
        debug_assert!(check_name(name).is_ok());
        let Some(body) = body else {
            return match self.wait_for_tickets(1)? {
                Some(wait) => Ok(wait),
                None => self.request_group_id(),
            };
        };
        let body: CreateGroup = stored(body, "create_group")?;
        let group = self
            .find_stored_group(&body.group)?
            .ok_or(Error::Corrupt("group"))?;
        let key = PrivateKey::from_seed(&group.leaf_seed);
        let isolation = group.isolation();
        Ok(Next::Step(Step::Send(Outgoing::signed(
            body,
            key,
            group.domain,
            isolation,
        ))))
    }

    pub(crate) fn answered_create_group(
        &self,
        job: &StoredJob,
        name: &str,
        body: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let Some(body) = body else {
            let plan = (name.to_owned(), GroupKind::Group);
            let reply = Self::requested_group_id(payload)?;
            return self.begin_group(job, &plan, &reply, |body| JobState::CreateGroup {
                name: name.to_owned(),
                body,
            });
        };
        let CreateGroupReply {} = success(payload)?;
        let body: CreateGroup = stored(body, "create_group")?;
        self.execute(
            "UPDATE groups SET state = ?2 WHERE id = ?1",
            (body.group.0, Standing::Active.number()),
        )?;
        Ok(Next::Done(Outcome::GroupCreated { group: body.group }))
    }

    /// The server has given an id and the credential of its delivery service. `state` is what the
    /// job is with the request, and without it.
    pub(super) fn begin_group(
        &self,
        job: &StoredJob,
        plan: &(String, GroupKind),
        reply: &RequestGroupIdReply,
        state: impl FnOnce(Option<Encoded>) -> JobState,
    ) -> Result<Next, Error> {
        if self.free_tickets()? == 0 {
            // Another job was quicker: wait for more.
            return Ok(Next::Goto(state(None)));
        }
        if self.find_stored_group(&reply.group)?.is_some() || self.is_entering(&reply.group)? {
            return Err(Error::BadReply);
        }
        let domain = self.own_domain()?;
        match self.check_delivery(&reply.delivery, &domain)? {
            DeliveryCheck::Verified => {}
            DeliveryCheck::Unknown if self.server_keys_fetched(&domain)? < self.now.0 => {
                return self.wait_for_server_keys(&domain);
            }
            DeliveryCheck::Unknown | DeliveryCheck::Refused => {
                return Ok(Next::Over(Error::BadServerKeys));
            }
        }
        let body = encode(&self.new_group(reply, plan)?).into();
        self.save_job_group(job.id, &reply.group)?;
        Ok(Next::Goto(state(Some(body))))
    }

    /// An id that was taken in the meantime is replaced; any other refusal is final.
    pub(crate) fn refused_create_group(
        &self,
        job: &StoredJob,
        name: &str,
        reply: ErrorReply,
    ) -> Result<Next, Error> {
        if let (
            ErrorCode::Exists,
            JobState::CreateGroup {
                body: Some(body), ..
            },
        ) = (reply.code, &job.state)
        {
            self.forget_created_group(body)?;
            return Ok(Next::Goto(JobState::CreateGroup {
                name: name.to_owned(),
                body: None,
            }));
        }
        Ok(Next::Over(Error::Refused(reply)))
    }

    pub(crate) fn forget_created_group(&self, body: &[u8]) -> Result<(), Error> {
        let body: CreateGroup = stored(body, "create_group")?;
        self.mls_group(&body.group)?
            .delete(self.provider().storage())?;
        for sql in [
            "DELETE FROM epochs WHERE grp = ?1",
            "DELETE FROM members WHERE grp = ?1",
            "DELETE FROM connection_groups WHERE grp = ?1",
            "DELETE FROM groups WHERE id = ?1",
        ] {
            self.execute(sql, [body.group.0])?;
        }
        Ok(())
    }

    /// The MLS group in epoch 0, stored with everything that the request must repeat.
    pub(crate) fn new_group(
        &self,
        reply: &RequestGroupIdReply,
        (name, kind): &(String, GroupKind),
    ) -> Result<CreateGroup, Error> {
        let (id, delivery) = (reply.group, &reply.delivery);
        let account = self.registered()?;
        let leaf = self.new_leaf(&account)?;
        let (provider, signer) = (self.provider(), signer(&leaf.seed));
        let policy = GroupPolicy::new(*kind, [leaf.pseudonym]);
        let mls = self.new_mls_group(id, delivery, &leaf, &policy)?;
        let (state_key, wrap) =
            self.epoch_keys(|crypto, label| mls.export_secret(crypto, label, &[], 32))?;
        let identity_key = SymmetricKey(self.random()?);
        let link_key = WrappedLinkKey::seal(
            &leaf.link_key,
            &identity_key,
            self.random()?,
            &leaf.public_key,
        );
        let (ticket_id, ticket) = self.pop_ticket()?;
        let domain = account.user.domain;
        let group = StoredGroup {
            id,
            name: self.free_name(name, &id)?,
            leaf_seed: leaf.seed,
            identity_key,
            domain: domain.clone(),
            standing: Standing::Creating,
            last: Some(0),
            delivery_key: delivery.tbs.public_key,
            policy,
            leaving: false,
        };
        self.save_group(&group, ticket_id)?;
        self.add_epoch(&id, Epoch(0), &state_key, 0)?;
        let own = BTreeMap::from([(leaf.public_key, link_key)]);
        self.refresh_members(&id, &mls, &group.identity_key, &own)?;
        let group_info = mls.export_group_info(provider.crypto(), &signer, false);
        let group_info = group_info.map_err(|_| Error::Mls("GroupInfo"))?;
        let tree = mls.export_ratchet_tree();
        Ok(CreateGroup {
            group: id,
            identity_key: self.seal_identity_key(&id, &group.identity_key, &wrap)?,
            state_key,
            group_info: serialized(&group_info)?,
            ratchet_tree: serialized(&tree)?,
            ticket: QualifiedTicket { domain, ticket },
            link_key,
        })
    }
}

impl Tx<'_> {
    /// Epoch 0 with this leaf, which is the admin.
    fn new_mls_group(
        &self,
        id: GroupId,
        delivery: &DeliveryCredential,
        leaf: &NewLeaf,
        policy: &GroupPolicy,
    ) -> Result<MlsGroup, Error> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .capabilities(capabilities())
            .lifetime(mls_lifetime(self.now))
            .with_group_context_extensions(context_extensions(delivery, policy)?)
            .with_leaf_node_extensions(leaf.extensions.clone())
            .map_err(|_| Error::Mls("leaf extensions"))?
            .wire_format_policy(join_config().wire_format_policy())
            .use_ratchet_tree_extension(false)
            .build();
        let (provider, signer) = (self.provider(), signer(&leaf.seed));
        let (id, credential) = (MlsGroupId::from_slice(&id.0), leaf.credential.clone());
        let created = MlsGroup::new_with_group_id(&provider, &signer, &config, id, credential);
        let mut mls = created.map_err(|_| Error::Mls("new group"))?;
        mls.set_configuration(provider.storage(), &join_config())?;
        Ok(mls)
    }
}

/// An MLS structure as requests carry it.
pub(super) fn serialized<const MAX: usize>(value: &impl Serialize) -> Result<Opaque<MAX>, Error> {
    let bytes = value
        .tls_serialize_detached()
        .map_err(|_| Error::Mls("encoding"))?;
    Opaque::new(bytes).map_err(|_| Error::TooLong)
}

/// A group's name: something to see, nothing to disturb a terminal.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=GROUP_NAME_BYTES_MAX).contains(&name.len());
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(Error::TooLong)
    }
}
