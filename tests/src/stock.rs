//! A publication of KeyPackages: a request that costs its sender little and the server much.

use openmls::prelude::{Extensions, KeyPackage, Lifetime};
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::Opaque;
use protocol::contact::Ticket;
use protocol::id::QueueId;
use protocol::queue::{PublishKeyPackages, PublishedKeyPackage};
use tls_codec::Serialize;

use crate::connection::Failure;
use crate::group::{CIPHERSUITE, Leaf, capabilities, identity, link_key};

/// The same KeyPackage `copies` times, and one of last resort: the server validates each, and
/// changes nothing if the publication is in place.
///
/// # Errors
/// OpenMLS cannot make them.
pub fn publication(queue: QueueId, copies: usize) -> Result<PublishKeyPackages, Failure> {
    let single = published(false)?;
    Ok(PublishKeyPackages {
        queue,
        packages: vec![single; copies],
        last_resort: published(true)?,
    })
}

fn published(is_last_resort: bool) -> Result<PublishedKeyPackage, Failure> {
    let leaf = Leaf::new();
    let mut builder = KeyPackage::builder()
        .leaf_node_capabilities(capabilities())
        .leaf_node_extensions(Extensions::single(identity())?)
        .key_package_lifetime(Lifetime::new(30 * 86_400));
    if is_last_resort {
        builder = builder.mark_as_last_resort();
    }
    let provider = OpenMlsRustCrypto::default();
    let bundle = builder.build(CIPHERSUITE, &provider, &leaf.signer, leaf.credential)?;
    let message = openmls::prelude::MlsMessageOut::from(bundle.key_package().clone());
    Ok(PublishedKeyPackage {
        key_package: Opaque::new(message.tls_serialize_detached()?)?,
        link_key: link_key(),
        ticket: Ticket(std::array::from_fn(|_| rand::random())),
    })
}
