//! Receipts: what the delivery service vouches for, kept and compared with what members carry.

use protocol::codec::{decode_exact, encode};
use protocol::crypto::signature::PublicKey;
use protocol::entry::{GroupEvent, GroupEventContent};
use protocol::evidence::OrderClaim;
use protocol::id::GroupId;
use protocol::receipt::{ContentDigest, Receipt};

use crate::error::Error;
use crate::event::Problem;
use crate::group::event::Reject;
use crate::hex;
use crate::tx::{Tx, storable, stored};

/// Receipts kept of a group: members carry the newest one they know, so what they carry is seldom
/// older than the messages of a day.
pub(super) const RECEIPTS_MAX: u64 = 1_024;

impl Tx<'_> {
    /// The receipt in the answer to a request of ours, which was numbered with this content.
    /// [DS-RECEIPT-1]
    ///
    /// # Errors
    /// `BadReply` if it is none; the home's fault.
    pub(crate) fn receipt_of_ours(
        &self,
        group: &GroupId,
        receipt: &Receipt,
        content: &GroupEventContent,
    ) -> Result<u64, Error> {
        let number = self.checked_number(group, receipt)?;
        let number = number.filter(|number| *number > 0).ok_or(Error::BadReply)?;
        self.note_receipt(group, receipt)?;
        let digest = ContentDigest::of(content);
        self.number_of_ours(group, number, Some((receipt.chain, digest)))?;
        Ok(number)
    }

    /// The receipt in the answer to a request of ours that takes no number.
    ///
    /// # Errors
    /// `BadReply` if it is none; the home's fault.
    pub(crate) fn receipt_beside(&self, group: &GroupId, receipt: &Receipt) -> Result<(), Error> {
        let number = self.checked_number(group, receipt)?;
        number.ok_or(Error::BadReply)?;
        self.note_receipt(group, receipt)
    }

    /// The receipt that an event came with; gives whether the event is to be taken. Whatever is
    /// inside, it is not taken again.
    pub(crate) fn receipt_of_event(
        &self,
        group: &GroupId,
        event: &GroupEvent,
    ) -> Result<bool, Reject> {
        let receipt = &event.receipt;
        let Some(number) = self.checked_number(group, receipt)? else {
            return Err(self.problem_in(group, Problem::ReceiptRefused));
        };
        if !event.content.is_numbered() {
            self.note_receipt(group, receipt)?;
            self.take_unnumbered(group, receipt)?;
            return Ok(true);
        }
        if number == 0 {
            return Err(self.problem_in(group, Problem::EventUnreadable));
        }
        self.take_number(group, event)
    }

    /// A receipt that another member carries inside what it said: both of us must have been told
    /// the same. [SDK-RECEIPT-2]
    pub(crate) fn receipt_of_member(
        &self,
        group: &GroupId,
        receipt: &Receipt,
    ) -> Result<(), Error> {
        if self.checked_number(group, receipt)?.is_some() {
            self.note_receipt(group, receipt)?;
        }
        Ok(())
    }

    /// The receipt that we carry in what we say: the newest one. [SDK-RECEIPT-2]
    pub(crate) fn newest_receipt(&self, group: &GroupId) -> Result<Option<Receipt>, Error> {
        let newest = self.row(
            "SELECT receipt FROM receipts WHERE grp = ?1 ORDER BY number DESC LIMIT 1",
            [group.0],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        newest.map(|bytes| stored(&bytes, "receipt")).transpose()
    }

    /// The number of a receipt that the service has signed and this home can store.
    pub(crate) fn checked_number(
        &self,
        group: &GroupId,
        receipt: &Receipt,
    ) -> Result<Option<u64>, Error> {
        let number = receipt.number.0;
        let key = self.row(
            "SELECT delivery_key FROM groups WHERE id = ?1",
            [group.0],
            |row| Ok(PublicKey(row.get(0)?)),
        )?;
        let vouches = |key: PublicKey| receipt.verify(&key, *group).is_ok();
        Ok((storable(number) == number && key.is_some_and(vouches)).then_some(number))
    }

    /// Remember a verified receipt; one that contradicts another of its number is proof that the
    /// service lied to somebody. [DS-RECEIPT-2] [SDK-RECEIPT-3]
    pub(super) fn note_receipt(&self, group: &GroupId, receipt: &Receipt) -> Result<(), Error> {
        match self.find_receipt(group, receipt.number.0)? {
            Some(known) if known.contradicts(receipt) => {
                self.accuse(group, OrderClaim::Fork, &known, receipt)
            }
            Some(_) => Ok(()),
            None => self.keep_receipt(group, receipt),
        }
    }

    pub(crate) fn find_receipt(
        &self,
        group: &GroupId,
        number: u64,
    ) -> Result<Option<Receipt>, Error> {
        let found = self.row(
            "SELECT receipt FROM receipts WHERE grp = ?1 AND number = ?2",
            (group.0, number),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        found.map(|bytes| stored(&bytes, "receipt")).transpose()
    }

    fn keep_receipt(&self, group: &GroupId, receipt: &Receipt) -> Result<(), Error> {
        let number = receipt.number.0;
        self.execute(
            "INSERT OR IGNORE INTO receipts (grp, number, receipt) VALUES (?1, ?2, ?3)",
            (group.0, number, encode(receipt)),
        )?;
        let oldest = number.saturating_sub(RECEIPTS_MAX);
        self.execute(
            "DELETE FROM receipts WHERE grp = ?1 AND number < ?2",
            (group.0, oldest),
        )?;
        Ok(())
    }

    /// A receipt in the authenticated data of a handshake message.
    pub(crate) fn receipt_beside_handshake(
        &self,
        group: &GroupId,
        authenticated_data: &[u8],
    ) -> Result<(), Error> {
        match decode_exact(authenticated_data) {
            Ok(receipt) => self.receipt_of_member(group, &receipt),
            // Not every client carries one.
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn problem_in(&self, group: &GroupId, problem: Problem) -> Reject {
        Reject::Problem(Some(hex::group_hex(group)), problem)
    }
}
