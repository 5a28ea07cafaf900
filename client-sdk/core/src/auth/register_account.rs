//! register_account - spec/auth.md#register_account

use std::time::Duration;

use protocol::auth::{RegisterAccount, RegisterAccountReply};
use protocol::codec::encode;
use protocol::crypto::credential::{
    ClientCredentialRequest, ClientCredentialTbs, VerifiedServerKeys,
};
use protocol::id::Domain;
use protocol::limit::{CLIENT_CREDENTIAL_DAYS_MAX, DISPLAY_NAME_BYTES_MAX};
use protocol::time::{Lifetime, Timestamp};
use zeroize::Zeroizing;

use crate::account::OwnAccount;
use crate::drive::{Next, success};
use crate::error::Error;
use crate::home::Core;
use crate::job::{JobId, Outcome, Step};
use crate::outgoing::{Isolation, Outgoing};
use crate::state::{Encoded, JobState, WorkState};
use crate::tx::{Tx, stored};

impl Core {
    /// Sign up at a domain. Called again before it is done, it goes on where it was.
    ///
    /// # Errors
    /// `AlreadyRegistered`, `TooLong` for the display name (bytes of UTF-8), or the home's fault.
    pub fn register(
        &mut self,
        domain: &Domain,
        display_name: &str,
        now: Timestamp,
    ) -> Result<JobId, Error> {
        if display_name.len() > DISPLAY_NAME_BYTES_MAX {
            return Err(Error::TooLong);
        }
        self.transact(now, |tx| {
            match tx.account()? {
                Some(account) if account.credential.is_some() => {
                    return Err(Error::AlreadyRegistered);
                }
                Some(account) if account.user.domain == *domain => {}
                _ => tx.start_account(domain, display_name)?,
            }
            tx.ensure_job(&JobState::Register {
                request: None,
                work: WorkState::Challenge,
            })
        })
    }
}

impl Tx<'_> {
    fn start_account(&self, domain: &Domain, display_name: &str) -> Result<(), Error> {
        self.execute(
            "INSERT OR REPLACE INTO account (one, domain, user, client, display_name, key)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            (
                domain.as_str(),
                self.random::<16>()?,
                self.random::<16>()?,
                display_name,
                *Zeroizing::new(self.random::<32>()?),
            ),
        )?;
        Ok(())
    }

    pub(crate) fn next_register(
        &self,
        request: Option<&Encoded>,
        work: &WorkState,
    ) -> Result<Next, Error> {
        let account = self.account()?.ok_or(Error::NotRegistered)?;
        let domain = &account.user.domain;
        let Some(issuer) = self.server_keys(domain)? else {
            return self.wait_for_server_keys(domain);
        };
        let Some(request) = request else {
            let request = Some(encode(&self.credential_request(&account, &issuer)).into());
            return Ok(Next::Goto(JobState::Register {
                request,
                work: WorkState::Challenge,
            }));
        };
        match work {
            WorkState::Challenge => Ok(Self::fetch_challenge(domain, Isolation::Account)),
            WorkState::Solve(challenge) => {
                let request: ClientCredentialRequest = stored(request, "credential request")?;
                Self::solve(challenge, request.work_purpose())
            }
            WorkState::Send(work) => {
                let work = stored(work, "work")?;
                let body = RegisterAccount {
                    work,
                    client: stored(request, "credential request")?,
                };
                let outgoing = Outgoing::unsigned(&body, domain.clone(), Isolation::Account);
                Ok(Next::Step(Step::Send(outgoing)))
            }
        }
    }

    pub(crate) fn answered_register(
        &self,
        request: Option<&Encoded>,
        work: &WorkState,
        payload: &[u8],
    ) -> Result<Next, Error> {
        match work {
            WorkState::Challenge => {
                let work = Self::challenge(payload)?;
                Ok(Next::Goto(JobState::Register {
                    request: request.cloned(),
                    work,
                }))
            }
            WorkState::Solve(_) => Err(Error::NotExpected),
            WorkState::Send(_) => self.take_credential(payload),
        }
    }

    fn take_credential(&self, payload: &[u8]) -> Result<Next, Error> {
        let reply: RegisterAccountReply = success(payload)?;
        let account = self.account()?.ok_or(Error::NotRegistered)?;
        let issuer = self
            .server_keys(&account.user.domain)?
            .ok_or(Error::BadServerKeys)?;
        let ours = reply
            .credential
            .verify(&issuer, self.now)
            .is_ok_and(|client| {
                *client.user() == account.user
                    && client.client() == account.client
                    && client.public_key() == account.key.public_key()
            });
        if !ours {
            return Err(Error::BadReply);
        }
        self.execute(
            "UPDATE account SET credential = ?1",
            [encode(&reply.credential)],
        )?;
        Ok(Next::Done(Outcome::Registered))
    }

    /// As long as allowed, inside the issuer's validity.
    fn credential_request(
        &self,
        account: &OwnAccount,
        issuer: &VerifiedServerKeys,
    ) -> ClientCredentialRequest {
        let span = Duration::from_secs(CLIENT_CREDENTIAL_DAYS_MAX * 86_400);
        let (wish, outer) = (Lifetime::starting(self.now, span), issuer.lifetime());
        let tbs = ClientCredentialTbs {
            user: account.user.clone(),
            client: account.client,
            public_key: account.key.public_key(),
            lifetime: Lifetime {
                not_before: wish.not_before.max(outer.not_before),
                not_after: wish.not_after.min(outer.not_after),
            },
            issuer: issuer.issuer(),
        };
        ClientCredentialRequest::new(tbs, &account.key)
    }
}
