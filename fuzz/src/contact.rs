//! What contacts send each other, once it has been opened.

use protocol::auth::{ConnectionPackage, SealedConnectionRequest};
use protocol::contact::{
    ConnectionAcceptance, ConnectionInvitation, ConnectionRequest, Contact, QualifiedTicket,
};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::label;
use protocol::crypto::signature::PublicKey;

use crate::canonical;

/// Any of it.
pub fn contact(bytes: &[u8]) {
    canonical::<ConnectionRequest>(bytes);
    canonical::<ConnectionAcceptance>(bytes);
    canonical::<ConnectionInvitation>(bytes);
    canonical::<Contact>(bytes);
    canonical::<QualifiedTicket>(bytes);
    if let Some(package) = canonical::<ConnectionPackage>(bytes) {
        let stranger = PublicKey([0; 32]);
        assert!(
            package.verify(&stranger).is_err(),
            "a package verifies under a small-order key"
        );
    }
    if let Some(request) = canonical::<SealedConnectionRequest>(bytes) {
        let opened =
            OpenKey::from_seed([0; 32]).open(label::CONNECTION_REQUEST, &[], &request.sealed);
        assert!(opened.is_err(), "a forged connection request opens");
    }
}
