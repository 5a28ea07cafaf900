//! Groups as stored: keys of their epochs, numbers of their events, their MLS state.

pub(crate) mod connection;
pub(crate) mod content;
pub(crate) mod context;
pub(crate) mod damage;
pub(crate) mod event;
pub(crate) mod evidence;
mod late;
pub(crate) mod leaf;
pub(crate) mod members;
mod message;
pub(crate) mod order;
mod proof;
pub(crate) mod proposal;
pub(crate) mod receipt;
mod repeat;
pub(crate) mod rescue;
pub(crate) mod retained;
pub(crate) mod revert;
pub(crate) mod role;
pub(crate) mod snapshot;

use openmls::prelude::{
    GroupId as MlsGroupId, MlsGroup, MlsGroupJoinConfig, OpenMlsProvider,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, PastEpochDeletion, SenderRatchetConfiguration,
};
use protocol::codec::encode;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::{PrivateKey, PublicKey};
use protocol::entry::FanOutKey;
use protocol::group_policy::{GroupKind, GroupPolicy};
use protocol::id::{Domain, Epoch, GroupId, TicketId};
use zeroize::Zeroizing;

use crate::account::domain_of;
use crate::error::Error;
use crate::group::content::GROUP_NAME_BYTES_MAX;
use crate::hex;
use crate::outgoing::Isolation;
use crate::tx::Tx;

/// Epochs whose events may still come after we moved on: only our own commits leave any behind.
const PAST_EPOCHS_MAX: usize = 32;
/// Application messages are padded to multiples of this many bytes.
const PADDING_BYTES: usize = 256;
/// Messages of one sender that may be missing or out of order.
const OUT_OF_ORDER_MAX: u32 = 16;
const SKIPPED_MESSAGES_MAX: u32 = 10_000;

/// Whether we are in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Creating,
    Active,
    Left,
}

/// A group's row.
pub(crate) struct StoredGroup {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    pub(crate) leaf_seed: Zeroizing<[u8; 32]>,
    pub(crate) identity_key: SymmetricKey,
    pub(crate) domain: Domain,
    pub(crate) standing: Standing,
    pub(crate) last: Option<u64>,
    /// Of the delivery service, which signs receipts and proposes: from the group's context.
    pub(crate) delivery_key: PublicKey,
    pub(crate) policy: GroupPolicy,
    /// Whether our wish to leave waits for somebody's commit.
    pub(crate) leaving: bool,
}

impl Standing {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Creating => 0,
            Self::Active => 1,
            Self::Left => 2,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Creating,
            1 => Self::Active,
            _ => Self::Left,
        }
    }
}

impl StoredGroup {
    /// The key of our leaf.
    pub(crate) fn key(&self) -> PublicKey {
        PrivateKey::from_seed(&self.leaf_seed).public_key()
    }

    pub(crate) fn isolation(&self) -> Isolation {
        Isolation::Group(self.id)
    }

    pub(crate) fn hex(&self) -> String {
        hex::group_hex(&self.id)
    }
}

/// How openmls runs our groups: handshakes in the clear for the delivery service to check,
/// messages padded, past epochs kept until we drop them.
pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING_BYTES)
        .max_past_epochs(PAST_EPOCHS_MAX)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(
            OUT_OF_ORDER_MAX,
            SKIPPED_MESSAGES_MAX,
        ))
        .build()
}

/// A secret of an epoch from anything that exports.
pub(crate) fn exported(secret: Vec<u8>) -> Result<SymmetricKey, Error> {
    let secret = Zeroizing::new(secret);
    secret
        .as_slice()
        .try_into()
        .map(SymmetricKey)
        .map_err(|_| Error::Mls("exporter"))
}

