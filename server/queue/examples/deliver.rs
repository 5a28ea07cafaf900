//! What a delivery costs: `cargo run --release -p queue --example deliver [-- RECIPIENTS [SIZE]..]`.
//!
//! Creates queues in a RocksDB store in a temporary directory, with fsync, delivers parcels to
//! groups of several sizes from one thread, and drains the queues. Prints CPU time of the whole
//! process, user and system, and wall time. RECIPIENTS is the number of deliveries per group size,
//! a multiple of 1,000.

#![expect(clippy::print_stdout, reason = "it prints figures")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use protocol::contact::Ticket;
use protocol::crypto::hpke::OpenKey;
use protocol::crypto::sealed::{SymmetricKey, hash};
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::id::{LinkId, QueueId, Seq};
use protocol::queue::{CreateQueue, Listen, TakeTickets};
use protocol::time::Timestamp;
use queue::{Keys, Parcel, Policy, Queue};
use store::{Backend, Entropy, MemoryBackend, StorageKey, Store};
use store_rocksdb::{RocksBackend, RocksOptions};

/// The node's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUEUES: u64 = 1_000;
/// How many conversations a member has.
const TICKETS: u16 = 8;
/// A short message, as the delivery service hands it over.
const PAYLOAD_BYTES: usize = 400;
/// Linux reports CPU time in these.
const TICKS_PER_SECOND: u64 = 100;

/// Unpredictable enough to measure with, and cheap as a node's buffered entropy is.
struct Fast(AtomicU64);

impl Entropy for Fast {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            let mut mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            for (out, byte) in chunk.iter_mut().zip((mixed ^ (mixed >> 27)).to_be_bytes()) {
                *out = byte;
            }
        }
    }
}

struct Member {
    key: PrivateKey,
    queue: QueueId,
    tickets: Vec<Ticket>,
}

struct Bench {
    queue: Queue,
    entropy: Fast,
    binding: Binding,
    members: Vec<Member>,
}

/// CPU time of this process and the time on the wall.
struct Mark {
    cpu: Duration,
    wall: Instant,
}

impl Mark {
    fn now() -> Result<Self, Box<dyn Error>> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no such field")?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |at: usize| -> Result<u64, Box<dyn Error>> {
            Ok(fields.get(at).ok_or("no such field")?.parse()?)
        };
        let milliseconds = (ticks(11)? + ticks(12)?) * 1_000 / TICKS_PER_SECOND;
        Ok(Self {
            cpu: Duration::from_millis(milliseconds),
            wall: Instant::now(),
        })
    }

    fn report(&self, what: &str, count: u64) -> Result<(), Box<dyn Error>> {
        let now = Self::now()?;
        let (cpu, wall) = (now.cpu - self.cpu, now.wall - self.wall);
        let items = count as f64;
        println!(
            "{what:<30} {count:>8} items  {:>7.2} us CPU each  {:>9.0} items/s",
            cpu.as_secs_f64() * 1e6 / items,
            items / wall.as_secs_f64(),
        );
        Ok(())
    }
}

impl Bench {
    fn new(store: Store) -> Result<Self, Box<dyn Error>> {
        let policy = Policy {
            entries_max: 1_000_000,
            bytes_max: 1 << 40,
            key_packages_low: 10,
            ticket_share_percent: 50,
        };
        let keys = Keys {
            ticket: SymmetricKey([1; 32]),
        };
        let binding = Binding {
            domain: "localhost".parse()?,
            exporter: [2; 32],
        };
        let queue = Queue::new(store, policy, keys);
        let entropy = Fast(AtomicU64::new(0));
        let mut bench = Self {
            queue,
            entropy,
            binding,
            members: Vec::new(),
        };
        for number in 0..QUEUES {
            bench.members.push(bench.create(number)?);
        }
        Ok(bench)
    }

    fn create(&self, number: u64) -> Result<Member, Box<dyn Error>> {
        let seed = hash("seed", &number.to_be_bytes());
        let key = PrivateKey::from_seed(&seed);
        let request = CreateQueue {
            public_key: key.public_key(),
            seal_key: OpenKey::from_seed(seed).seal_key()?,
            ratchet_seed: SymmetricKey(seed),
            friendship_token_hash: seed,
        };
        let request = Signed::new(request, &key, &self.binding);
        let reply = self
            .queue
            .create_queue(request, &self.binding, Timestamp(0), &self.entropy)?;
        let request = TakeTickets {
            queue: reply.queue,
            count: TICKETS,
        };
        let request = Signed::new(request, &key, &self.binding);
        let tickets = self
            .queue
            .take_tickets(request, &self.binding, &self.entropy)?
            .tickets;
        Ok(Member {
            key,
            queue: reply.queue,
            tickets,
        })
    }

