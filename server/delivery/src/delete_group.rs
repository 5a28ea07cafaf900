//! delete_group — spec/delivery.md#delete_group

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{DeleteGroup, DeleteGroupReply};
use protocol::entry::GroupEventContent;
use protocol::error::Rule;
use protocol::group_policy::Role;
use protocol::receipt::Receipt;
use protocol::time::Timestamp;
use store::{Entropy, Tx};

use crate::announce::Announcement;
use crate::error::Error;
use crate::group::{Part, State, check_message};
use crate::member::Member;
use crate::outbox::Outbox;
use crate::tables::{Accepted, GONE, Group, HISTORIES, RequestHash, SENT, Sender, Sent};
use crate::{Delivery, operation};

/// What the service finds before it judges.
enum Seen {
    /// The request that deleted the group, sent again.
    Repeated(Receipt),
    /// A member's request, and the member's role.
    First(Box<Member<DeleteGroup>>, Role),
}

impl Delivery {
    /// End a group: what is kept of it goes, but for what waits for delivery. [DS-DELETE-1]
    ///
    /// # Errors
    /// `Denied`, `WrongEpoch`; `Invalid` if the sender is no admin, or its message no application
    /// message of the group and its epoch; `Backlog` if too much of the group waits.
    pub fn delete_group(
        &self,
        request: Signed<DeleteGroup>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(DeleteGroupReply, Outbox), Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let partition = self.partition(&request.unverified().group);
        let seen = self
            .store
            .view(&partition, |tx| look(tx, request, hash, binding))?;
        let receipt = match seen {
            Seen::Repeated(receipt) => receipt,
            Seen::First(_, Role::Member) => return Err(Rule::Role.into()),
            Seen::First(member, Role::Admin) => {
                let request = &member.request;
                member.check_epoch(request.epoch)?;
                check_message(request.message.as_slice(), &request.group, request.epoch)?;
                self.store.transact(&partition, operation(entropy), |tx| {
                    self.accept_end(tx, &member, hash, (now, entropy))
                })?
            }
        };
        Ok((DeleteGroupReply { receipt }, Outbox(partition)))
    }

    /// Tell the members and delete the rest. What remains to recognise the request by goes with the
    /// last parcel; if there is none, at once.
    fn accept_end(
        &self,
        tx: &mut Tx<'_>,
        member: &Member<DeleteGroup>,
        hash: RequestHash,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Receipt, Error> {
        let request = &member.request;
        let mut group = match Group::load_any(tx)?.ok_or(Error::Denied)? {
            group if group.deleted.is_none() => group,
            group => {
                return group
                    .deletion(hash)
                    .map(|sent| sent.receipt)
                    .ok_or(Error::Denied);
            }
        };
        group.check_unchanged(&member.group)?;
        let announcement = Announcement {
            content: GroupEventContent::Deleted(request.message.clone()),
            key: &member.roster.fan_out(),
            tickets: member.roster.tickets_without(request.sender),
        };
        let place = (&request.group, &mut group);
        let receipt = self.announce(tx, place, announcement, (now, entropy))?;
        Group::delete_parts(tx)?;
        tx.delete(&HISTORIES, &())?;
        tx.delete(&GONE, &())?;
        tx.delete_range(&SENT, &Sender::First, &Sender::End)?;
        let accepted = Accepted {
            request: hash,
            key: member.key,
        };
        group.deleted = Some(Sent { accepted, receipt });
        group.save_or_forget(tx)?;
        Ok(receipt)
    }
}

impl Group {
    /// What the request that deleted the group was answered, if this is it.
    fn deletion(&self, hash: RequestHash) -> Option<Sent> {
        self.deleted.filter(|sent| sent.accepted.request == hash)
    }
}

fn look(
    tx: &Tx<'_>,
    request: Signed<DeleteGroup>,
    hash: RequestHash,
    binding: &Binding,
) -> Result<Seen, Error> {
    let group = Group::load_any(tx)?.ok_or(Error::Denied)?;
    if let Some(Sent { accepted, receipt }) = group.deletion(hash) {
        let verified = request.verify(&accepted.key, binding);
        verified.map_err(|_| Error::Denied)?;
        return Ok(Seen::Repeated(receipt));
    }
    let member = Member::verify(tx, request, binding)?;
    let state = State::open(&member.access.load(tx, Part::State)?, &member.request.group)?;
    let role = state.role(member.request.sender)?;
    Ok(Seen::First(Box::new(member), role))
}
