//! What shows others that a delivery service lied about the order of a group's events.

use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::ServerKeys;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::evidence::{OrderClaim, OrderEvidence};
use protocol::id::GroupId;
use protocol::receipt::Receipt;

use crate::error::Error;
use crate::event::{Disorder, Event};
use crate::group::context::delivery_credential;
use crate::hex;
use crate::home::Core;
use crate::read::EvidenceEntry;
use crate::tx::{Tx, stored};

/// Pieces of evidence kept of one group: the first ones show as much as a thousand more.
const EVIDENCE_MAX: u64 = 64;

impl Core {
    /// Everything that services were caught at, oldest first. The bytes stand by themselves:
    /// [`check_evidence`] needs nothing else.
    ///
    /// # Errors
    /// The home's fault.
    pub fn evidence(&self) -> Result<Vec<EvidenceEntry>, Error> {
        let sql = "SELECT id, grp, evidence FROM evidence ORDER BY id";
        self.view(|tx| {
            let rows = tx.rows(sql, [], |row| {
                Ok((row.get(0)?, GroupId(row.get(1)?), row.get::<_, Vec<u8>>(2)?))
            })?;
            let entries = rows.into_iter().map(|(id, group, bytes)| {
                let evidence: OrderEvidence = stored(&bytes, "evidence")?;
                Ok(EvidenceEntry {
                    id,
                    group,
                    how: evidence.claim.into(),
                    number: evidence.second.number.0,
                    bytes,
                })
            });
            entries.collect()
        })
    }
}

/// Whom a piece of evidence accuses, for somebody who has nothing but its bytes.
///
/// # Errors
/// It shows nothing.
pub fn check_evidence(bytes: &[u8]) -> Result<protocol::evidence::Accused, Error> {
    let evidence: OrderEvidence = decode_exact(bytes).map_err(|_| Error::BadPackage)?;
    evidence.verify().map_err(|_| Error::BadPackage)
}

impl Tx<'_> {
    /// Keep and tell what two receipts show. [SDK-RECEIPT-3]
    pub(crate) fn accuse(
        &self,
        group: &GroupId,
        claim: OrderClaim,
        first: &Receipt,
        second: &Receipt,
    ) -> Result<(), Error> {
        let evidence = match self.vouchers(group)? {
            Some((keys, delivery)) => self.keep_evidence(&OrderEvidence {
                claim,
                keys,
                delivery,
                group: *group,
                first: *first,
                second: *second,
            })?,
            None => None,
        };
        self.tell(&Event::OrderBroken {
            group: hex::group_hex(group),
            how: claim.into(),
            number: second.number.0,
            evidence,
        })
    }

    fn keep_evidence(&self, evidence: &OrderEvidence) -> Result<Option<i64>, Error> {
        let sql = "SELECT count(*) FROM evidence WHERE grp = ?1";
        if self.count(sql, [evidence.group.0])? >= EVIDENCE_MAX {
            return Ok(None);
        }
        let id = self.insert(
            "INSERT INTO evidence (grp, evidence) VALUES (?1, ?2)",
            (evidence.group.0, encode(evidence)),
        )?;
        Ok(Some(id))
    }

    /// What verifies the group's receipts, if it is known.
    fn vouchers(&self, group: &GroupId) -> Result<Option<(ServerKeys, DeliveryCredential)>, Error> {
        let mls = self.mls_group(group)?;
        let Some(delivery) = delivery_credential(mls.extensions()) else {
            return Ok(None);
        };
        let tbs = &delivery.tbs;
        let keys = self.row(
            "SELECT keys FROM issuers WHERE domain = ?1 AND fingerprint = ?2",
            (tbs.domain.as_str(), tbs.issuer.0),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        let keys = keys.map(|keys| stored(&keys, "server keys")).transpose()?;
        Ok(keys.map(|keys| (keys, delivery)))
    }
}

impl From<OrderClaim> for Disorder {
    fn from(claim: OrderClaim) -> Self {
        match claim {
            OrderClaim::Fork => Self::Fork,
            OrderClaim::Gap => Self::Gap,
            OrderClaim::Reordered => Self::Reordered,
            OrderClaim::Replaced => Self::Replaced,
        }
    }
}
