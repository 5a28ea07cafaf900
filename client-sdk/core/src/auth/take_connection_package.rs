//! take_connection_package - spec/auth.md#take_connection_package

use protocol::auth::{ConnectionPackageTbs, TakeConnectionPackage, TakeConnectionPackageReply};
use protocol::id::UsernameHash;
use protocol::limit::PACKAGE_DAYS_MAX;

use crate::drive::success;
use crate::error::Error;
use crate::tx::Tx;

impl Tx<'_> {
    pub(super) const fn take_connection_package(hash: [u8; 32]) -> TakeConnectionPackage {
        TakeConnectionPackage {
            username: UsernameHash(hash),
        }
    }

    /// Check that the package is the username's and valid. [SDK-CONNECT-1]
    pub(super) fn taken_connection_package(
        &self,
        hash: [u8; 32],
        payload: &[u8],
    ) -> Result<Option<ConnectionPackageTbs>, Error> {
        let reply: TakeConnectionPackageReply = success(payload)?;
        let Ok(package) = reply.package.verify(&reply.public_key) else {
            return Ok(None);
        };
        let valid = package.username == UsernameHash(hash)
            && package.lifetime.contains(self.now)
            && package.lifetime.is_within_days(PACKAGE_DAYS_MAX);
        Ok(valid.then(|| package.clone()))
    }
}
