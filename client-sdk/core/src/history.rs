//! Reading the home.

use protocol::group_policy::Role;
use protocol::id::{Epoch, GroupId, LeafIndex, Pseudonym};
use protocol::time::Timestamp;

use crate::delivery::check_name;
use crate::error::Error;
use crate::event::{Event, Person, StoredEvent};
use crate::group::Standing;
use crate::group::content::DIRECT;
use crate::group::members::nobody;
use crate::hex;
use crate::home::Core;
use crate::read::{
    Account, ContactEntry, ContactId, GroupEntry, IncomingRequest, MemberEntry, MessageEntry,
    MessageId, MessageState, OutgoingRequest, OwnUsername, RequestId,
};
use crate::tx::{Tx, stored};

/// Rows in one answer.
const ROWS_MAX: usize = 10_000;

impl Core {
    /// The own account; none before `register`.
    ///
    /// # Errors
    /// The home's fault, as for everything here.
    pub fn account(&self) -> Result<Option<Account>, Error> {
        self.view(|tx| {
            Ok(tx.account()?.map(|account| Account {
                address: hex::address(&account.user),
                client: hex::encode(&account.client.0),
                display_name: account.display_name,
                registered: account.credential.is_some(),
            }))
        })
    }

    /// Our usernames.
    ///
    /// # Errors
    /// The home's fault.
    pub fn usernames(&self) -> Result<Vec<OwnUsername>, Error> {
        let sql = "SELECT name, claimed, expires FROM usernames ORDER BY name";
        self.view(|tx| {
            tx.rows(sql, [], |row| {
                Ok(OwnUsername {
                    username: row.get(0)?,
                    claimed: row.get(1)?,
                    expires: row.get(2)?,
                })
            })
        })
    }

    /// Everybody who can be invited.
    ///
    /// # Errors
    /// The home's fault.
    pub fn contacts(&self) -> Result<Vec<ContactEntry>, Error> {
        self.view(|tx| {
            let ids = tx.rows("SELECT id FROM contacts ORDER BY id", [], |row| row.get(0))?;
            let entries = ids.into_iter().map(|id: i64| {
                let contact = tx.contact(id)?;
                let person = tx.verified_person(&contact.user, contact.client)?;
                Ok(ContactEntry {
                    id: ContactId(id),
                    person,
                })
            });
            entries.collect()
        })
    }

    /// A contact by username (`name@domain`), by address (`<hex>@domain`), or by display name if
    /// only one has it.
    ///
    /// # Errors
    /// The home's fault.
    pub fn find_contact(&self, name: &str) -> Result<Option<ContactId>, Error> {
        let contacts = self.contacts()?;
        let by = |field: fn(&Person) -> Option<&String>| {
            let mut found = contacts
                .iter()
                .filter(|entry| field(&entry.person).is_some_and(|it| it == name));
            let first = found.next().map(|entry| entry.id);
            first.filter(|_| found.next().is_none())
        };
        let by_username = by(|person| person.username.as_ref());
        let by_address = || by(|person| person.address.as_ref());
        let by_name = || by(|person| person.display_name.as_ref());
        Ok(by_username.or_else(by_address).or_else(by_name))
    }

    /// Verified requests that were neither accepted nor rejected.
    ///
    /// # Errors
    /// The home's fault.
    pub fn connection_requests(&self) -> Result<Vec<IncomingRequest>, Error> {
        let sql = "SELECT r.id, r.request, u.name FROM incoming_requests r
                   JOIN usernames u ON u.hash = r.username
                   WHERE verified = 1 AND closed = 0 ORDER BY r.id";
        self.view(|tx| {
            let rows = tx.rows(sql, [], |row| {
                Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
            })?;
            let requests = rows.into_iter().map(|(id, request, username)| {
                let request: protocol::contact::ConnectionRequest =
                    stored(&request, "connection request")?;
                let from = tx.requester(&request.contact)?;
                Ok(IncomingRequest {
                    id: RequestId(id),
                    from,
                    username,
                })
            });
            requests.collect()
        })
    }

    /// Requests of ours that nobody has accepted yet.
    ///
    /// # Errors
    /// The home's fault.
    pub fn outgoing_requests(&self) -> Result<Vec<OutgoingRequest>, Error> {
        let sql = "SELECT username, sent FROM outgoing_requests ORDER BY username";
        self.view(|tx| {
            tx.rows(sql, [], |row| {
                Ok(OutgoingRequest {
                    username: row.get(0)?,
                    sent: row.get(1)?,
                })
            })
        })
    }

