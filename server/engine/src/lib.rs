//! The homeserver without the network: it composes the three services and is the only place where
//! a fact passes from one to another.
//!
//! ```text
//! payload --decode--> Request --match--> service(store) --> reply payload + Effects
//! Outbox  --parcels--> delivery | queue --deliver--> settle --> queues to wake
//! ```
//!
//! Every call blocks while the store commits; the shell runs them on threads of its own. Replies
//! are made after the commit, [`Effects`] are hints that may be lost: what must happen is a row.

mod client;
mod config;
mod courier;
mod effect;
mod error;
mod sweep;

use std::fmt;
use std::sync::Arc;

use auth::Auth;
use delivery::Delivery;
use protocol::id::Domain;
use protocol::time::Timestamp;
use queue::Queue;
use store::{Entropy, Space, Store};

pub use auth::Policy as AuthPolicy;
pub use client::Served;
pub use config::{EngineConfig, Policies, Secrets};
pub use courier::Shipped;
pub use delivery::{Outbox, Policy as DeliveryPolicy};
pub use effect::{Effects, Outcome};
pub use error::Error;
pub use protocol::crypto::work::Difficulty;
pub use queue::{Batch, Listener, Policy as QueuePolicy};
pub use sweep::Swept;

/// The column families that the services keep their rows in.
#[must_use]
pub fn spaces() -> Vec<Space> {
    [auth::SPACES, delivery::SPACES, queue::SPACES].concat()
}

/// A homeserver without sockets, clock or configuration file.
pub struct Engine {
    domain: Domain,
    auth: Auth,
    delivery: Delivery,
    queue: Queue,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Compose the services over one store.
    ///
    /// # Errors
    /// The operator's fault: server keys that do not verify for the domain.
    pub fn new(
        store: &Store,
        config: EngineConfig,
        entropy: Arc<dyn Entropy>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let server_keys = &config.secrets.server_keys;
        server_keys
            .verify(&config.domain, now)
            .map_err(Error::ServerKeys)?;
        let EngineConfig {
            domain,
            policies,
            secrets,
        } = config;
        let keys = secrets.derive();
        Ok(Self {
            auth: Auth::new(store.clone(), domain.clone(), policies.auth, keys.auth),
            delivery: Delivery::new(
                store.clone(),
                domain.clone(),
                policies.delivery,
                keys.delivery,
            ),
            queue: Queue::new(store.clone(), policies.queue, keys.queue),
            domain,
            entropy,
        })
    }

    /// The domain served.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}
