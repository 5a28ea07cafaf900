//! What shows a third party that a delivery service lied about a group's order. Spec: delivery.md#receipts.
//!
//! Everything that the check needs is inside. What the checker adds is which root it knows the
//! domain by: whoever made up the root has made up the rest.

use std::fmt;

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::crypto::credential::{BadCredential, ServerKeys};
use crate::crypto::delivery_credential::DeliveryCredential;
use crate::id::{Domain, Fingerprint, GroupId};
use crate::receipt::Receipt;

/// What a delivery service is accused of.
///
/// ```text
/// enum { fork(1), gap(2), reordered(3), replaced(4) } OrderClaim;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum OrderClaim {
    /// Two receipts of one number with different chains: proof. [DS-RECEIPT-2]
    Fork = 1,
    /// The second receipt was the next to come after the first, though numbers lie between. Proves
    /// that the service numbered them; it can answer by showing that it delivered them.
    Gap = 2,
    /// The second receipt came after the first, which has the higher number.
    Reordered = 3,
    /// The second receipt follows the first, and its chain does not follow with what it came with.
    Replaced = 4,
}

/// Two receipts that do not fit, with what verifies them.
///
/// ```text
/// struct {
///     OrderClaim claim; ServerKeys keys; DeliveryCredential delivery;
///     GroupId group; Receipt first; Receipt second;
/// } OrderEvidence;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct OrderEvidence {
    /// What the receipts are said to show.
    pub claim: OrderClaim,
    /// The domain's keys.
    pub keys: ServerKeys,
    /// The delivery service's, signed by them.
    pub delivery: DeliveryCredential,
    /// The group.
    pub group: GroupId,
    /// The receipt that came first.
    pub first: Receipt,
    /// The one that does not fit.
    pub second: Receipt,
}

/// Whom checked evidence accuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accused {
    /// The service's domain.
    pub domain: Domain,
    /// To be compared with the root by which the domain is known.
    pub root: Fingerprint,
    /// Whether the receipts are proof by themselves.
    pub is_proof: bool,
}

/// Evidence that shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEvidence {
    /// The keys or the delivery credential do not verify.
    Credential(BadCredential),
    /// The service did not sign a receipt.
    Signature,
    /// The receipts may both be true.
    NoContradiction,
}

impl OrderEvidence {
    /// Check that the service signed both receipts and that they are what the claim says. Keys are
    /// checked as of the delivery credential's beginning, so that evidence does not expire.
    /// [DS-RECEIPT-2]
    ///
    /// # Errors
    /// Whoever made the evidence is at fault.
    pub fn verify(&self) -> Result<Accused, BadEvidence> {
        let then = self.delivery.tbs.lifetime.not_before;
        let keys = self.keys.verify(&self.delivery.tbs.domain, then)?;
        let key = self.delivery.verify(&keys, then)?;
        for receipt in [&self.first, &self.second] {
            let verified = receipt.verify(&key, self.group);
            verified.map_err(|_| BadEvidence::Signature)?;
        }
        let (first, second) = (self.first.number.0, self.second.number.0);
        let fits = match self.claim {
            OrderClaim::Fork => self.first.contradicts(&self.second),
            OrderClaim::Gap => first.checked_add(1).is_some_and(|next| second > next),
            OrderClaim::Reordered => second <= first,
            OrderClaim::Replaced => first.checked_add(1) == Some(second),
        };
        if !fits {
            return Err(BadEvidence::NoContradiction);
        }
        Ok(Accused {
            domain: keys.domain().clone(),
            root: keys.root_fingerprint(),
            is_proof: self.claim == OrderClaim::Fork,
        })
    }
}

impl From<BadCredential> for BadEvidence {
    fn from(error: BadCredential) -> Self {
        Self::Credential(error)
    }
}

impl fmt::Display for BadEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credential(_) => "the keys do not verify",
            Self::Signature => "the service did not sign both receipts",
            Self::NoContradiction => "the receipts may both be true",
        })
    }
}

impl std::error::Error for BadEvidence {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::{decode_exact, encode};
    use crate::crypto::credential::{IntermediateCredential, RootCredential};
    use crate::crypto::signature::PrivateKey;
    use crate::id::Seq;
    use crate::receipt::ChainHash;
    use crate::time::{Lifetime, Timestamp};

    const GROUP: GroupId = GroupId([1; 16]);

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    fn receipt(number: u64, chain: u8) -> Receipt {
        Receipt::sign(&key(3), GROUP, Seq(number), ChainHash([chain; 32]))
    }

    fn evidence(claim: OrderClaim, first: Receipt, second: Receipt) -> OrderEvidence {
        let now = Timestamp(1_800_000_000);
        let days = |days: u64| Lifetime::starting(now, Duration::from_secs(days * 86_400));
        let root = RootCredential::new("a.example".parse().unwrap(), &key(1), days(3_000));
        let intermediate = IntermediateCredential::new(&root, &key(1), &key(2), days(300));
        OrderEvidence {
            claim,
            delivery: DeliveryCredential::new(&intermediate, &key(2), &key(3)),
            keys: ServerKeys { root, intermediate },
            group: GROUP,
            first,
            second,
        }
    }

    /// [DS-RECEIPT-2]
    #[test]
    fn a_third_party_checks_a_fork_from_the_bytes_alone() {
        let made = evidence(OrderClaim::Fork, receipt(4, 1), receipt(4, 2));
        let read: OrderEvidence = decode_exact(&encode(&made)).unwrap();
        let accused = read.verify().unwrap();
        assert_eq!(accused.domain.as_str(), "a.example");
        assert_eq!(accused.root, made.keys.root.fingerprint());
        assert!(accused.is_proof);
    }

    #[test]
    fn receipts_that_fit_show_nothing() {
        let cases = [
            (OrderClaim::Fork, receipt(4, 1), receipt(4, 1)),
            (OrderClaim::Fork, receipt(4, 1), receipt(5, 2)),
            (OrderClaim::Gap, receipt(4, 1), receipt(5, 2)),
            (OrderClaim::Reordered, receipt(4, 1), receipt(5, 2)),
            (OrderClaim::Replaced, receipt(4, 1), receipt(6, 2)),
        ];
        for (claim, first, second) in cases {
            let shown = evidence(claim, first, second).verify();
            assert_eq!(shown, Err(BadEvidence::NoContradiction));
        }
        let gap = evidence(OrderClaim::Gap, receipt(4, 1), receipt(6, 2));
        assert!(!gap.verify().unwrap().is_proof);
    }

    #[test]
    fn nobody_can_make_evidence_up() {
        let made = evidence(OrderClaim::Fork, receipt(4, 1), receipt(4, 2));
        let forged = Receipt::sign(&key(9), GROUP, Seq(4), ChainHash([3; 32]));
        let shown = OrderEvidence {
            second: forged,
            ..made.clone()
        };
        assert_eq!(shown.verify(), Err(BadEvidence::Signature));
        let mut other = made.clone();
        other.group = GroupId([2; 16]);
        assert_eq!(other.verify(), Err(BadEvidence::Signature));
        let mut other = made;
        other.delivery.tbs.public_key = key(4).public_key();
        let shown = other.verify();
        assert!(matches!(shown, Err(BadEvidence::Credential(_))));
    }
}
