//! create_group — spec/delivery.md#create_group

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{CreateGroup, CreateGroupReply};
use protocol::error::Rule;
use protocol::id::Epoch;
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::group::{Changes, Genesis, Part, Rules, StateKey};
use crate::tables::{Accepted, Group, History, KeyHash, RequestHash};
use crate::{Delivery, operation};

impl Delivery {
    /// Create a group in epoch 0 with its creator as the only member. [DS-CREATE-1]
    ///
    /// # Errors
    /// `Invalid` if GroupInfo or tree are not those of such a group, `Denied` if the creator's leaf
    /// did not sign the request, `Exists` if the id is taken by another one.
    pub fn create_group(
        &self,
        request: Signed<CreateGroup>,
        binding: &Binding,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<CreateGroupReply, Error> {
        self.check_domain(binding)?;
        let hash = RequestHash::of(&request);
        let rules = Rules::new(&self.policy, now);
        let genesis = Genesis::verify(
            request.unverified(),
            &rules,
            &self.keys.credential,
            &self.crypto,
        )?;
        let request = request
            .verify(&genesis.creator, binding)
            .map_err(|_| Error::Denied)?;
        let members = StateKey {
            group: request.group,
            epoch: Epoch(0),
            key: &request.state_key,
        };
        let mut changes = Changes::first(&members, entropy);
        let roster = genesis.roster(&request, now).encode();
        changes.put(Part::Roster, None, &roster, entropy);
        changes.put(Part::State, None, &genesis.state.encode(), entropy);
        if changes.bytes() > rules.state_bytes_max {
            return Err(Rule::GroupSize.into());
        }
        let created = Accepted {
            request: hash,
            key: genesis.creator,
        };
        let key = KeyHash::of(&request.group, &request.state_key);
        self.store
            .transact(&self.partition(&request.group), operation(entropy), |tx| {
                if let Some(group) = Group::load_any(tx)? {
                    let is_this =
                        group.deleted.is_none() && History::load(tx)?.created.request == hash;
                    return if is_this {
                        Ok(CreateGroupReply {})
                    } else {
                        Err(Error::Exists)
                    };
                }
                let mut group = Group::new(&request.group, key);
                let mut history = History::new(created);
                changes.write(tx, &mut group, &mut history)?;
                group.save(tx)?;
                history.save(tx)?;
                Ok(CreateGroupReply {})
            })
    }
}
