//! What the tests of all operations share: a world with one service, and people with queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, KeyPackage, Lifetime, MlsMessageOut, ProposalType, ProtocolVersion,
    UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use protocol::codec::{Opaque, decode_exact, encode};
use protocol::contact::{FriendshipToken, Ticket};
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::identity::{IDENTITY_BYTES, SEALED_IDENTITY_EXTENSION, WrappedLinkKey};
use protocol::crypto::label;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::{OVERHEAD_BYTES, SymmetricKey};
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::entry::{self, Entry, NumberedEntry};
use protocol::id::{LinkId, QueueId, Seq, TicketId};
use protocol::queue::{
    CreateQueue, Listen, ListenEvent, ListenReply, PublishedKeyPackage, TakeTickets, queue_id,
};
use protocol::time::Timestamp;
use store::{Entropy, MemoryBackend, Row, StorageKey, Store};
use zeroize::Zeroizing;

use crate::{Delivered, Error, Keys, Listener, Parcel, Policy, Queue};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000);

pub(crate) const POLICY: Policy = Policy {
    entries_max: 10_000,
    bytes_max: 64 << 20,
    key_packages_low: 1,
    ticket_share_percent: 50,
};

/// Entropy that counts: each draw another one, each run the same.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let block = protocol::crypto::sealed::hash("test entropy", &count);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) entropy: Counter,
    pub(crate) backend: Arc<MemoryBackend>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(POLICY)
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let key = StorageKey::from_bytes([7; 32]);
        let store = Store::new(
            Arc::<MemoryBackend>::clone(&backend),
            &key,
            Arc::new(Counter::default()),
        );
        let keys = Keys {
            ticket: SymmetricKey([8; 32]),
        };
        Self {
            queue: Queue::new(store, policy, keys),
            entropy: Counter::default(),
            backend,
        }
    }

    /// Everything that is stored.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.backend.rows()
    }

    pub(crate) fn create(&self, person: &Person) {
        let creation = person.creation(1);
        self.queue
            .create_queue(creation, &binding(1), NOW, &self.entropy)
            .unwrap();
    }

    /// A person with a queue and a ticket into it.
    pub(crate) fn person(&self, number: u8) -> (Person, Ticket, TicketId) {
        let person = Person::new(number);
        self.create(&person);
        let (ticket, id) = self.ticket(&person);
        (person, ticket, id)
    }

    pub(crate) fn ticket(&self, person: &Person) -> (Ticket, TicketId) {
        let request = TakeTickets {
            queue: person.queue(),
            count: 1,
        };
        let request = Signed::new(request, &person.key, &binding(1));
        let reply = self
            .queue
            .take_tickets(request, &binding(1), &self.entropy)
            .unwrap();
        (reply.tickets[0], reply.ids[0])
    }
}

/// The link of all parcels of a test that needs one only.
pub(crate) const LINK: LinkId = LinkId([3; 16]);

impl World {
    pub(crate) fn listen(
        &self,
        person: &Person,
        from: u64,
    ) -> Result<(Listener, ListenReply), Error> {
        let request = Listen {
            queue: person.queue(),
            from: Seq(from),
        };
        let request = Signed::new(request, &person.key, &binding(1));
        self.queue.listen(request, &binding(1), &self.entropy)
    }

    /// Deliver on [`LINK`].
    pub(crate) fn deliver(&self, seq: u64, tickets: &[Ticket], payload: &[u8]) -> Delivered {
        let parcel = Parcel {
            link: LINK,
            seq: Seq(seq),
            tickets,
            payload,
        };
        self.queue.deliver(&parcel, &self.entropy).unwrap()
    }

    /// What the reader finds in its queue, until it has caught up.
    pub(crate) fn read(&self, reader: &mut Reader<'_>) -> Vec<(TicketId, Vec<u8>)> {
        let (listener, _) = self.listen(reader.person, 0).unwrap();
        let mut items = Vec::new();
        loop {
            let batch = self.queue.entries(&listener, reader.next).unwrap();
            if batch.is_empty {
                return items;
            }
            items.extend(reader.open(&batch.event));
            assert_eq!(reader.next, batch.next);
        }
    }
}

/// The client's end of a queue.
pub(crate) struct Reader<'p> {
    pub(crate) person: &'p Person,
    pub(crate) next: Seq,
    pub(crate) refreshes: Vec<Seq>,
    ratchet: Ratchet,
}

impl<'p> Reader<'p> {
    pub(crate) fn new(person: &'p Person) -> Self {
        let ratchet = Ratchet::new(person.ratchet_seed.clone());
        Self {
            person,
            next: Seq(0),
            refreshes: Vec::new(),
            ratchet,
        }
    }

