//! Durable sends: many groups of one size, one sender each, one message under way per sender.

use std::sync::Arc;

use hdrhistogram::Histogram;
use protocol::codec::decode_exact;
use protocol::entry::Entry;
use protocol::frame;
use protocol::id::Seq;
use protocol::queue::{Ack, ListenEvent};
use tokio::task::JoinSet;

use crate::clock::now;
use crate::report::{Run, latencies};
use tests::connection::{Connection, Failure, endpoint, read_frame};
use tests::group::Group;
use tests::person::Person;
use tests::process::Server;

/// Bytes of text in a message.
const TEXT_BYTES: usize = 64;

/// How much to send.
pub(crate) struct Load {
    /// Members of each group, the sender included.
    pub(crate) members: usize,
    /// Groups.
    pub(crate) groups: usize,
    /// Messages that each sender sends.
    pub(crate) messages: usize,
    /// Whether recipients listen and acknowledge while messages are sent.
    pub(crate) listening: bool,
}

struct Sender {
    group: Group,
    /// A socket of the group's own: one for all would overflow when all answers come at once.
    endpoint: quinn::Endpoint,
    connection: Connection,
    recipients: Arc<Vec<Person>>,
}

/// Connections, people and groups, before anything is measured.
async fn prepare(server: &Server, load: &Load) -> Result<Vec<Sender>, Failure> {
    let domain = Server::domain()?;
    let mut senders = Vec::with_capacity(load.groups);
    for _ in 0..load.groups {
        let endpoint = endpoint(server.certificate()?)?;
        let connection = Connection::open(&endpoint, server.address(), &domain).await?;
        let owner = Person::new(&connection).await?;
        let mut recipients = Vec::with_capacity(load.members - 1);
        for _ in 1..load.members {
            recipients.push(Person::new(&connection).await?);
        }
        let group = Group::new(&connection, &domain, &owner, &recipients).await?;
        senders.push(Sender {
            group,
            endpoint,
            connection,
            recipients: Arc::new(recipients),
        });
    }
    Ok(senders)
}

/// Send one message after the other; gives how long each took.
async fn send(mut sender: Sender, messages: usize) -> Result<(Histogram<u64>, Sender), Failure> {
    let mut latencies = latencies()?;
    for _ in 0..messages {
        let begun = now();
        sender.group.send(&sender.connection, TEXT_BYTES).await?;
        latencies.record(u64::try_from(begun.elapsed().as_micros())?.max(1))?;
    }
    Ok((latencies, sender))
}

/// Prepare the groups, then measure from the first send until every watched recipient has all.
pub(crate) async fn run(server: &Server, load: &Load) -> Result<Run, Failure> {
    let domain = Server::domain()?;
    let senders = prepare(server, load).await?;
    let mut watchers = JoinSet::new();
    let watch = |watchers: &mut JoinSet<Result<(), Failure>>, sender: &Sender| {
        let (endpoint, address) = (sender.endpoint.clone(), server.address());
        let (recipients, messages) = (sender.recipients.clone(), load.messages);
        let domain = domain.clone();
        watchers.spawn(async move {
            let last = recipients.last().ok_or("a group needs a recipient")?;
            let connection = Connection::open(&endpoint, address, &domain).await?;
            // A Welcome came first.
            receive(last, &connection, messages + 1).await
        });
    };
    if load.listening {
        senders
            .iter()
            .for_each(|sender| watch(&mut watchers, sender));
    }
    let before = server.usage()?;
    let started = now();
    let mut sending = JoinSet::new();
    for sender in senders {
        sending.spawn(send(sender, load.messages));
    }
    let mut all = latencies()?;
    let mut finished = Vec::new();
    while let Some(sent) = sending.join_next().await {
        let (latencies, sender) = sent??;
        all.add(latencies)?;
        finished.push(sender);
    }
    if !load.listening {
        finished
            .iter()
            .for_each(|sender| watch(&mut watchers, sender));
    }
    while let Some(watched) = watchers.join_next().await {
        watched??;
    }
    let kind = if load.listening {
        ", recipients listening"
    } else {
        ""
    };
    Ok(Run {
        scenario: format!("send, group of {}{kind}", load.members),
        operations: u64::try_from(load.groups * load.messages)?,
        recipients: u64::try_from(load.members - 1)?,
        connections: 0,
        elapsed: started.elapsed(),
        latencies: Some(all),
        before,
        after: server.usage()?,
    })
}

/// Listen until `items` items have come, acknowledging what comes.
pub(crate) async fn receive(
    person: &Person,
    connection: &Connection,
    items: usize,
) -> Result<(), Failure> {
    let (mut send, mut stream) = person.listen(connection).await?;
    let mut received = 0;
    while received < items {
        let ListenEvent::Entries(batch) = decode_exact(&read_frame(&mut stream).await?)? else {
            continue;
        };
        let is_item =
            |entry: &&protocol::entry::NumberedEntry| matches!(entry.entry, Entry::Item(_));
        received += batch.entries.iter().filter(is_item).count();
        if let Some(last) = batch.entries.last() {
            let ack = protocol::codec::encode(&Ack {
                next: Seq(last.seq.0 + 1),
            });
            send.write_all(&frame::encode(&ack)?).await?;
        }
    }
    Ok(())
}
