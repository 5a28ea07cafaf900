//! Every label that separates one use of a key or hash from another. Spec: registry.md#labels.

/// Labels: name, then the bytes that are signed, hashed or fed to a key derivation.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// All of them, for the test that they are distinct and in the registry.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

labels! {
    /// TLS exporter (RFC 8446 section 7.5) that binds signatures to a connection.
    EXPORTER = "EXPORTER-hearth-1.0";
    /// Signature of a request.
    REQUEST = "hearth 1.0 Request";
    /// A root credential's self-signature.
    ROOT_CREDENTIAL = "hearth 1.0 RootCredential";
    /// An intermediate credential's self-signature.
    INTERMEDIATE_CREDENTIAL_SELF = "hearth 1.0 IntermediateCredential Self";
    /// The root's signature of an intermediate credential.
    INTERMEDIATE_CREDENTIAL = "hearth 1.0 IntermediateCredential";
    /// A client credential's self-signature.
    CLIENT_CREDENTIAL_SELF = "hearth 1.0 ClientCredential Self";
    /// The intermediate's signature of a client credential.
    CLIENT_CREDENTIAL = "hearth 1.0 ClientCredential";
    /// A delivery credential's self-signature.
    DELIVERY_CREDENTIAL_SELF = "hearth 1.0 DeliveryCredential Self";
    /// The intermediate's signature of a delivery credential.
    DELIVERY_CREDENTIAL = "hearth 1.0 DeliveryCredential";
    /// A credential's fingerprint.
    FINGERPRINT = "hearth 1.0 Fingerprint";
    /// A client's signature of one of its leaf signature keys.
    LEAF_IDENTITY = "hearth 1.0 LeafIdentity";
    /// A username key's signature of a connection package.
    CONNECTION_PACKAGE = "hearth 1.0 ConnectionPackage";
    /// HPKE info of a connection request.
    CONNECTION_REQUEST = "hearth 1.0 ConnectionRequest";
    /// A client's signature inside a connection request.
    CONNECTION_REQUEST_CONTENT = "hearth 1.0 ConnectionRequest Content";
    /// A client's signature inside a connection acceptance.
    CONNECTION_ACCEPTANCE_CONTENT = "hearth 1.0 ConnectionAcceptance Content";
    /// The key of invitations to connection groups, from the reply key of a connection request.
    CONNECTION_INVITATION = "hearth 1.0 ConnectionInvitation";
    /// Salt of the username hash.
    USERNAME_HASH = "hearth 1.0 UsernameHash";
    /// A queue's id from its public key.
    QUEUE_ID = "hearth 1.0 QueueId";
    /// What a queue knows of its friendship token.
    FRIENDSHIP_TOKEN = "hearth 1.0 FriendshipToken";
    /// Message key of the queue ratchet.
    RATCHET_MESSAGE = "hearth 1.0 Ratchet Message";
    /// Next chain key of the queue ratchet.
    RATCHET_CHAIN = "hearth 1.0 Ratchet Chain";
    /// Mixing fresh randomness into the queue ratchet.
    RATCHET_REFRESH = "hearth 1.0 Ratchet Refresh";
    /// HPKE info of a ratchet refresh.
    RATCHET_REFRESH_SEALED = "hearth 1.0 Ratchet Refresh Sealed";
    /// MLS exporter: the group state key of an epoch.
    GROUP_STATE_KEY = "hearth 1.0 GroupStateKey";
    /// MLS exporter: the key that carries the identity key to joiners.
    IDENTITY_KEY_WRAP = "hearth 1.0 IdentityKey Wrap";
    /// What the delivery service sends to members, from the group state key.
    FAN_OUT = "hearth 1.0 FanOut";
    /// The delivery service's signature of a receipt.
    RECEIPT = "hearth 1.0 Receipt";
    /// The hash chain of a group's events.
    GROUP_CHAIN = "hearth 1.0 Group Chain";
    /// A member's signature of a complaint.
    COMPLAINT = "hearth 1.0 Complaint";
    /// The key that seals a group's parts at rest, from the group state key of the epoch that it begins in.
    GROUP_DATA_KEY = "hearth 1.0 Group DataKey";
    /// What wraps the data key for the members of an epoch, from the group state key.
    GROUP_DATA_KEY_WRAP = "hearth 1.0 Group DataKey Wrap";
    /// The key that seals a group's roster at rest, from the data key.
    GROUP_ROSTER = "hearth 1.0 Group Roster";
    /// The key that seals a group's MLS state at rest, from the data key.
    GROUP_STATE = "hearth 1.0 Group State";
    /// What the delivery service recognises an epoch's group state key by.
    GROUP_STATE_KEY_HASH = "hearth 1.0 GroupStateKey Hash";
    /// What a service recognises a repeated request by.
    REQUEST_HASH = "hearth 1.0 Request Hash";
    /// The server's key that seals tickets, from the operator's storage key.
    TICKET_KEY = "hearth 1.0 TicketKey";
    /// The server's key that authenticates challenges, from the operator's storage key.
    CHALLENGE_KEY = "hearth 1.0 ChallengeKey";
    /// The seed of the delivery service's signature key, from the operator's storage key.
    DELIVERY_KEY = "hearth 1.0 DeliveryKey";
    /// A group's pseudonym towards one destination, from the operator's storage key.
    LINK_ID = "hearth 1.0 LinkId";
    /// The puzzle's seed.
    WORK_SEED = "hearth 1.0 Work Seed";
    /// The puzzle's difficulty condition.
    WORK_TARGET = "hearth 1.0 Work Target";
    /// The puzzle's pre-check.
    WORK_STAMP = "hearth 1.0 Work Stamp";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_distinct() {
        assert_eq!(ALL.iter().collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