    fn open(&mut self, event: &[u8]) -> Vec<(TicketId, Vec<u8>)> {
        let ListenEvent::Entries(batch) = decode_exact(event).unwrap() else {
            panic!("not entries");
        };
        let mut items = Vec::new();
        for NumberedEntry { seq, entry } in batch.entries {
            assert_eq!(seq, self.next, "sequence numbers are dense");
            self.next = seq.next();
            match entry {
                Entry::Item(sealed) => {
                    let item = self.ratchet.advance().open(seq, sealed.as_slice()).unwrap();
                    let item: entry::Delivered = decode_exact(&item).unwrap();
                    items.push((item.ticket, item.payload.into_vec()));
                }
                Entry::Refresh(sealed) => {
                    self.refreshes.push(seq);
                    let place = seq.0.to_be_bytes();
                    let open_key = &self.person.open_key;
                    let opened = open_key.open(label::RATCHET_REFRESH_SEALED, &place, &sealed);
                    let mut randomness = Zeroizing::new([0; 32]);
                    randomness.copy_from_slice(&opened.unwrap());
                    self.ratchet.refresh(&randomness);
                }
            }
        }
        items
    }
}

/// One connection; others have another exporter value.
pub(crate) fn binding(exporter: u8) -> Binding {
    Binding {
        domain: "a.example".parse().unwrap(),
        exporter: [exporter; 32],
    }
}

pub(crate) struct Person {
    pub(crate) key: PrivateKey,
    pub(crate) open_key: OpenKey,
    pub(crate) ratchet_seed: SymmetricKey,
    pub(crate) friendship_token: FriendshipToken,
}

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            key: PrivateKey::from_seed(&[number; 32]),
            open_key: OpenKey::from_seed([number; 32]),
            ratchet_seed: SymmetricKey([number; 32]),
            friendship_token: FriendshipToken([number; 32]),
        }
    }

    pub(crate) fn queue(&self) -> QueueId {
        queue_id(&self.key.public_key())
    }

    pub(crate) fn create_queue(&self) -> CreateQueue {
        CreateQueue {
            public_key: self.key.public_key(),
            seal_key: self.open_key.seal_key().unwrap(),
            ratchet_seed: self.ratchet_seed.clone(),
            friendship_token_hash: self.friendship_token.hash(),
        }
    }

    /// Signed for the connection with this exporter value.
    pub(crate) fn creation(&self, exporter: u8) -> Signed<CreateQueue> {
        Signed::new(self.create_queue(), &self.key, &binding(exporter))
    }
}

/// How a KeyPackage is made.
pub(crate) struct Offer {
    pub(crate) days: u64,
    pub(crate) identity_bytes: usize,
    pub(crate) pseudonym_bytes: usize,
    pub(crate) other_extension: Option<u16>,
    pub(crate) package_extension: Option<u16>,
    pub(crate) ciphersuite: Ciphersuite,
    pub(crate) is_capable: bool,
    pub(crate) is_last_resort: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            days: 30,
            identity_bytes: IDENTITY_BYTES + OVERHEAD_BYTES,
            pseudonym_bytes: 16,
            other_extension: None,
            package_extension: None,
            ciphersuite: Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
            is_capable: true,
            is_last_resort: false,
        }
    }
}

/// A KeyPackage and the time it was made at. openmls asks the clock of the machine, so its packages
/// are of the present, whatever the tests' time is.
pub(crate) fn published(offer: &Offer) -> (PublishedKeyPackage, Timestamp) {
    let provider = OpenMlsRustCrypto::default();
    let signer = SignatureKeyPair::new(offer.ciphersuite.signature_algorithm()).unwrap();
    let credential = BasicCredential::new(vec![5; offer.pseudonym_bytes]).into();
    let credential = CredentialWithKey {
        credential,
        signature_key: signer.public().into(),
    };
    let lifetime = Lifetime::new(offer.days * 86_400);
    let now = Timestamp(lifetime.not_before() + 3_600);
    let unknown = |kind, bytes| Extension::Unknown(kind, UnknownExtension(bytes));
    let identity = Opaque::<10_000>::new(vec![6; offer.identity_bytes]).unwrap();
    let mut in_leaf = Vec::new();
    if offer.identity_bytes > 0 {
        in_leaf.push(unknown(SEALED_IDENTITY_EXTENSION, encode(&identity)));
    }
    in_leaf.extend(offer.other_extension.map(|kind| unknown(kind, vec![1])));
    let in_package = offer.package_extension.map(|kind| unknown(kind, vec![1]));
    let mut supported = vec![ExtensionType::LastResort, ExtensionType::Unknown(0xf4e2)];
    if offer.is_capable {
        supported.push(ExtensionType::Unknown(SEALED_IDENTITY_EXTENSION));
    }
    let capabilities = Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[offer.ciphersuite]),
        Some(&supported),
        Some(&[ProposalType::SelfRemove]),
        Some(&[CredentialType::Basic]),
    );
    let mut builder = KeyPackage::builder()
        .key_package_lifetime(lifetime)
        .leaf_node_capabilities(capabilities)
        .leaf_node_extensions(Extensions::from_vec(in_leaf).unwrap())
        .key_package_extensions(Extensions::from_vec(in_package.into_iter().collect()).unwrap());
    if offer.is_last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder
        .build(offer.ciphersuite, &provider, &signer, credential)
        .unwrap();
    let message = encode(&MlsMessageOut::from(bundle.into_key_package()));
    let published = PublishedKeyPackage {
        key_package: Opaque::new(message).unwrap(),
        link_key: WrappedLinkKey([1; 60]),
        ticket: Ticket([2; 64]),
    };
    (published, now)
}