    /// Every group, those that we left included (`active` is false).
    ///
    /// # Errors
    /// The home's fault.
    pub fn groups(&self) -> Result<Vec<GroupEntry>, Error> {
        let sql = "SELECT id, (SELECT max(epoch) FROM epochs WHERE grp = id),
                       (SELECT count(*) FROM members WHERE grp = id AND gone = 0)
                   FROM groups ORDER BY name";
        self.view(|tx| {
            let rows = tx.rows(sql, [], |row| {
                let epoch = row.get::<_, Option<u64>>(1)?.unwrap_or(0);
                Ok((GroupId(row.get(0)?), Epoch(epoch), row.get(2)?))
            })?;
            let entries = rows.into_iter().map(|(id, epoch, members)| {
                let group = tx.find_stored_group(&id)?.ok_or(Error::Corrupt("group"))?;
                let active = group.standing == Standing::Active;
                Ok(GroupEntry {
                    id,
                    epoch,
                    members,
                    active,
                    admin: active && tx.own_role(&group)? == Role::Admin,
                    leaving: group.leaving,
                    kind: group.policy.kind,
                    name: group.name,
                })
            });
            entries.collect()
        })
    }

    /// A group by its name, or by its id in hex.
    ///
    /// # Errors
    /// The home's fault.
    pub fn find_group(&self, name: &str) -> Result<Option<GroupId>, Error> {
        let sql =
            "SELECT id FROM groups WHERE name = ?1 OR id = ?2 ORDER BY state = 1 DESC LIMIT 1";
        let id = hex::decode(name);
        self.view(|tx| tx.row(sql, (name, id), |row| Ok(GroupId(row.get(0)?))))
    }

    /// Call a group something else in this home.
    ///
    /// # Errors
    /// `Unknown`, `NameTaken`, `TooLong`, or the home's fault.
    pub fn rename_group(&mut self, group: &GroupId, name: &str) -> Result<(), Error> {
        check_name(name)?;
        self.transact(Timestamp(0), |tx| {
            if tx.free_name(name, group)? != name {
                return Err(Error::NameTaken);
            }
            let sql = "UPDATE groups SET name = ?2 WHERE id = ?1";
            if tx.execute(sql, (group.0, name))? == 0 {
                return Err(Error::Unknown("group"));
            }
            Ok(())
        })
    }

    /// The epoch that this client is in.
    ///
    /// # Errors
    /// `Unknown` if we are not in the group, or the home's fault.
    pub fn group_epoch(&self, group: &GroupId) -> Result<Epoch, Error> {
        self.view(|tx| {
            tx.active_group(group)?;
            let sql = "SELECT max(epoch) FROM epochs WHERE grp = ?1";
            Ok(Epoch(tx.count(sql, [group.0])?))
        })
    }

    /// Whether the queue has brought a group as far as a `Step::CatchUp` asks; also once we are not
    /// in it any more.
    ///
    /// # Errors
    /// The home's fault.
    pub fn has_reached(&self, group: &GroupId, epoch: Epoch, number: u64) -> Result<bool, Error> {
        let sql = "SELECT max(epoch) FROM epochs WHERE grp = ?1";
        self.view(|tx| {
            if tx.find_active_group(group)?.is_none() {
                return Ok(true);
            }
            let (current, last) = (tx.count(sql, [group.0])?, tx.last_number(group)?);
            let is_there = current == epoch.0 && last.unwrap_or(0) >= number;
            Ok(current > epoch.0 || is_there)
        })
    }

    /// Stands for the secrets of the epoch that this client is in (RFC 9420 section 8.7): clients
    /// that have the same one in an epoch agree on the group's whole history.
    ///
    /// # Errors
    /// `Unknown` if we are not in the group, or the home's fault.
    pub fn epoch_authenticator(&self, group: &GroupId) -> Result<Vec<u8>, Error> {
        self.view(|tx| {
            tx.active_group(group)?;
            let mls = tx.mls_group(group)?;
            Ok(mls.epoch_authenticator().as_slice().to_vec())
        })
    }

