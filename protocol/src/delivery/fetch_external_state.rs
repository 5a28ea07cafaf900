//! fetch_external_state — spec/delivery.md#fetch_external_state

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use crate::codec::Opaque;
use crate::crypto::sealed::SymmetricKey;
use crate::delivery::StateWindow;
use crate::id::{Epoch, GroupId};
use crate::limit::GROUP_INFO_BYTES_MAX;
use crate::receipt::Receipt;

/// Fetch what an external commit needs: the present state. Who has the state key of any epoch since
/// the last change of the group's data key, and for a while of one before, may have it.
///
/// ```text
/// struct { GroupId group; opaque state_key[32]; uint32 from; } FetchExternalState;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchExternalState {
    /// The group.
    pub group: GroupId,
    /// The MLS exporter of an epoch that the sender was in.
    pub state_key: SymmetricKey,
    /// Where the window of the encoded `GroupState` begins.
    pub from: u32,
}

/// A window into the present state. If the epoch is another than that of an earlier window, the
/// fetch begins anew.
///
/// ```text
/// struct { Epoch epoch; Receipt receipt; opaque group_info<V>; StateWindow window; } FetchExternalStateReply;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct FetchExternalStateReply {
    /// The group's epoch.
    pub epoch: Epoch,
    /// Of the group's last event.
    pub receipt: Receipt,
    /// As the last committer signed it, with `external_pub`.
    pub group_info: Opaque<GROUP_INFO_BYTES_MAX>,
    /// The state.
    pub window: StateWindow,
}
