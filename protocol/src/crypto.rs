//! Which construction is for what. Spec: crypto.md.
//!
//! | need | construction | module |
//! |---|---|---|
//! | signatures | Ed25519, strict verification (RFC 8032) | [`signature`] |
//! | a request that cannot be replayed elsewhere | signature over a TLS exporter value | [`signed`] |
//! | symmetric sealing | AES-256-GCM, random nonce in front | [`sealed`] |
//! | key derivation | HKDF-SHA256 (RFC 5869) | [`sealed`] |
//! | sealing to a public key | HPKE base mode, X25519, HKDF-SHA256, AES-128-GCM (RFC 9180) | [`hpke`] |
//! | a commit's path, judged | MLS's DeriveSecret and EncryptWithLabel (RFC 9420) | `mls` |
//! | queue items at rest | hash ratchet, refreshed through HPKE | [`ratchet`] |
//! | who signed up | credential chain | [`credential`] |
//! | who is behind a leaf | sealed identity | [`identity`] |
//! | sign-up floods | Argon2id puzzle with a cheap pre-check | [`work`] |
//!
//! Every label is in [`label`].

pub mod credential;
pub mod delivery_credential;
pub mod hpke;
pub mod identity;
pub mod label;
pub(crate) mod mls;
pub mod ratchet;
pub mod sealed;
pub mod signature;
pub mod signed;
pub mod work;
