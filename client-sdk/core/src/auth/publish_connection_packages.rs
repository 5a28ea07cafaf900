//! publish_connection_packages - spec/auth.md#publish_connection_packages

use std::time::Duration;

use protocol::auth::{
    ConnectionPackage, ConnectionPackageTbs, PublishConnectionPackages,
    PublishConnectionPackagesReply,
};
use protocol::codec::encode;
use protocol::crypto::hpke::OpenKey;
use protocol::id::{ConnectionPackageId, UsernameHash};
use protocol::limit::PACKAGE_DAYS_MAX;
use protocol::time::Lifetime;
use zeroize::Zeroizing;

use crate::auth::StoredUsername;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{Encoded, JobState};
use crate::tx::{Tx, stored};

/// How often a package may be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Once,
    LastResort,
}

impl Tx<'_> {
    /// Fresh packages, made once: a repeated request publishes the same ones.
    pub(crate) fn next_publish_connection_packages(
        &self,
        hash: [u8; 32],
        body: Option<&Encoded>,
    ) -> Result<Next, Error> {
        let Some(username) = self.username(hash)? else {
            return Ok(Next::Over(Error::Unknown("username")));
        };
        let Some(body) = body else {
            let mut packages = Vec::with_capacity(self.stock.connection_packages);
            for _ in 0..self.stock.connection_packages {
                packages.push(self.connection_package(hash, &username, Use::Once)?);
            }
            let last_resort = self.connection_package(hash, &username, Use::LastResort)?;
            let username = UsernameHash(hash);
            let body = encode(&PublishConnectionPackages {
                username,
                packages,
                last_resort,
            });
            return Ok(Next::Goto(JobState::PublishConnectionPackages {
                hash,
                body: Some(body.into()),
            }));
        };
        let body: PublishConnectionPackages = stored(body, "connection packages")?;
        let isolation = Isolation::Username(UsernameHash(hash));
        let domain = username.name.domain().clone();
        let outgoing = Outgoing::signed(body, username.key, domain, isolation);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    pub(crate) fn answered_publish_connection_packages(
        &self,
        hash: [u8; 32],
        body: Option<&Encoded>,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let PublishConnectionPackagesReply {} = success(payload)?;
        let body: PublishConnectionPackages =
            stored(body.ok_or(Error::NotExpected)?, "connection packages")?;
        self.execute(
            "UPDATE usernames SET packages_left = ?2, packages_published = ?3 WHERE hash = ?1",
            (hash, body.packages.len(), self.now.0),
        )?;
        Ok(Next::Done(Outcome::Kept))
    }

    /// A package whose key we keep until it expires.
    fn connection_package(
        &self,
        hash: [u8; 32],
        username: &StoredUsername,
        usage: Use,
    ) -> Result<ConnectionPackage, Error> {
        let id: [u8; 16] = self.random()?;
        let seed = Zeroizing::new(self.random::<32>()?);
        let span = Duration::from_secs(PACKAGE_DAYS_MAX * 86_400);
        let lifetime = Lifetime::starting(self.now, span);
        let seal_key = OpenKey::from_seed(*seed)
            .seal_key()
            .map_err(|_| Error::Crypto)?;
        self.execute(
            "INSERT INTO connection_packages (id, username, seed, last_resort, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                id,
                hash,
                *seed,
                usage == Use::LastResort,
                lifetime.not_after.0,
            ),
        )?;
        let tbs = ConnectionPackageTbs {
            id: ConnectionPackageId(id),
            username: UsernameHash(hash),
            seal_key,
            lifetime,
        };
        Ok(ConnectionPackage::new(tbs, &username.key))
    }
}
