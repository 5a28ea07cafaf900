//! publish_key_packages - spec/queue.md#publish_key_packages

use openmls::prelude::{KeyPackage, MlsMessageOut, OpenMlsProvider};
use protocol::codec::{Opaque, encode};
use protocol::crypto::identity::WrappedLinkKey;
use protocol::queue::{PublishKeyPackages, PublishKeyPackagesReply, PublishedKeyPackage};
use tls_codec::Serialize;

use crate::account::Registered;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::group::leaf::{CIPHERSUITE, capabilities, mls_lifetime, package_lifetime, signer};
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::queue::StoredQueue;
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

/// How often a KeyPackage may be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Once,
    LastResort,
}

impl Tx<'_> {
    /// Fresh KeyPackages, made once: a repeated request publishes the same ones. Each has a
    /// ticket of its own, so that groups cannot be compared by it. [SDK-STOCK-1]
    pub(crate) fn next_publish_key_packages(&self, body: Option<&Encoded>) -> Result<Next, Error> {
        if let Some(body) = body {
            let queue = self.created_queue()?.ok_or(Error::NotExpected)?;
            let body: PublishKeyPackages = stored(body, "key packages")?;
            let domain = self.own_domain()?;
            let outgoing = Outgoing::signed(body, queue.key, domain, Isolation::Queue);
            return Ok(Next::Step(Step::Send(outgoing)));
        }
        if let Some(wait) = self.wait_for_tickets(self.stock.key_packages as u64 + 1)? {
            return Ok(wait);
        }
        let (queue, account) = (
            self.created_queue()?.ok_or(Error::NotExpected)?,
            self.registered()?,
        );
        let mut packages = Vec::with_capacity(self.stock.key_packages);
        for _ in 0..self.stock.key_packages {
            packages.push(self.key_package(&account, &queue, Use::Once)?);
        }
        let last_resort = self.key_package(&account, &queue, Use::LastResort)?;
        let body = encode(&PublishKeyPackages {
            queue: queue.id(),
            packages,
            last_resort,
        });
        Ok(Next::Goto(JobState::PublishKeyPackages {
            body: Some(body.into()),
        }))
    }

    pub(crate) fn answered_publish_key_packages(
        &self,
        body: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let PublishKeyPackagesReply {} = success(payload)?;
        let body: PublishKeyPackages = stored(body.ok_or(Error::NotExpected)?, "key packages")?;
        self.execute(
            "UPDATE queue SET packages_left = ?1, packages_published = ?2",
            (body.packages.len(), self.now.0),
        )?;
        Ok(Next::Done(Outcome::Kept))
    }

    fn key_package(
        &self,
        account: &Registered,
        queue: &StoredQueue,
        usage: Use,
    ) -> Result<PublishedKeyPackage, Error> {
        let leaf = self.new_leaf(account)?;
        let mut builder = KeyPackage::builder()
            .key_package_lifetime(mls_lifetime(self.now))
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(leaf.extensions);
        if usage == Use::LastResort {
            builder = builder.mark_as_last_resort();
        }
        let provider = self.provider();
        let bundle = builder
            .build(CIPHERSUITE, &provider, &signer(&leaf.seed), leaf.credential)
            .map_err(|_| Error::Mls("KeyPackage"))?;
        let reference = bundle.key_package().hash_ref(provider.crypto());
        let reference = reference.map_err(|_| Error::Mls("KeyPackage reference"))?;
        let message = MlsMessageOut::from(bundle.into_key_package());
        let bytes = message
            .tls_serialize_detached()
            .map_err(|_| Error::Mls("KeyPackage"))?;
        let (ticket_id, ticket) = self.pop_ticket()?;
        let expires = package_lifetime(self.now).not_after.0;
        self.execute(
            "INSERT INTO key_packages (ticket_id, reference, leaf_key, last_resort, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                ticket_id.0,
                encode(&reference),
                *leaf.seed,
                usage == Use::LastResort,
                expires,
            ),
        )?;
        let nonce = self.random()?;
        let key = &queue.friendship_key;
        Ok(PublishedKeyPackage {
            key_package: Opaque::new(bytes).map_err(|_| Error::TooLong)?,
            link_key: WrappedLinkKey::seal(&leaf.link_key, key, nonce, &leaf.public_key),
            ticket,
        })
    }
}
