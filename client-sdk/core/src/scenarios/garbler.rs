//! A member that encrypts the secrets of a commit's path to nonsense for those whom it picks.
//!
//! Everything else about the commit is right: signatures, hashes, tags, GroupInfo. No server can see
//! what is wrong with it, and those who were not picked follow it.

use std::collections::BTreeSet;

use openmls::prelude::{MlsGroup, OpenMlsCrypto, OpenMlsProvider, PublicGroup};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
    HpkeKeyPair, KemOutput, SignatureScheme,
};
use protocol::codec::{Opaque, encode};
use protocol::crypto::label;
use protocol::delivery::{CommitGroup, SealedIdentityKey, WelcomeForAdded};
use protocol::id::{Epoch, GroupId, LeafIndex};
use tls_codec::{SecretVLBytes, Serialize};

use crate::group::exported;
use crate::group::leaf::signer;
use crate::state::{CommitState, JobState, SentCommit};
use crate::testing::{Person, World};
use crate::tx::Tx;
use crate::{Error, JobId};

/// Whom a commit is to lock out.
pub(crate) enum Victims {
    Everybody,
    Leaves(Vec<LeafIndex>),
    /// The leaves, and the nodes of the tree that have no others below them.
    Subtree(Vec<LeafIndex>),
}

impl Person {
    /// Commit new keys of ours, with nonsense for the victims.
    pub(crate) fn garble(&mut self, world: &World, group: &GroupId, victims: &Victims) -> JobId {
        let made = self
            .core
            .transact(world.now, |tx| tx.garble(group, victims));
        made.unwrap()
    }
}

impl Tx<'_> {
    fn garble(&self, id: &GroupId, victims: &Victims) -> Result<JobId, Error> {
        let (group, mut mls) = (self.active_group(id)?, self.mls_group(id)?);
        let keys = self.keys_of(id, &mls, victims)?;
        let garbler = Garbler {
            real: self.crypto,
            keys,
        };
        let (provider, epoch) = (self.provider(), mls.epoch().as_u64());
        let bundle = mls
            .commit_builder()
            .force_self_update(true)
            .load_psks(provider.storage())
            .unwrap()
            .create_group_info(true)
            .use_ratchet_tree_extension(false)
            .build(provider.rand(), &garbler, &signer(&group.leaf_seed), |_| {
                true
            })
            .unwrap()
            .stage_commit(&provider)
            .unwrap();
        let pending = mls.pending_commit().unwrap();
        let next = pending.export_secret(provider.crypto(), label::GROUP_STATE_KEY, &[], 32);
        let (commit, _, group_info) = bundle.into_messages();
        let body = CommitGroup {
            group: *id,
            sender: LeafIndex(mls.own_leaf_index().u32()),
            state_key: self.state_key(id, Epoch(epoch))?,
            next_state_key: exported(next.unwrap())?,
            commit: opaque(&commit),
            group_info: opaque(&group_info.unwrap()),
            welcome: WelcomeForAdded {
                welcome: Opaque::default(),
            },
            added: Vec::new(),
            identity_key: SealedIdentityKey { sealed: [0; 60] },
        };
        let sent = SentCommit {
            epoch,
            body: encode(&body).into(),
            added: Vec::new(),
            last: 0,
        };
        let commit = CommitState {
            sent: Some(sent),
            ..CommitState::new()
        };
        self.add_job(&JobState::CommitGroup(commit), Some(id))
    }

    fn keys_of(
        &self,
        id: &GroupId,
        mls: &MlsGroup,
        victims: &Victims,
    ) -> Result<Option<BTreeSet<Vec<u8>>>, Error> {
        let (Victims::Leaves(leaves) | Victims::Subtree(leaves)) = victims else {
            return Ok(None);
        };
        let is_victim = |leaf: u32| leaves.contains(&LeafIndex(leaf));
        let members = mls.members();
        let victims_leaves = members.filter(|member| is_victim(member.index.u32()));
        let mut keys: BTreeSet<_> = victims_leaves.map(|member| member.encryption_key).collect();
        if matches!(victims, Victims::Subtree(_)) {
            let public = PublicGroup::load(self.provider().storage(), &group_id(id))?.unwrap();
            for (index, parent) in public.treesync().full_parents() {
                // Parents lie between the leaves: 0 between leaves 0 and 1, and so on.
                let node = 2 * index.u32() + 1;
                let level = node.trailing_ones();
                let first = node >> (level + 1) << level;
                if (first..first + (1 << level)).all(is_victim) {
                    // Behind its length.
                    keys.insert(encode(parent)[1..33].to_vec());
                }
            }
        }
        Ok(Some(keys))
    }
}

fn group_id(id: &GroupId) -> openmls::prelude::GroupId {
    openmls::prelude::GroupId::from_slice(&id.0)
}

fn opaque<const MAX: usize>(value: &impl Serialize) -> Opaque<MAX> {
    Opaque::new(value.tls_serialize_detached().unwrap()).unwrap()
}

/// The real cryptography, but for what is encrypted to certain keys.
struct Garbler<'a> {
    real: &'a RustCrypto,
    /// Absent for all.
    keys: Option<BTreeSet<Vec<u8>>>,
}

impl OpenMlsCrypto for Garbler<'_> {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let is_victim = self.keys.as_ref().is_none_or(|keys| keys.contains(pk_r));
        let nonsense = vec![0x55; ptxt.len()];
        let content = if is_victim { &nonsense } else { ptxt };
        self.real.hpke_seal(config, pk_r, info, aad, content)
    }

    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.real.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.real.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash_type: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.real.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(
        &self,
        hash_type: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.real.hmac(hash_type, key, message)
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.real.hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.real.hash(hash_type, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.real.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.real.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.real.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.real.verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.real.sign(alg, data, key)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.real.hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let real = self.real;
        real.hpke_setup_sender_and_export(config, pk_r, info, exporter_context, exporter_length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        let real = self.real;
        real.hpke_setup_receiver_and_export(
            config,
            enc,
            sk_r,
            info,
            exporter_context,
            exporter_length,
        )
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        self.real.derive_hpke_keypair(config, ikm)
    }
}
