//! fetch_server_keys — spec/auth.md#fetch_server_keys

use protocol::auth::FetchServerKeysReply;

use crate::Auth;

impl Auth {
    /// The domain's credentials.
    #[must_use]
    pub fn fetch_server_keys(&self) -> FetchServerKeysReply {
        FetchServerKeysReply {
            keys: self.keys.server_keys.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{NOW, World, domain};

    #[test]
    fn the_keys_verify() {
        assert!(
            World::new()
                .auth
                .fetch_server_keys()
                .keys
                .verify(&domain(), NOW)
                .is_ok()
        );
    }
}
