//! What a client does by itself: keeping its stock up, and forgetting what has expired.

use std::time::Duration;

use openmls::prelude::{KeyPackageRef, OpenMlsProvider};
use openmls_traits::storage::StorageProvider;

use crate::error::Error;
use crate::state::{JobState, WorkState};
use crate::tx::{Tx, stored};

/// Packages are renewed after this time, well before they expire.
const RENEW_AFTER: Duration = Duration::from_secs(30 * 86_400);
/// Usernames are refreshed when they expire within this time.
const REFRESH_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// The own domain's keys are fetched again after this time.
const KEYS_AFTER: Duration = Duration::from_secs(7 * 86_400);

impl Tx<'_> {
    /// Make the upkeep jobs that are due. [SDK-UPKEEP-1]
    pub(crate) fn keep(&self) -> Result<(), Error> {
        self.sweep()?;
        let account = match self.registered() {
            Ok(account) => account,
            Err(Error::NotRegistered) => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.created_queue()?.is_none() {
            return self.ensure_upkeep(&JobState::CreateQueue);
        }
        if self.free_tickets()? < self.stock.tickets as u64 {
            self.ensure_upkeep(&JobState::TakeTickets)?;
        }
        self.keep_key_packages()?;
        self.keep_usernames()?;
        self.keep_damaged()?;
        self.keep_rescues()?;
        self.keep_proposals()?;
        self.keep_group_tickets()?;
        let fetched = self.server_keys_fetched(&account.user.domain)?;
        if fetched < self.now.before(KEYS_AFTER).0 {
            let domain = account.user.domain.as_str().to_owned();
            self.ensure_upkeep(&JobState::FetchServerKeys { domain })?;
        }
        Ok(())
    }

    fn keep_key_packages(&self) -> Result<(), Error> {
        let left = self.count("SELECT packages_left FROM queue", [])?;
        let published = self.count("SELECT packages_published FROM queue", [])?;
        if is_due(
            left,
            self.stock.key_packages,
            published,
            self.now.before(RENEW_AFTER).0,
        ) {
            self.ensure_upkeep(&JobState::PublishKeyPackages { body: None })?;
        }
        Ok(())
    }

    fn keep_usernames(&self) -> Result<(), Error> {
        let usernames = self.rows(
            "SELECT hash, expires, packages_left, packages_published FROM usernames
             WHERE claimed = 1",
            [],
            |row| Ok((row.get(0)?, row.get::<_, u64>(1)?, row.get(2)?, row.get(3)?)),
        )?;
        for (hash, expires, left, published) in usernames {
            let renew = self.now.before(RENEW_AFTER).0;
            if is_due(left, self.stock.connection_packages, published, renew) {
                self.ensure_upkeep(&JobState::PublishConnectionPackages { hash, body: None })?;
            }
            if expires < self.now.after(REFRESH_BEFORE).0 {
                let work = WorkState::Challenge;
                self.ensure_upkeep(&JobState::ClaimUsername { hash, work })?;
            }
        }
        Ok(())
    }

    /// Forget private keys of packages that nobody can use any more.
    fn sweep(&self) -> Result<(), Error> {
        let now = self.now.0;
        self.execute("DELETE FROM connection_packages WHERE expires < ?1", [now])?;
        self.execute("DELETE FROM resting WHERE until < ?1", [now])?;
        self.execute("DELETE FROM committers WHERE until < ?1", [now])?;
        self.forget_retained()?;
        self.forget_done()?;
        self.forget_overtaken()?;
        let expired = self.rows(
            "SELECT reference FROM key_packages WHERE expires < ?1 LIMIT 1000",
            [now],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        for reference in expired {
            let provider = self.provider();
            let key: KeyPackageRef = stored(&reference, "key package reference")?;
            provider.storage().delete_key_package(&key)?;
            self.execute("DELETE FROM key_packages WHERE reference = ?1", [reference])?;
        }
        Ok(())
    }
}

/// Never published, published long ago, or a quarter of the stock left.
fn is_due(left: u64, stock: usize, published: u64, renew_before: u64) -> bool {
    let low = (stock as u64).div_ceil(4);
    published == 0 || published < renew_before || left < low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [SDK-UPKEEP-1]
    #[test]
    fn stock_is_renewed_when_it_is_missing_old_or_low() {
        assert!(is_due(32, 32, 0, 100));
        assert!(is_due(32, 32, 99, 100));
        assert!(is_due(7, 32, 100, 100));
        assert!(!is_due(8, 32, 100, 100));
        assert!(
            !is_due(0, 0, 100, 100),
            "a stock of nothing but the last resort is never low"
        );
    }
}
