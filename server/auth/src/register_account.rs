//! register_account — spec/auth.md#register_account

use protocol::auth::{RegisterAccount, RegisterAccountReply};
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::tables::{ACCOUNT_SPACE, ACCOUNTS, Account};
use crate::{Auth, operation};

impl Auth {
    /// Register a user with its first client and sign the client. The same request again gets the
    /// same answer. [AUTH-REGISTER-1] [AUTH-WORK-2]
    ///
    /// # Errors
    /// `Closed`, `Work`, `Credential` if the client asks for one that breaks a rule, `Exists` if the
    /// user id was registered by another request; `ServerKeys`, or the store's.
    pub fn register_account(
        &self,
        request: RegisterAccount,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<RegisterAccountReply, Error> {
        if !self.policy.registration_open {
            return Err(Error::Closed);
        }
        let RegisterAccount { work, client } = request;
        work.verify(&self.keys.challenge_key, &client.work_purpose(), now)?;
        let issuer = self
            .keys
            .server_keys
            .verify(&self.domain, now)
            .map_err(Error::ServerKeys)?;
        client.check(&issuer, now).map_err(Error::Credential)?;
        let user = client.tbs.user.id;
        let partition = self.store.partition(ACCOUNT_SPACE, &user.0);
        let credential = self.store.transact(&partition, operation(entropy), |tx| {
            if let Some(Account { credential }) = tx.get(&ACCOUNTS, &())? {
                let is_same = credential.request == client;
                return if is_same {
                    Ok(credential)
                } else {
                    Err(Error::Exists)
                };
            }
            let credential = client.clone().sign(&self.keys.intermediate_key);
            tx.put(
                &ACCOUNTS,
                &(),
                &Account {
                    credential: credential.clone(),
                },
            )?;
            Ok(credential)
        })?;
        Ok(RegisterAccountReply { credential })
    }
}

#[cfg(test)]
mod tests {
    use protocol::crypto::credential::BadCredential;
    use protocol::crypto::work::BadWork;
    use protocol::error::{ErrorCode, ErrorReply};
    use protocol::id::{ClientId, UserId};

    use super::*;
    use crate::testing::{Applicant, NOW, World};

    fn register(world: &World, request: RegisterAccount) -> Result<RegisterAccountReply, Error> {
        world.auth.register_account(request, NOW, &world.entropy)
    }

    #[test]
    fn a_client_gets_a_credential_that_verifies_and_again_the_same() {
        let world = World::new();
        let request = world.registration(&Applicant::new(1));
        let reply = register(&world, request.clone()).unwrap();
        let client = reply.credential.verify(&world.issuer(), NOW).unwrap();
        assert_eq!(client.user().id, UserId([1; 16]));
        let before = world.rows();
        assert_eq!(register(&world, request), Ok(reply));
        assert_eq!(world.rows(), before);
    }

    /// [AUTH-REGISTER-1]
    #[test]
    fn a_user_id_is_taken_once() {
        let world = World::new();
        let first = Applicant::new(1);
        register(&world, world.registration(&first)).unwrap();
        let before = world.rows();
        let other_key = Applicant {
            key: Applicant::new(2).key,
            ..Applicant::new(1)
        };
        let other_client = Applicant {
            client: ClientId([9; 16]),
            ..first
        };
        for other in [other_key, other_client] {
            assert_eq!(
                register(&world, world.registration(&other)),
                Err(Error::Exists)
            );
        }
        assert_eq!(world.rows(), before);
    }

    /// [AUTH-WORK-2] [AUTH-WORK-3]
    #[test]
    fn work_for_something_else_or_too_old_buys_nothing() {
        let world = World::new();
        let request = world.registration(&Applicant::new(1));
        let other = world.registration(&Applicant::new(2));
        let bought = RegisterAccount {
            work: other.work,
            client: request.client.clone(),
        };
        assert_eq!(
            register(&world, bought),
            Err(Error::Work(BadWork::Solution))
        );
        let late = Timestamp(NOW.0 + 601);
        let refused = world.auth.register_account(request, late, &world.entropy);
        assert_eq!(refused, Err(Error::Work(BadWork::Challenge)));
        assert!(world.rows().is_empty());
    }

    #[test]
    fn a_credential_that_breaks_a_rule_is_not_signed() {
        let world = World::new();
        let long = Applicant {
            days: 91,
            ..Applicant::new(1)
        };
        let refused = register(&world, world.registration(&long));
        assert_eq!(refused, Err(Error::Credential(BadCredential::Lifetime)));
        let mut forged = world.client_request(&Applicant::new(1));
        forged.tbs.client = ClientId([8; 16]);
        let refused = register(&world, world.work_for(forged));
        assert_eq!(refused, Err(Error::Credential(BadCredential::Signature)));
        assert!(world.rows().is_empty());
    }

    #[test]
    fn a_closed_server_registers_nobody() {
        let mut world = World::new();
        let request = world.registration(&Applicant::new(1));
        world.auth.policy.registration_open = false;
        let refused = register(&world, request).unwrap_err();
        assert_eq!(refused, Error::Closed);
        assert_eq!(ErrorReply::from(&refused).code, ErrorCode::Denied);
        assert!(world.rows().is_empty());
    }

    #[test]
    fn what_is_stored_shows_no_user_id_and_no_key() {
        let world = World::new();
        let applicant = Applicant {
            user: UserId(*b"a user id seen??"),
            ..Applicant::new(1)
        };
        register(&world, world.registration(&applicant)).unwrap();
        let public_key = applicant.key.public_key();
        for needle in [&applicant.user.0[..], &applicant.client.0, &public_key.0] {
            assert!(!world.stores(needle));
        }
    }
}
