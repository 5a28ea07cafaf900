//! A server that has worked before: the first request on each of its threads takes half a megabyte
//! for good, which an attack must not be blamed for.

use std::sync::Arc;

use protocol::codec::Opaque;
use protocol::contact::Ticket;
use protocol::id::{LinkId, Seq};
use protocol::queue::PostEntry;
use tokio::task::JoinSet;

use crate::connection::{Connection, Failure, endpoint_at, is_busy};
use crate::hostile::socket::source;
use crate::person::Person;
use crate::process::Server;

/// The network of those who warm it up.
const NETWORK: u8 = 201;
/// Connections, and requests of each at the same time: twice as many in all as there are threads.
const CONNECTIONS: usize = 4;
const REQUESTS: u64 = 15;
/// How often all kinds of requests are made; together below what a connection may ask at once.
const ROUNDS: u64 = 4;
/// Bytes of an entry: nearly as many as it may have.
const ENTRY_BYTES: usize = 8_000;

/// Have every thread of the server's serve some requests of different sizes.
///
/// # Errors
/// The server does not serve.
pub(super) async fn warm_up(server: &Server) -> Result<(), Failure> {
    let mut people = Vec::new();
    for index in 0..CONNECTIONS {
        let endpoint = endpoint_at(source(NETWORK, index), server.certificate()?)?;
        let connection = Connection::open(&endpoint, server.address(), &Server::domain()?).await?;
        let person = Arc::new(Person::new(&connection).await?);
        let ticket = person.ticket(&connection).await?;
        people.push((connection, person, ticket));
    }
    for round in 0..ROUNDS {
        let mut asked = JoinSet::new();
        for (connection, person, ticket) in &people {
            for place in 0..REQUESTS {
                let (connection, person) = (connection.clone(), Arc::clone(person));
                let (ticket, seq) = (*ticket, Seq(round * REQUESTS + place));
                asked.spawn(async move { work(&connection, &person, ticket, seq).await });
            }
        }
        while let Some(answered) = asked.join_next().await {
            match answered? {
                // So many at the same time keep it as busy as they are meant to.
                Err(failure) if is_busy(&failure) => {}
                answered => answered?,
            }
        }
    }
    for (connection, ..) in people {
        connection.quic().close(0_u32.into(), b"");
    }
    Ok(())
}

/// Make a queue, take a ticket, and put an entry into one's own queue.
async fn work(
    connection: &Connection,
    person: &Person,
    ticket: Ticket,
    seq: Seq,
) -> Result<(), Failure> {
    Person::new(connection).await?;
    person.ticket(connection).await?;
    let entry = PostEntry {
        ticket,
        link: LinkId(rand::random()),
        seq,
        payload: Opaque::new(vec![7; ENTRY_BYTES])?,
    };
    connection.request(&entry).await?;
    Ok(())
}