impl Tx<'_> {
    pub(crate) fn find_stored_group(&self, id: &GroupId) -> Result<Option<StoredGroup>, Error> {
        let row = self.row(
            "SELECT name, leaf_key, identity_key, domain, state, last, delivery_key, policy,
                    leaving
             FROM groups WHERE id = ?1",
            [id.0],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    Zeroizing::new(row.get(1)?),
                    SymmetricKey(row.get(2)?),
                    row.get::<_, String>(3)?,
                    Standing::of(row.get(4)?),
                    row.get(5)?,
                    PublicKey(row.get(6)?),
                    (row.get::<_, Vec<u8>>(7)?, row.get(8)?),
                ))
            },
        )?;
        let Some((name, leaf_seed, identity_key, domain, standing, last, delivery_key, more)) = row
        else {
            return Ok(None);
        };
        let domain = domain_of(&domain)?;
        // Groups from before there were policies are left, and have none.
        let policy =
            GroupPolicy::decode(&more.0).unwrap_or_else(|| GroupPolicy::new(GroupKind::Group, []));
        Ok(Some(StoredGroup {
            id: *id,
            name,
            leaf_seed,
            identity_key,
            domain,
            standing,
            last,
            delivery_key,
            policy,
            leaving: more.1,
        }))
    }

    /// A group, if we are in it.
    pub(crate) fn find_active_group(&self, id: &GroupId) -> Result<Option<StoredGroup>, Error> {
        let group = self.find_stored_group(id)?;
        Ok(group.filter(|group| group.standing == Standing::Active))
    }

    /// A group that we must be in.
    pub(crate) fn active_group(&self, id: &GroupId) -> Result<StoredGroup, Error> {
        let group = self.find_active_group(id)?;
        group.ok_or(Error::Unknown("group"))
    }

    /// The groups that a ticket leads to: one, or a few for a last-resort KeyPackage.
    pub(crate) fn groups_of_ticket(&self, ticket: TicketId) -> Result<Vec<StoredGroup>, Error> {
        let ids = self.rows(
            "SELECT id FROM groups WHERE state = 1 AND (ticket_id = ?1 OR id IN
                 (SELECT grp FROM group_tickets WHERE ticket_id = ?1))",
            [ticket.0],
            |row| Ok(GroupId(row.get(0)?)),
        )?;
        ids.iter().map(|id| self.active_group(id)).collect()
    }

    /// Write a group's row; a group that we left before is entered anew.
    pub(crate) fn save_group(&self, group: &StoredGroup, ticket: TicketId) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO groups
                 (id, name, leaf_key, identity_key, ticket_id, domain, state, last, delivery_key,
                  policy, leaving, ticket_since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            (
                group.id.0,
                &group.name,
                *group.leaf_seed,
                group.identity_key.0,
                ticket.0,
                group.domain.as_str(),
                group.standing.number(),
                group.last,
                group.delivery_key.0,
                encode(&group.policy),
                group.leaving,
                self.ticket_since()?,
            ),
        )?;
        Ok(())
    }

    pub(crate) fn mls_group(&self, id: &GroupId) -> Result<MlsGroup, Error> {
        let id = MlsGroupId::from_slice(&id.0);
        MlsGroup::load(self.provider().storage(), &id)?.ok_or(Error::Corrupt("MLS group"))
    }

    pub(crate) fn add_epoch(
        &self,
        group: &GroupId,
        epoch: Epoch,
        state_key: &SymmetricKey,
        began: u64,
    ) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO epochs (grp, epoch, state_key, began) VALUES (?1, ?2, ?3, ?4)",
            (group.0, epoch.0, state_key.0, began),
        )?;
        Ok(())
    }

    /// What events may be sealed under, the newest epoch first.
    pub(crate) fn fan_out_keys(&self, group: &GroupId) -> Result<Vec<FanOutKey>, Error> {
        self.rows(
            "SELECT state_key, epoch FROM epochs WHERE grp = ?1
             UNION SELECT state_key, epoch FROM retained WHERE grp = ?1
             ORDER BY epoch DESC",
            [group.0],
            |row| Ok(FanOutKey::of(&SymmetricKey(row.get(0)?))),
        )
    }

    pub(crate) fn state_key(&self, group: &GroupId, epoch: Epoch) -> Result<SymmetricKey, Error> {
        let key = self.row(
            "SELECT state_key FROM epochs WHERE grp = ?1 AND epoch = ?2",
            (group.0, epoch.0),
            |row| Ok(SymmetricKey(row.get(0)?)),
        )?;
        key.ok_or(Error::Corrupt("state key"))
    }

    /// Forget the keys of epochs from which nothing can come any more: the queue has brought the
    /// event with this number, which follows the commit that ended them. A commit of ours does not
    /// come by the queue, and direct messages from before it take no number, so that only an event
    /// from after it shows that all of them have come. [SDK-FORWARD-1]
    pub(crate) fn forget_past(
        &self,
        group: &GroupId,
        mls: &mut MlsGroup,
        seen: u64,
    ) -> Result<(), Error> {
        let forgotten = self.execute(
            "DELETE FROM epochs WHERE grp = ?1 AND epoch < max(
                 (SELECT ifnull(max(epoch), 0) FROM epochs WHERE grp = ?1 AND began <= ?2),
                 (SELECT max(epoch) - ?3 FROM epochs WHERE grp = ?1))",
            (group.0, seen, PAST_EPOCHS_MAX),
        )?;
        let left = self.count("SELECT count(*) FROM epochs WHERE grp = ?1", [group.0])?;
        if forgotten == 0 {
            return Ok(());
        }
        let past = usize::try_from(left)
            .unwrap_or(PAST_EPOCHS_MAX)
            .saturating_sub(1);
        let deletion = PastEpochDeletion::delete_all_without_timestamps().max_past_epochs(past);
        mls.delete_past_epoch_secrets(&self.provider(), deletion)
            .map_err(|_| Error::Mls("past epochs"))?;
        if past == 0 {
            self.execute("DELETE FROM members WHERE grp = ?1 AND gone = 1", [group.0])?;
        }
        Ok(())
    }

    /// We are out: nothing of the group's keys stays. The history does. [SDK-LEAVE-1]
    pub(crate) fn leave_group(&self, group: &GroupId, mls: &mut MlsGroup) -> Result<(), Error> {
        mls.delete(self.provider().storage())?;
        self.overtake(group)?;
        for sql in [
            "DELETE FROM epochs WHERE grp = ?1",
            "DELETE FROM members WHERE grp = ?1",
            "DELETE FROM own_numbers WHERE grp = ?1",
            "DELETE FROM receipts WHERE grp = ?1",
            "DELETE FROM missing WHERE grp = ?1",
            "DELETE FROM retained WHERE grp = ?1",
            "DELETE FROM damage WHERE grp = ?1",
            "DELETE FROM resyncs WHERE grp = ?1",
            "DELETE FROM stuck WHERE grp = ?1",
            "DELETE FROM done WHERE grp = ?1",
            "DELETE FROM group_tickets WHERE grp = ?1",
            "DELETE FROM jobs WHERE grp = ?1",
            "UPDATE messages SET state = 2 WHERE grp = ?1 AND state = 0",
            "UPDATE groups SET state = 2, leaving = 0, commit_after = NULL, leaf_key = zeroblob(32), identity_key = zeroblob(32)
             WHERE id = ?1",
        ] {
            self.execute(sql, [group.0])?;
        }
        Ok(())
    }

    /// A name that no other group of this home has, and that others can be told.
    pub(crate) fn free_name(&self, wish: &str, group: &GroupId) -> Result<String, Error> {
        let taken = self.count(
            "SELECT count(*) FROM groups WHERE name = ?1 AND id <> ?2 AND state <> 2",
            (wish, group.0),
        )?;
        if taken == 0 {
            return Ok(wish.to_owned());
        }
        let short: String = hex::group_hex(group).chars().take(8).collect();
        let end = wish.floor_char_boundary(GROUP_NAME_BYTES_MAX - short.len() - 1);
        let wish = wish.get(..end).unwrap_or_default();
        Ok(format!("{wish}-{short}"))
    }
}
