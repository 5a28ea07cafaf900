//! create_group — spec/delivery.md#create_group

use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{CreateGroup, CreateGroupReply};
use protocol::error::Rule;
use protocol::id::Epoch;
use protocol::time::Timestamp;
use store::Entropy;

use crate::error::Error;
use crate::group::{Genesis, Place, Rules};
use crate::tables::{Accepted, Group, History, KeyHash, RequestHash};
use crate::{Delivery, nonce, operation};

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
        let hash = RequestHash::of(request.body());
        let rules = Rules::new(&self.policy, now);
        let genesis = Genesis::verify(request.unverified(), &rules, &self.crypto)?;
        let request = request
            .verify(&genesis.creator, binding)
            .map_err(|_| Error::Denied)?;
        let place = Place {
            group: request.group,
            epoch: Epoch(0),
        };
        let roster = genesis
            .roster(&request)
            .seal(&request.state_key, place, nonce(entropy));
        let state = genesis
            .state
            .seal(&request.state_key, place, nonce(entropy));
        if state.0.len() > rules.state_bytes_max {
            return Err(Rule::GroupSize.into());
        }
        let created = Accepted {
            request: hash,
            key: genesis.creator,
        };
        let key = KeyHash::of(&request.group, &request.state_key);
        self.store
            .transact(&self.partition(&request.group), operation(entropy), |tx| {
                if Group::load(tx)?.is_some() {
                    let is_this = History::load(tx)?.created.request == hash;
                    return if is_this {
                        Ok(CreateGroupReply {})
                    } else {
                        Err(Error::Exists)
                    };
                }
                let mut group = Group::new(key);
                group.save_roster(tx, &roster)?;
                Group::save_state(tx, &state)?;
                group.save(tx)?;
                History::new(created).save(tx)?;
                Ok(CreateGroupReply {})
            })
    }
}
