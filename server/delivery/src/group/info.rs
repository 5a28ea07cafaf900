//! The GroupInfo that accompanies a new state.

use openmls::messages::group_info::{GroupInfo, VerifiableGroupInfo};
use openmls::prelude::{
    ConfirmationTag, Extensions, GroupContext, LeafNodeIndex, OpenMlsSignaturePublicKey,
    PublicGroup, RatchetTreeIn, Signature, SignatureScheme, Verifiable,
};
use openmls_rust_crypto::RustCrypto;
use protocol::codec::decode_exact;
use protocol::error::Rule;
use protocol::id::LeafIndex;
use tls_codec::{TlsDeserializeBytes, TlsSize};

use crate::group::outline::check_group_info;

/// A GroupInfo of which nothing is verified.
///
/// OpenMLS's own type keeps the signer and the confirmation tag to itself.
///
/// ```text
/// struct {
///     ProtocolVersion version; WireFormat wire_format = mls_group_info;
///     GroupContext group_context; Extension extensions<V>; MAC confirmation_tag;
///     uint32 signer; opaque signature<V>;
/// } MLSMessage;
/// ```
#[derive(TlsSize, TlsDeserializeBytes)]
pub(crate) struct InfoIn {
    _version: u16,
    _wire_format: u16,
    context: GroupContext,
    extensions: Extensions<GroupInfo>,
    tag: ConfirmationTag,
    signer: u32,
    signature: Signature,
}

impl InfoIn {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Rule> {
        check_group_info(bytes)?;
        decode_exact(bytes).map_err(|_| Rule::WireFormat)
    }

    pub(crate) fn context(&self) -> &GroupContext {
        &self.context
    }

    /// Check that `signer` signed it, and that it describes `group` exactly. [DS-COMMIT-4]
    pub(crate) fn verify(
        self,
        group: &PublicGroup,
        signer: LeafIndex,
        crypto: &RustCrypto,
    ) -> Result<(), Rule> {
        if self.signer != signer.0
            || self.context != *group.group_context()
            || self.tag != *group.confirmation_tag()
        {
            return Err(Rule::GroupInfo);
        }
        let leaf = group
            .leaf(LeafNodeIndex::new(signer.0))
            .ok_or(Rule::GroupInfo)?;
        let key = OpenMlsSignaturePublicKey::from_signature_key(
            leaf.signature_key().clone(),
            SignatureScheme::ED25519,
        );
        self.into_verifiable()
            .verify(crypto, &key)
            .map_err(|_| Rule::GroupInfo)?;
        Ok(())
    }

    /// For OpenMLS to verify with the tree.
    pub(crate) fn into_verifiable(self) -> VerifiableGroupInfo {
        let signer = LeafNodeIndex::new(self.signer);
        VerifiableGroupInfo::new(
            self.context,
            self.extensions,
            self.tag,
            signer,
            self.signature,
        )
    }
}

/// A tree of which nothing is verified.
pub(crate) fn decode_tree(bytes: &[u8]) -> Result<RatchetTreeIn, Rule> {
    decode_exact(bytes).map_err(|_| Rule::WireFormat)
}