    /// Deliver to groups of `size`, so that every queue is in one group; in several conversations
    /// of these members, each by tickets of its own, in turn.
    fn deliver(
        &self,
        size: usize,
        conversations: u64,
        seqs: Range<u64>,
    ) -> Result<u64, Box<dyn Error>> {
        let ticket = |conversation: u64| {
            let at = usize::try_from(conversation).unwrap_or_default();
            move |member: &Member| member.tickets.get(at).copied()
        };
        let tickets: Vec<Vec<Ticket>> = (0..conversations)
            .map(|conversation| {
                self.members
                    .iter()
                    .filter_map(ticket(conversation))
                    .collect()
            })
            .collect();
        let payload = [7; PAYLOAD_BYTES];
        let mut count = 0;
        for (seq, tickets) in seqs.zip(tickets.iter().cycle()) {
            for (tickets, group) in tickets.chunks(size).zip(0_u64..) {
                let names = [size as u64, group, conversations, seq % conversations];
                let names = hash("link", &names.map(u64::to_be_bytes).concat());
                let mut link = LinkId([0; 16]);
                link.0.copy_from_slice(names.split_at(16).0);
                let parcel = Parcel {
                    link,
                    seq: Seq(seq),
                    tickets,
                    payload: &payload,
                };
                let delivered = self.queue.deliver(&parcel, &self.entropy)?;
                if delivered.wake.len() != tickets.len() {
                    return Err("not everybody was served".into());
                }
                count += tickets.len() as u64;
            }
        }
        Ok(count)
    }

    /// Read all queues to their ends, acknowledging each batch if so wanted.
    fn drain(&self, acknowledge: bool) -> Result<u64, Box<dyn Error>> {
        let mut count = 0;
        for member in &self.members {
            let request = Listen {
                queue: member.queue,
                from: Seq(0),
            };
            let request = Signed::new(request, &member.key, &self.binding);
            let (listener, _) = self.queue.listen(request, &self.binding, &self.entropy)?;
            let mut next = Seq(0);
            loop {
                let batch = self.queue.entries(&listener, next)?;
                if batch.is_empty {
                    break;
                }
                count += batch.next.0 - next.0;
                next = batch.next;
                if acknowledge {
                    self.queue.ack(&listener, next, &self.entropy)?;
                }
            }
        }
        Ok(count)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let recipients: u64 = arguments
        .next()
        .map_or(Ok(200_000), |count| count.parse())?;
    let mut sizes = arguments
        .map(|size| size.parse())
        .collect::<Result<Vec<_>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![10, 100, 1_000];
    }
    let directory = tempfile::tempdir()?;
    let backend = RocksBackend::open(directory.path(), queue::SPACES, RocksOptions::default())?;
    println!("RocksDB, with fsync");
    measure(Arc::new(backend), recipients, &sizes)?;
    println!("in memory: what is left without the database");
    measure(
        Arc::new(MemoryBackend::new()),
        recipients.min(100_000),
        &[1_000],
    )
}

fn measure(
    backend: Arc<dyn Backend>,
    recipients: u64,
    sizes: &[usize],
) -> Result<(), Box<dyn Error>> {
    let nonces = Arc::new(Fast(AtomicU64::new(1 << 32)));
    let store = Store::new(backend, &StorageKey::from_bytes([3; 32]), nonces);
    let mark = Mark::now()?;
    let bench = Bench::new(store)?;
    mark.report("create", QUEUES)?;
    let mark = Mark::now()?;
    bench.deliver(1_000, 1, 0..1)?;
    mark.report("first item of each queue", QUEUES)?;
    let seqs = 1..1 + recipients / QUEUES;
    for size in sizes {
        let mark = Mark::now()?;
        let count = bench.deliver(*size, 1, seqs.clone())?;
        mark.report(&format!("deliver to groups of {size}"), count)?;
    }
    let mark = Mark::now()?;
    let count = bench.deliver(1_000, u64::from(TICKETS), seqs)?;
    mark.report("the same, by 8 tickets in turn", count)?;
    let mark = Mark::now()?;
    let count = bench.drain(false)?;
    mark.report("drain", count)?;
    let mark = Mark::now()?;
    let count = bench.drain(true)?;
    mark.report("drain and acknowledge", count)
}
