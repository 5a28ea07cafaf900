//! A member's last request, which is recognised when it comes again. [DS-SEND-1]

use protocol::crypto::signature::PublicKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::LeafIndex;
use protocol::receipt::Receipt;
use store::{StoreError, Tx};

use crate::error::Error;
use crate::member::{ByMember, Member};
use crate::tables::{Accepted, GROUPS, RequestHash, SENT, Sender, Sent};

/// What the service finds before it judges.
pub(crate) enum Seen<T> {
    /// The sender's last request, sent again.
    Repeated(Receipt),
    /// A member's request.
    First(Box<Member<T>>),
}

impl<T: ByMember> Seen<T> {
    /// A request that was accepted in an earlier epoch is recognised, and its signature checked, by
    /// what was remembered then: the sender may have left since.
    pub(crate) fn look(
        tx: &Tx<'_>,
        request: Signed<T>,
        hash: RequestHash,
        binding: &Binding,
    ) -> Result<Self, Error> {
        let sender = Sender::Leaf(request.unverified().sender());
        tx.prefetch(&[&GROUPS.at(&()), &SENT.at(&sender)])?;
        if let Some(sent) = load(tx, &sender, hash)? {
            request
                .verify(&sent.accepted.key, binding)
                .map_err(|_| Error::Denied)?;
            return Ok(Self::Repeated(sent.receipt));
        }
        let member = Member::verify(tx, request, binding)?;
        Ok(Self::First(Box::new(member)))
    }
}

/// How the request was answered, if it is the sender's last one.
pub(crate) fn recall(
    tx: &Tx<'_>,
    sender: LeafIndex,
    hash: RequestHash,
) -> Result<Option<Receipt>, StoreError> {
    let sender = Sender::Leaf(sender);
    tx.prefetch(&[&GROUPS.at(&()), &SENT.at(&sender)])?;
    Ok(load(tx, &sender, hash)?.map(|sent| sent.receipt))
}

/// Make this the sender's last request.
pub(crate) fn remember(
    tx: &mut Tx<'_>,
    sender: LeafIndex,
    (request, key): (RequestHash, PublicKey),
    receipt: Receipt,
) -> Result<(), StoreError> {
    let accepted = Accepted { request, key };
    tx.put(&SENT, &Sender::Leaf(sender), &Sent { accepted, receipt })
}

fn load(tx: &Tx<'_>, sender: &Sender, hash: RequestHash) -> Result<Option<Sent>, StoreError> {
    let sent = tx.get(&SENT, sender)?;
    Ok(sent.filter(|sent| sent.accepted.request == hash))
}
