//! Draining one long queue, and keeping many listeners that have nothing to hear.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::report::Run;
use crate::send::receive;
use tests::connection::{Connection, Failure, endpoint};
use tests::group::Group;
use tests::person::Person;
use tests::process::Server;

/// Senders that fill the queue at the same time.
const SENDERS: usize = 64;
/// Handshakes under way at the same time.
const HANDSHAKES: usize = 32;
/// Sockets of those who listen: the server limits the datagrams of one address and port.
const SOCKETS: usize = 64;

/// Fill one queue with `items` items, then measure how long one listener takes to read and
/// acknowledge them all.
pub(crate) async fn drain(server: &Server, items: usize) -> Result<Run, Failure> {
    let endpoint = endpoint(server.certificate()?)?;
    let domain = Server::domain()?;
    let connection = Connection::open(&endpoint, server.address(), &domain).await?;
    let recipients = [Person::new(&connection).await?];
    let each = items.div_ceil(SENDERS);
    let mut filling = JoinSet::new();
    for _ in 0..SENDERS {
        let connection = Connection::open(&endpoint, server.address(), &domain).await?;
        let owner = Person::new(&connection).await?;
        let mut group = Group::new(&connection, &domain, &owner, &recipients).await?;
        filling.spawn(async move {
            for _ in 0..each {
                group.send(&connection, 64).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    // Each group brought a Welcome. The second listener finds the queue as the first one's
    // acknowledgements left it, so the wait for delivery reads without acknowledging.
    let total = SENDERS * (each + 1);
    let [recipient] = recipients;
    recipient.wait_for(&connection, total).await?;
    let before = server.usage()?;
    let started = now();
    receive(&recipient, &connection, total).await?;
    Ok(Run {
        scenario: "drain one queue".to_owned(),
        operations: u64::try_from(total)?,
        recipients: 0,
        connections: 0,
        elapsed: started.elapsed(),
        latencies: None,
        before,
        after: server.usage()?,
    })
}

/// Connect `clients` clients, each listening to a queue of its own with nothing in it.
pub(crate) async fn idle(server: &Server, clients: usize) -> Result<Run, Failure> {
    let sockets: Vec<_> = (0..SOCKETS)
        .map(|_| endpoint(server.certificate()?))
        .collect::<Result<_, Failure>>()?;
    let domain = Server::domain()?;
    let before = server.usage()?;
    let started = now();
    let permits = Arc::new(Semaphore::new(HANDSHAKES));
    let mut connecting = JoinSet::new();
    for endpoint in sockets.iter().cycle().take(clients) {
        let (endpoint, domain, permits) = (endpoint.clone(), domain.clone(), permits.clone());
        let address = server.address();
        connecting.spawn(async move {
            let _permit = permits.acquire_owned().await?;
            let connection = Connection::open(&endpoint, address, &domain).await?;
            let person = Person::new(&connection).await?;
            let streams = person.listen(&connection).await?;
            Ok::<_, Failure>((connection, streams))
        });
    }
    let mut connected = Vec::with_capacity(clients);
    while let Some(client) = connecting.join_next().await {
        connected.push(client??);
    }
    let elapsed = started.elapsed();
    let after = server.usage()?;
    drop(connected);
    Ok(Run {
        scenario: format!("{clients} idle listening clients"),
        operations: u64::try_from(clients)?,
        recipients: 0,
        connections: u64::try_from(clients)?,
        elapsed,
        latencies: None,
        before,
        after,
    })
}
