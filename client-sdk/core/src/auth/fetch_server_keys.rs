//! fetch_server_keys - spec/auth.md#fetch_server_keys

use protocol::auth::{FetchServerKeys, FetchServerKeysReply};
use protocol::codec::encode;
use protocol::crypto::credential::{ServerKeys, VerifiedServerKeys};
use protocol::id::{Domain, Fingerprint};

use crate::account::domain_of;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::job::{Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::JobState;
use crate::tx::{Tx, stored};

impl Tx<'_> {
    pub(crate) fn next_fetch_server_keys(domain: &str) -> Result<Next, Error> {
        let domain = domain_of(domain)?;
        Ok(Next::Step(Step::Send(Outgoing::unsigned(
            &FetchServerKeys {},
            domain,
            Isolation::Anonymous,
        ))))
    }

    /// Verify the chain, pin the root at first sight, and refuse another root ever after.
    /// [SDK-PIN-1]
    pub(crate) fn answered_fetch_server_keys(
        &self,
        domain: &str,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: FetchServerKeysReply = success(payload)?;
        let Ok(verified) = reply.keys.verify(&domain_of(domain)?, self.now) else {
            return Ok(Next::Over(Error::BadServerKeys));
        };
        let root = verified.root_fingerprint();
        self.execute(
            "INSERT OR IGNORE INTO roots VALUES (?1, ?2)",
            (domain, root.0),
        )?;
        if self.pinned_root(domain)? != Some(root) {
            return Ok(Next::Over(Error::BadServerKeys));
        }
        self.execute(
            "INSERT OR REPLACE INTO issuers (domain, fingerprint, keys, fetched)
             VALUES (?1, ?2, ?3, ?4)",
            (domain, verified.issuer().0, encode(&reply.keys), self.now.0),
        )?;
        self.verify_waiting(verified.domain())?;
        Ok(Next::Done(Outcome::Kept))
    }

    fn pinned_root(&self, domain: &str) -> Result<Option<Fingerprint>, Error> {
        self.row(
            "SELECT fingerprint FROM roots WHERE domain = ?1",
            [domain],
            |row| Ok(Fingerprint(row.get(0)?)),
        )
    }

    /// The newest keys of a domain, if they are valid.
    pub(crate) fn server_keys(&self, domain: &Domain) -> Result<Option<VerifiedServerKeys>, Error> {
        let keys = self.row(
            "SELECT keys FROM issuers WHERE domain = ?1 ORDER BY fetched DESC LIMIT 1",
            [domain.as_str()],
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        self.valid_keys(keys, domain)
    }

    /// The keys of a domain that have this fingerprint, if we have seen them and they are valid.
    pub(crate) fn issuer(
        &self,
        domain: &Domain,
        fingerprint: Fingerprint,
    ) -> Result<Option<VerifiedServerKeys>, Error> {
        let keys = self.row(
            "SELECT keys FROM issuers WHERE domain = ?1 AND fingerprint = ?2",
            (domain.as_str(), fingerprint.0),
            |row| row.get::<_, Vec<u8>>(0),
        )?;
        self.valid_keys(keys, domain)
    }

    fn valid_keys(
        &self,
        keys: Option<Vec<u8>>,
        domain: &Domain,
    ) -> Result<Option<VerifiedServerKeys>, Error> {
        let Some(keys) = keys else { return Ok(None) };
        let keys: ServerKeys = stored(&keys, "server keys")?;
        Ok(keys.verify(domain, self.now).ok())
    }

    /// Wait for a domain's keys; if they were refused a moment ago, there are none to be had.
    pub(crate) fn wait_for_server_keys(&self, domain: &Domain) -> Result<Next, Error> {
        let domain = domain.as_str().to_owned();
        let fetch = JobState::FetchServerKeys { domain };
        if self.is_resting(&fetch)? {
            return Ok(Next::Over(Error::BadServerKeys));
        }
        Ok(Next::Step(Step::Wait(self.ensure_job(&fetch)?)))
    }

    /// When the newest keys of a domain were fetched.
    pub(crate) fn server_keys_fetched(&self, domain: &Domain) -> Result<u64, Error> {
        self.count(
            "SELECT max(fetched) FROM issuers WHERE domain = ?1",
            [domain.as_str()],
        )
    }
}
