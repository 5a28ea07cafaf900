//! request_group_id — spec/delivery.md#request_group_id

use protocol::delivery::RequestGroupIdReply;
use protocol::id::GroupId;
use store::Entropy;

use crate::Delivery;

impl Delivery {
    /// A random id, and who proposes and vouches in the group. Nothing is stored.
    #[must_use]
    pub fn request_group_id(&self, entropy: &dyn Entropy) -> RequestGroupIdReply {
        let mut group = GroupId([0; 16]);
        entropy.fill(&mut group.0);
        RequestGroupIdReply {
            group,
            delivery: self.keys.credential.clone(),
        }
    }
}
