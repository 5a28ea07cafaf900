//! Any structure of the protocol that stands by itself.

use protocol::codec::Opaque;
use protocol::contact::{Contact, FriendshipToken, Ticket};
use protocol::crypto::credential::{
    ClientCredential, ClientCredentialRequest, IntermediateCredential, RootCredential, ServerKeys,
};
use protocol::crypto::hpke::{HpkeCiphertext, SealKey};
use protocol::crypto::identity::{Identity, SealedIdentity, WrappedLinkKey};
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::{PublicKey, Signature};
use protocol::crypto::signed::Signed;
use protocol::crypto::work::{Challenge, Difficulty, Solution, Work};
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::{Domain, Epoch, LeafIndex, Seq, UserAddress, UserId};
use protocol::time::{Lifetime, Timestamp};
use protocol::{auth, delivery, queue};

use crate::canonical;

macro_rules! structures {
    ($($structure:ty,)*) => {
        /// Whatever the bytes decode as, they are its only encoding.
        pub fn roundtrip(bytes: &[u8]) {
            $(canonical::<$structure>(bytes);)*
        }
    };
}

structures! {
    // Names, numbers, times.
    Domain, UserAddress, UserId, Epoch, LeafIndex, Seq, Timestamp, Lifetime, ErrorCode, ErrorReply,
    // Byte strings with and without a bound.
    Opaque<0>, Opaque<64>, Opaque<16_384>, Vec<u8>, Vec<Seq>, Vec<Opaque<16>>,
    // Cryptography.
    PublicKey, Signature, SealKey, SymmetricKey, FriendshipToken, Ticket, Ratchet,
    HpkeCiphertext<64>, HpkeCiphertext<4_096>, SealedIdentity, WrappedLinkKey, Identity,
    RootCredential, IntermediateCredential, ServerKeys, ClientCredentialRequest, ClientCredential,
    Difficulty, Challenge, Solution, Work, Contact,
    // Bodies of requests, outside their envelope.
    auth::RegisterAccount, auth::ClaimUsername, auth::PublishConnectionPackages,
    auth::SendConnectionRequest, delivery::CreateGroup, delivery::CommitGroup,
    delivery::SendMessage, queue::CreateQueue, queue::PublishKeyPackages, queue::PostEntry,
    Signed<auth::ReleaseUsername>, Signed<queue::Listen>,
}
