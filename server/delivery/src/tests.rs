//! The service over the memory backend, with real MLS clients.

mod access;
mod client;
mod complain;
mod direct;
mod garbler;
mod invalid_commit;
mod invalid_create;
mod join;
mod outbox;
mod proof;
mod proposals;
mod races;
mod receipts;
mod removals;
mod renewal;
mod requests;
mod roles;
mod state;
mod story;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::codec::decode_exact;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::signed::Binding;
use protocol::delivery::{
    CommitGroup, CommitGroupReply, FetchWelcomeState, GroupState, SendMessageReply,
};
use protocol::id::GroupId;
use protocol::time::Timestamp;
use store::{MemoryBackend, StorageKey, Store};

use crate::tests::client::{Client, Counter, delivery_credential, delivery_key, now};
use crate::{Delivery, Error, Keys, Outbox, Policy};

const GROUP: GroupId = GroupId([7; 16]);

const POLICY: Policy = Policy {
    members_max: 10,
    state_bytes_max: 1 << 20,
    past_state_seconds: 30 * 86_400,
    undo_seconds: 600,
    undo_quorum_percent: 50,
    inactive_months: 6,
    parcel_seconds: 30 * 86_400,
    parcels_max: 100,
};

/// A server, and how requests reach it.
struct World {
    backend: Arc<MemoryBackend>,
    delivery: Delivery,
    binding: Binding,
    entropy: Counter,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self::with(POLICY)
    }

    fn with(policy: Policy) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let binding = Binding {
            domain: "here.example".parse().unwrap(),
            exporter: [5; 32],
        };
        let delivery = delivery(&backend, policy);
        Self {
            backend,
            delivery,
            binding,
            entropy: Counter,
            now: now(),
        }
    }

    /// Another process on the same database.
    fn restart(&mut self) {
        self.backend = Arc::new(self.backend.after_crash());
        self.delivery = delivery(&self.backend, POLICY);
    }

    /// A new process that allows something else.
    fn set_policy(&mut self, policy: Policy) {
        self.delivery = delivery(&self.backend, policy);
    }

    fn create(&self, creator: &mut Client) -> Result<(), Error> {
        let request = creator.create(GROUP);
        let request = creator.sign(request, &self.binding);
        self.delivery
            .create_group(request, &self.binding, self.now, &self.entropy)?;
        Ok(())
    }

    fn commit(
        &self,
        by: &Client,
        request: &CommitGroup,
    ) -> Result<(CommitGroupReply, Outbox), Error> {
        let request = by.sign(request.clone(), &self.binding);
        self.delivery
            .commit_group(request, &self.binding, self.now, &self.entropy)
    }

    fn send(&self, by: &mut Client, text: &[u8]) -> Result<(SendMessageReply, Outbox), Error> {
        let request = by.message(text);
        let request = by.sign(request, &self.binding);
        self.delivery
            .send_message(request, &self.binding, self.now, &self.entropy)
    }

    /// Deliver everything; what reached a client, in order.
    fn deliver(&self, to: &[&Client]) -> Vec<Vec<Vec<u8>>> {
        let mut inboxes = vec![Vec::new(); to.len()];
        for outbox in self.delivery.pending(None, 100).unwrap() {
            let parcels = self.delivery.parcels(outbox, None, 100).unwrap().parcels;
            for parcel in &parcels {
                for (client, inbox) in to.iter().zip(&mut inboxes) {
                    let is_theirs = client.ticket.domain == parcel.domain;
                    if is_theirs && parcel.tickets.contains(&client.ticket.ticket) {
                        inbox.push(parcel.payload.clone());
                    }
                }
            }
            let done: Vec<_> = parcels.iter().map(|parcel| (parcel.key, vec![])).collect();
            self.delivery.settle(outbox, &done, &self.entropy).unwrap();
        }
        inboxes
    }

    /// Have members add others, who join.
    fn add(&self, by: &mut Client, members: &mut [&mut Client], others: &mut [&mut Client]) {
        let joining: Vec<&Client> = others.iter().map(|other| &**other).collect();
        let request = by.add(&joining);
        self.commit(by, &request).unwrap();
        by.merge();
        let everybody: Vec<&Client> = members
            .iter()
            .map(|member| &**member)
            .chain(others.iter().map(|o| &**o))
            .collect();
        let mut inboxes = self.deliver(&everybody).into_iter();
        for (member, inbox) in members.iter_mut().zip(&mut inboxes) {
            inbox
                .iter()
                .for_each(|payload| drop(member.receive(payload)));
        }
        for (other, inbox) in others.iter_mut().zip(&mut inboxes) {
            let fetch = other.welcome_request(by);
            let state = self.fetch(fetch).unwrap();
            assert_eq!(inbox.len(), 1, "a joiner gets the Welcome and nothing else");
            other.join(&inbox[0], &state);
        }
    }

    /// A joiner's state, window by window.
    fn fetch(&self, mut request: FetchWelcomeState) -> Result<GroupState, Error> {
        let mut whole = Vec::new();
        loop {
            request.from = u32::try_from(whole.len()).unwrap();
            let reply = self
                .delivery
                .fetch_welcome_state(request.clone(), self.now)?;
            whole.extend_from_slice(reply.window.bytes.as_slice());
            if whole.len() == usize::try_from(reply.window.total).unwrap() {
                return Ok(decode_exact(&whole).unwrap());
            }
        }
    }

    /// The whole database.
    fn rows(&self) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        let rows = self.backend.rows().into_iter();
        rows.map(|row| (row.key.as_ref().to_vec(), row.value))
            .collect()
    }
}

fn delivery(backend: &Arc<MemoryBackend>, policy: Policy) -> Delivery {
    let storage_key = StorageKey::from_bytes([3; 32]);
    let store = Store::new(Arc::clone(backend) as _, &storage_key, Arc::new(Counter));
    let keys = Keys {
        link: SymmetricKey([4; 32]),
        signing: delivery_key(),
        credential: delivery_credential(),
    };
    Delivery::new(store, "here.example".parse().unwrap(), policy, keys)
}

fn client(number: u16) -> Client {
    Client::new(number, "here.example")
}

/// Two members, in epoch 1, with nothing left to deliver.
fn pair() -> (World, Client, Client) {
    let world = World::new();
    let (mut a, mut b) = (client(1), client(2));
    world.create(&mut a).unwrap();
    world.add(&mut a, &mut [], &mut [&mut b]);
    (world, a, b)
}
