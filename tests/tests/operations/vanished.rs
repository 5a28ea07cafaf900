//! A member whose queue is gone: its client is an honest one, but from some moment on the tickets
//! that it is given on the way open no queue, as those of a queue that is no more.

use client_core::{Core, JobId, Outcome, Step, Stock};
use protocol::contact::Ticket;
use protocol::id::Username;
use protocol::queue::TakeTicketsReply;
use protocol::request::{decode_reply, encode_reply};
use protocol::time::Timestamp;
use tests::connection::{Connection, Failure, endpoint, read_frame};
use tests::process::Server;

/// Jobs of upkeep before the client counts as broken.
const JOBS_MAX: usize = 50;
/// How often the queue is read before a Welcome counts as lost.
const SYNCS_MAX: usize = 200;
/// Such a member.
pub(crate) struct Vanished {
    core: Core,
    connection: Connection,
    is_gone: bool,
    /// Whether nothing but tickets that lead nowhere is left.
    is_misled: bool,
}

impl Vanished {
    /// Sign up, claim a name, stock up.
    pub(crate) async fn register(server: &Server, name: &str) -> Result<Self, Failure> {
        let domain = Server::domain()?;
        let endpoint = endpoint(server.certificate()?)?;
        let connection = Connection::open(&endpoint, server.address(), &domain).await?;
        let mut core = Core::open_in_memory()?;
        core.set_stock(Stock::LEAST);
        let mut this = Self {
            core,
            connection,
            is_gone: false,
            is_misled: false,
        };
        let job = this.core.register(&domain, name, now())?;
        this.finish(job).await?;
        this.keep().await?;
        let username = Username::new(name, domain)?;
        let job = this.core.claim_username(&username, now())?;
        this.finish(job).await?;
        this.keep().await?;
        Ok(this)
    }

    /// Accept whoever asks.
    pub(crate) async fn accept(&mut self) -> Result<(), Failure> {
        for job in self.core.fetch_connection_requests(now())? {
            self.finish(job).await?;
        }
        for request in self.core.connection_requests()? {
            let job = self.core.accept_connection(request.id, now())?;
            self.finish(job).await?;
        }
        Ok(())
    }

    /// Join the group that somebody has invited to, and be gone from then on.
    pub(crate) async fn join_and_vanish(mut self) -> Result<(), Failure> {
        for _ in 0..SYNCS_MAX {
            self.read().await?;
            self.keep().await?;
            if let Some(group) = self.core.groups()?.first() {
                let group = group.id;
                self.is_gone = true;
                // Until the tickets from before are used up.
                while !self.is_misled {
                    let job = self.core.update_ticket(&group, now())?;
                    self.finish(job).await?;
                }
                return Ok(());
            }
        }
        Err("the Welcome did not come".into())
    }

    /// Read what is in the queue.
    async fn read(&mut self) -> Result<(), Failure> {
        let listen = self.core.listen()?.ok_or("there is no queue")?;
        let payload = listen.payload(self.connection.binding());
        let (mut send, mut receive) = self.connection.quic().open_bi().await?;
        send.write_all(&protocol::frame::encode(&payload)?).await?;
        self.core.listening(&read_frame(&mut receive).await?)?;
        loop {
            let frame = read_frame(&mut receive).await?;
            let received = self.core.receive(&frame, now())?;
            if let Some(ack) = received.ack {
                send.write_all(&protocol::frame::encode(&ack)?).await?;
            }
            if received.caught_up {
                return Ok(send.finish()?);
            }
        }
    }

    async fn keep(&mut self) -> Result<(), Failure> {
        for _ in 0..JOBS_MAX {
            let Some(job) = self.core.jobs(now())?.first().copied() else {
                return Ok(());
            };
            self.finish(job.id).await?;
        }
        Err("upkeep does not end".into())
    }

    async fn finish(&mut self, job: JobId) -> Result<Outcome, Failure> {
        let mut waiting = vec![job];
        let mut step = self.core.step(job, now())?;
        loop {
            let job = *waiting.last().ok_or("no job is left")?;
            step = match step {
                Step::Send(outgoing) => {
                    let payload = outgoing.payload(self.connection.binding());
                    let framed = protocol::frame::encode(&payload)?;
                    let mut reply = self.connection.raw(&framed).await?;
                    if self.is_gone && outgoing.operation() == "take_tickets" {
                        reply = misled(&reply)?;
                        self.is_misled = true;
                    }
                    self.core.reply(job, &reply, now())?
                }
                Step::Solve(order) => {
                    let work = order
                        .solve(|_| true)
                        .map_err(|_| "an unreasonable puzzle")?;
                    self.core.solved(job, work, now())?
                }
                Step::Wait(other) => {
                    waiting.push(other);
                    self.core.step(other, now())?
                }
                Step::Done(outcome) => {
                    waiting.pop();
                    match waiting.last() {
                        Some(earlier) => self.core.step(*earlier, now())?,
                        None => return Ok(outcome),
                    }
                }
                Step::Retry(_) | Step::CatchUp { .. } => return Err("the server is busy".into()),
            };
        }
    }
}

/// The answer with tickets such as no queueing service has sealed.
fn misled(reply: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut taken = decode_reply::<TakeTicketsReply>(reply)??;
    let strange = || Ticket(std::array::from_fn(|_| rand::random()));
    taken.tickets.fill_with(strange);
    Ok(encode_reply(&Ok(taken)))
}

#[expect(clippy::disallowed_methods, reason = "a client lives in the present")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.unwrap_or_default().as_secs())
}
