//! People from different networks who all want more than the server has: what each of them gets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::queue::PublishKeyPackages;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection::{Connection, Failure, endpoint_at};
use crate::hostile::socket::source;
use crate::person::Person;
use crate::process::Server;
use crate::siege::ground::{Ground, setting};
use crate::stock::publication;

/// The network of the first; the others have the next ones.
const NETWORK: u8 = 80;
/// KeyPackages in a request: validating them takes the server milliseconds.
const PACKAGES: usize = 30;

/// How much one person wants.
#[derive(Clone, Copy, Debug)]
pub struct Appetite {
    /// Connections, each from the same address.
    pub connections: usize,
    /// Requests under way on each of them.
    pub requests: usize,
}

/// How a server divides its processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By who has had how much.
    Fair,
    /// As requests come.
    AsTheyCome,
}

/// Requests that were served for each person in so many seconds. The server has one thread, and
/// what they ask for keeps it busy, so that there is never enough of it.
///
/// # Errors
/// The server does not run.
pub async fn compete(
    (hearthd, scratch): (&Path, &Path),
    order: Order,
    people: &[Appetite],
    time: Duration,
) -> Result<Vec<u64>, Failure> {
    let plenty = 10_000_000;
    let settings = [
        setting("workers", "fair", order == Order::Fair),
        setting("workers", "threads", 1),
        setting("budget", "requests_per_second", plenty),
        setting("budget", "requests_burst", plenty),
        setting("budget", "bytes_per_second", plenty * 100),
        setting("budget", "bytes_burst", plenty * 100),
    ];
    let ground = Ground::new(hearthd, scratch, &settings)?;
    let mut at_work = JoinSet::new();
    let mut served = Vec::new();
    for (network, appetite) in (NETWORK..).zip(people) {
        let count = Arc::new(AtomicU64::new(0));
        serve_one(&ground, network, *appetite, &count, &mut at_work).await?;
        served.push(count);
    }
    let counts = || served.iter().map(|count| count.load(Ordering::Relaxed));
    // What each has had is known after a while.
    sleep(time / 4).await;
    let before: Vec<u64> = counts().collect();
    sleep(time).await;
    Ok(counts()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect())
}

/// Let one person publish the same stock again and again, as often at a time as it wants to.
async fn serve_one(
    ground: &Ground,
    network: u8,
    appetite: Appetite,
    count: &Arc<AtomicU64>,
    at_work: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let mut owner = None;
    for _ in 0..appetite.connections {
        let endpoint = endpoint_at(source(network, 0), ground.server.certificate()?)?;
        let address = ground.server.address();
        let connection = Connection::open(&endpoint, address, &Server::domain()?).await?;
        if owner.is_none() {
            let person = Person::new(&connection).await?;
            let stock = publication(person.queue(), PACKAGES)?;
            // What is refused would cost the server nothing, and show nothing.
            connection.signed(stock.clone(), person.key()).await?;
            owner = Some((Arc::new(person), Arc::new(stock)));
        }
        let (person, stock) = owner.as_ref().ok_or("nobody")?;
        for _ in 0..appetite.requests {
            at_work.spawn(ask(
                connection.clone(),
                Arc::clone(person),
                Arc::clone(stock),
                Arc::clone(count),
            ));
        }
    }
    Ok(())
}

async fn ask(
    connection: Connection,
    person: Arc<Person>,
    stock: Arc<PublishKeyPackages>,
    count: Arc<AtomicU64>,
) {
    while connection.quic().close_reason().is_none() {
        let request = PublishKeyPackages::clone(&stock);
        if connection.signed(request, person.key()).await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
