//! fetch_connection_requests - spec/auth.md#fetch_connection_requests

use protocol::auth::{
    FetchConnectionRequests, FetchConnectionRequestsReply, SealedConnectionRequest,
};
use protocol::codec::encode;
use protocol::contact::ConnectionRequest;
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::label;
use protocol::id::{ConnectionPackageId, Seq, UsernameHash};
use protocol::limit::CONNECTION_REQUESTS_FETCH_MAX;
use protocol::time::Timestamp;
use tls_codec::DeserializeBytes;

use crate::auth::send_connection_request::request_aad;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::event::{Event, Problem};
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::JobState;
use crate::tx::{Tx, storable, stored};

impl Core {
    /// Look for connection requests: one job for each username that is ours. There is no push for
    /// them: call it now and then.
    ///
    /// # Errors
    /// The home's fault.
    pub fn fetch_connection_requests(&mut self, now: Timestamp) -> Result<Vec<JobId>, Error> {
        self.transact(now, |tx| {
            let hashes = tx.rows("SELECT hash FROM usernames WHERE claimed = 1", [], |row| {
                row.get(0)
            })?;
            let jobs = hashes
                .into_iter()
                .map(|hash| tx.ensure_job(&JobState::FetchConnectionRequests { hash, count: 0 }));
            jobs.collect()
        })
    }
}

impl Tx<'_> {
    pub(crate) fn next_fetch_connection_requests(
        &self,
        hash: [u8; 32],
        count: usize,
    ) -> Result<Next, Error> {
        let Some(username) = self.username(hash)? else {
            return Ok(Next::Done(Outcome::ConnectionRequestsFetched { count }));
        };
        let body = FetchConnectionRequests {
            username: UsernameHash(hash),
            from: Seq(self.count("SELECT next FROM usernames WHERE hash = ?1", [hash])?),
        };
        let isolation = Isolation::Username(UsernameHash(hash));
        let domain = username.name.domain().clone();
        let outgoing = Outgoing::signed(body, username.key, domain, isolation);
        Ok(Next::Step(Step::Send(outgoing)))
    }

    /// Store what came; the next fetch acknowledges it. [SDK-CONNECT-2]
    pub(crate) fn answered_fetch_connection_requests(
        &self,
        hash: [u8; 32],
        mut count: usize,
        payload: &[u8],
    ) -> Result<Next, Error> {
        let reply: FetchConnectionRequestsReply = success(payload)?;
        let known = self.count("SELECT next FROM usernames WHERE hash = ?1", [hash])?;
        let mut next = known;
        for numbered in reply.requests.iter().take(CONNECTION_REQUESTS_FETCH_MAX) {
            let seq = storable(numbered.seq.0);
            if seq < next {
                continue;
            }
            next = storable(seq.saturating_add(1));
            count += usize::from(self.attempt(|| self.keep_request(hash, &numbered.request))?);
        }
        self.execute(
            "UPDATE usernames SET next = ?2, packages_left = ?3 WHERE hash = ?1",
            (hash, next, reply.packages_left),
        )?;
        let again = reply.requests.len() >= CONNECTION_REQUESTS_FETCH_MAX && next > known;
        Ok(if again {
            Next::Goto(JobState::FetchConnectionRequests { hash, count })
        } else {
            Next::Done(Outcome::ConnectionRequestsFetched { count })
        })
    }

    /// Open a request and store it, once however often it comes.
    fn keep_request(
        &self,
        hash: [u8; 32],
        sealed: &SealedConnectionRequest,
    ) -> Result<bool, Error> {
        let Some(request) = self.open_request(hash, sealed)? else {
            let problem = Problem::ConnectionRefused;
            self.tell(&Event::Problem {
                group: None,
                problem,
            })?;
            return Ok(false);
        };
        let fresh = self.execute(
            "INSERT OR IGNORE INTO incoming_requests (username, package, request, reply_id)
             VALUES (?1, ?2, ?3, ?4)",
            (hash, sealed.package.0, encode(&request), request.reply_id.0),
        )? == 1;
        self.execute(
            "DELETE FROM connection_packages WHERE id = ?1 AND last_resort = 0",
            [sealed.package.0],
        )?;
        if fresh {
            self.verify_request(self.sql.last_insert_rowid())?;
        }
        Ok(fresh)
    }

    fn open_request(
        &self,
        hash: [u8; 32],
        sealed: &SealedConnectionRequest,
    ) -> Result<Option<ConnectionRequest>, Error> {
        let seed = self.row(
            "SELECT seed FROM connection_packages WHERE id = ?1 AND username = ?2",
            (sealed.package.0, hash),
            |row| row.get(0),
        )?;
        let Some(seed) = seed else { return Ok(None) };
        let aad = request_aad(hash, sealed.package);
        let opened = OpenKey::from_seed(seed).open(label::CONNECTION_REQUEST, &aad, &sealed.sealed);
        let Ok(content) = opened else { return Ok(None) };
        let decoded = ConnectionRequest::tls_deserialize_bytes(&content);
        let padded = decoded
            .ok()
            .filter(|(_, rest)| rest.iter().all(|byte| *byte == 0));
        Ok(padded.map(|(request, _)| request))
    }

    /// Verify a stored request and tell the user; or wait until its domain's keys are there.
    /// [AUTH-CONNECTION-1]
    pub(crate) fn verify_request(&self, id: i64) -> Result<(), Error> {
        let row = self.row(
            "SELECT username, package, request FROM incoming_requests
             WHERE id = ?1 AND verified = 0",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)),
        )?;
        let Some((hash, package, request)) = row else {
            return Ok(());
        };
        let request: ConnectionRequest = stored(&request, "connection request")?;
        let tbs = &request.contact.credential.request.tbs;
        let Some(issuer) = self.issuer(&tbs.user.domain, tbs.issuer)? else {
            let domain = tbs.user.domain.as_str().to_owned();
            return self.ensure_upkeep(&JobState::FetchServerKeys { domain });
        };
        let addressee = (&UsernameHash(hash), ConnectionPackageId(package));
        if request.verify(addressee, &issuer, self.now).is_err() {
            self.execute("DELETE FROM incoming_requests WHERE id = ?1", [id])?;
            let problem = Problem::ConnectionRefused;
            return self.tell(&Event::Problem {
                group: None,
                problem,
            });
        }
        self.execute(
            "UPDATE incoming_requests SET verified = 1 WHERE id = ?1",
            [id],
        )?;
        let username = self.own_username(hash)?.name.to_string();
        let from = self.requester(&request.contact)?;
        self.tell(&Event::ConnectionRequested {
            request: id,
            from,
            username,
        })
    }
}
