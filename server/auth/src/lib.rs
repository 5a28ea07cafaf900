//! The authentication service: accounts, credentials, usernames, connection requests. Spec: auth.md.
//!
//! It knows a person as a user id and, separately, as usernames under keys of their own. Accounts
//! and usernames are in different spaces, and no row of one refers to the other.
//!
//! | operation | caller proves |
//! |---|---|
//! | `fetch_server_keys`, `fetch_challenge` | nothing |
//! | `register_account` | work |
//! | `claim_username` | work, and that it has the username's key |
//! | `release_username`, `publish_connection_packages`, `fetch_connection_requests` | that it has the username's key |
//! | `take_connection_package`, `send_connection_request` | nothing |
//!
//! No clock and no entropy of its own: both are arguments. A transaction touches one account or one
//! username.

mod claim_username;
mod error;
mod fetch_challenge;
mod fetch_connection_requests;
mod fetch_server_keys;
mod owner;
mod publish_connection_packages;
mod register_account;
mod release_username;
mod send_connection_request;
mod tables;
mod take_connection_package;
#[cfg(test)]
mod testing;

use std::fmt;

use protocol::crypto::credential::ServerKeys;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::work::Difficulty;
use protocol::id::Domain;
use store::{Entropy, OpId, Space, Store};

pub use error::Error;

/// The spaces that hold the service's rows: one partition per account, one per username.
pub const SPACES: &[Space] = &[tables::ACCOUNT_SPACE, tables::USERNAME_SPACE];

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much work an account costs at least.
    pub registration: Difficulty,
    /// How much work a username costs at least.
    pub username: Difficulty,
    /// How long a challenge may be answered, in seconds.
    pub challenge_seconds: u64,
    /// Whether anybody may register.
    pub registration_open: bool,
}

/// The service's keys.
#[derive(Debug)]
pub struct Keys {
    /// The domain's credentials.
    pub server_keys: ServerKeys,
    /// The private key of the intermediate credential; it signs clients.
    pub intermediate_key: PrivateKey,
    /// Recognises the service's own challenges.
    pub challenge_key: SymmetricKey,
}

/// The authentication service over a store.
pub struct Auth {
    store: Store,
    domain: Domain,
    policy: Policy,
    keys: Keys,
}

impl Auth {
    /// The service of a domain over a store that has [`SPACES`].
    #[must_use]
    pub const fn new(store: Store, domain: Domain, policy: Policy, keys: Keys) -> Self {
        Self {
            store,
            domain,
            policy,
            keys,
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}

/// The name of one attempt at a transaction. Repeated requests are recognised by their content.
fn operation(entropy: &dyn Entropy) -> OpId {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    OpId(id)
}