    /// The members of a group in the order of their leaves.
    ///
    /// # Errors
    /// `Unknown` if we are not in the group, or the home's fault.
    pub fn members(&self, group: &GroupId) -> Result<Vec<MemberEntry>, Error> {
        let sql = "SELECT leaf, identity, verified, pseudonym FROM members
                   WHERE grp = ?1 AND gone = 0 ORDER BY leaf";
        self.view(|tx| {
            let stored = tx.active_group(group)?;
            let rows = tx.rows(sql, [group.0], |row| {
                let identity = row.get::<_, Option<Vec<u8>>>(1)?;
                let pseudonym = Pseudonym(row.get(3)?);
                Ok((LeafIndex(row.get(0)?), identity, row.get(2)?, pseudonym))
            })?;
            let members = rows
                .into_iter()
                .map(|(leaf, identity, verified, pseudonym)| {
                    let person = identity
                        .map(|identity| tx.person(&identity, verified))
                        .transpose()?;
                    Ok(MemberEntry {
                        leaf,
                        person: person.unwrap_or_else(nobody),
                        admin: stored.policy.role(&pseudonym) == Role::Admin,
                    })
                });
            members.collect()
        })
    }

    /// A page of the history: at most `limit` texts before `before` (none: the newest), oldest first.
    ///
    /// # Errors
    /// The home's fault.
    pub fn messages(
        &self,
        group: &GroupId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageEntry>, Error> {
        let sql = "SELECT id, number, sender, body, sent_at, state, kind, recipient FROM messages
                   WHERE grp = ?1 AND kind IN (0, 3) AND id < ?2 ORDER BY id DESC LIMIT ?3";
        let before = before.map_or(i64::MAX, |before| before.0);
        self.view(|tx| {
            let rows = tx.rows(sql, (group.0, before, limit.min(ROWS_MAX)), |row| {
                Ok((
                    (row.get(2)?, row.get::<_, Option<[u8; 32]>>(7)?),
                    MessageEntry {
                        id: MessageId(row.get(0)?),
                        number: row.get(1)?,
                        sender: nobody(),
                        body: row.get(3)?,
                        sent_at: row.get(4)?,
                        state: message_state(row.get(5)?),
                        direct: row.get::<_, u8>(6)? == DIRECT,
                        to: None,
                    },
                ))
            })?;
            let entries = rows.into_iter().rev().map(|((sender, to), entry)| {
                let sender = tx.sender(sender)?;
                let to = to.map(|key| tx.member_by_key(group, key));
                let to = to.transpose()?;
                Ok(MessageEntry {
                    sender,
                    to,
                    ..entry
                })
            });
            entries.collect()
        })
    }

    /// Events that were not marked as seen, oldest first.
    ///
    /// # Errors
    /// The home's fault.
    pub fn unseen_events(&self, limit: usize) -> Result<Vec<StoredEvent>, Error> {
        let sql = "SELECT id, event FROM events ORDER BY id LIMIT ?1";
        self.view(|tx| {
            let rows = tx.rows(sql, [limit.min(ROWS_MAX)], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?))
            })?;
            rows.iter().map(|(id, text)| event(*id, text)).collect()
        })
    }

    /// The events up to this one have been shown. They are deleted: what they told of messages
    /// stays in the history.
    ///
    /// # Errors
    /// The home's fault.
    pub fn mark_seen(&mut self, up_to: i64) -> Result<(), Error> {
        self.transact(Timestamp(0), |tx| {
            tx.execute("DELETE FROM events WHERE id <= ?1", [up_to])?;
            Ok(())
        })
    }
}

impl Tx<'_> {
    fn sender(&self, text: Option<String>) -> Result<Person, Error> {
        match text {
            Some(text) => serde_json::from_str(&text).map_err(|_| Error::Corrupt("person")),
            None => match self.account()? {
                Some(account) => self.verified_person(&account.user, account.client),
                None => Ok(nobody()),
            },
        }
    }
}

/// An event out of its row.
pub(crate) fn event(id: i64, text: &str) -> Result<StoredEvent, Error> {
    let event: Event = serde_json::from_str(text).map_err(|_| Error::Corrupt("event"))?;
    Ok(StoredEvent { id, event })
}

fn message_state(number: u8) -> MessageState {
    match number {
        0 => MessageState::Sending,
        1 => MessageState::Sent,
        2 => MessageState::Failed,
        _ => MessageState::Received,
    }
}
