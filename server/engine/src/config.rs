//! What an engine is made from.

use std::fmt;

use protocol::crypto::credential::ServerKeys;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signature::PrivateKey;
use protocol::id::Domain;

/// Everything an engine needs besides its store.
#[derive(Debug)]
pub struct EngineConfig {
    /// The domain it serves.
    pub domain: Domain,
    /// What the operator decided.
    pub policies: Policies,
    /// What the operator keeps secret.
    pub secrets: Secrets,
}

/// The services' policies. They have no defaults: the configuration file's schema decides them.
#[derive(Debug)]
pub struct Policies {
    /// Of the authentication service.
    pub auth: auth::Policy,
    /// Of the delivery service.
    pub delivery: delivery::Policy,
    /// Of the queueing service.
    pub queue: queue::Policy,
}

/// The operator's keys. None of them is ever in the database.
pub struct Secrets {
    /// The storage key: keys for tickets, challenges and links are derived from it.
    pub storage_key: SymmetricKey,
    /// The domain's credentials.
    pub server_keys: ServerKeys,
    /// The private key of the intermediate credential.
    pub intermediate_key: PrivateKey,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// One bundle of keys per service: none learns another's.
pub(crate) struct ServiceKeys {
    pub(crate) auth: auth::Keys,
    pub(crate) delivery: delivery::Keys,
    pub(crate) queue: queue::Keys,
}

impl Secrets {
    /// Derive what each service needs.
    pub(crate) fn derive(self) -> ServiceKeys {
        let derive = |label| self.storage_key.derive(label, &[]);
        let signing = PrivateKey::from_seed(&derive(label::DELIVERY_KEY).0);
        ServiceKeys {
            delivery: delivery::Keys {
                link: derive(label::LINK_ID),
                credential: DeliveryCredential::new(
                    &self.server_keys.intermediate,
                    &self.intermediate_key,
                    &signing,
                ),
                signing,
            },
            queue: queue::Keys {
                ticket: derive(label::TICKET_KEY),
            },
            auth: auth::Keys {
                challenge_key: derive(label::CHALLENGE_KEY),
                server_keys: self.server_keys,
                intermediate_key: self.intermediate_key,
            },
        }
    }
}
