//! listen - spec/queue.md#listen

use std::time::Duration;

use protocol::codec::{decode_exact, encode};
use protocol::crypto::label;
use protocol::entry::{Delivered, Entry, NumberedEntry, Payload};
use protocol::id::{Seq, TicketId};
use protocol::queue::{Ack, Listen, ListenEvent, ListenReply};
use protocol::request::decode_reply;
use protocol::time::Timestamp;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::event::{Event, Problem, StoredEvent};
use crate::group::event::Reject;
use crate::home::Core;
use crate::outgoing::{Isolation, Outgoing};
use crate::queue::StoredQueue;
use crate::tx::Tx;

/// Entries that a server may skip (they expired) before we give up following its ratchet.
const SKIPPED_MAX: u64 = 1 << 20;

/// What a frame of the listen stream brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Stored events, for showing at once; they stay unseen until `mark_seen`.
    pub events: Vec<StoredEvent>,
    /// The payload of a frame to write back on the stream, now that all is stored. [SDK-ACK-1]
    pub ack: Option<Vec<u8>>,
    /// Everything that was in the queue when listening began has come.
    pub caught_up: bool,
    /// The server stops: close the stream and come back after this time.
    pub go_away: Option<Duration>,
}

impl Core {
    /// The request that begins listening, from the first entry whose effect is not stored; none
    /// while there is no queue. Ask again for every attempt.
    ///
    /// # Errors
    /// The home's fault.
    pub fn listen(&self) -> Result<Option<Outgoing>, Error> {
        self.view(|tx| {
            let Some(queue) = tx.created_queue()? else {
                return Ok(None);
            };
            let body = Listen {
                queue: queue.id(),
                from: queue.next,
            };
            let domain = tx.own_domain()?;
            Ok(Some(Outgoing::signed(
                body,
                queue.key,
                domain,
                Isolation::Queue,
            )))
        })
    }

    /// The first frame of the answer to [`Core::listen`].
    ///
    /// # Errors
    /// `Refused`; `Rewound` if the server has fewer entries than it has shown before; `BadReply`.
    pub fn listening(&mut self, payload: &[u8]) -> Result<(), Error> {
        let reply = match decode_reply::<ListenReply>(payload) {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) if error.code == protocol::error::ErrorCode::Rewound => {
                return self.tell_rewound();
            }
            Ok(Err(error)) => return Err(Error::Refused(error)),
            Err(_) => return Err(Error::BadReply),
        };
        let next = self.view(|tx| tx.queue())?.ok_or(Error::NotExpected)?.next;
        if reply.next < next {
            return self.tell_rewound();
        }
        self.transact(Timestamp(0), |tx| {
            tx.save_packages_left(reply.key_packages_left)
        })
    }

    /// Any later frame of the stream. All that it causes is one transaction: if it fails, nothing
    /// is stored and nothing acknowledged; the server sends it again. [SDK-STORE-1]
    ///
    /// # Errors
    /// `BadReply` if it is no frame of the stream; the home's fault. What is wrong with an entry is
    /// an event, not an error: an entry never blocks the queue. [SDK-RECEIVE-1]
    pub fn receive(&mut self, payload: &[u8], now: Timestamp) -> Result<Received, Error> {
        let event: ListenEvent = decode_exact(payload).map_err(|_| Error::BadReply)?;
        match event {
            ListenEvent::Entries(entries) => self.receive_entries(&entries.entries, now),
            ListenEvent::CaughtUp(_) => Ok(Received {
                caught_up: true,
                ..Received::default()
            }),
            ListenEvent::KeyPackagesLow(left) => {
                self.transact(now, |tx| tx.save_packages_left(left))?;
                Ok(Received::default())
            }
            ListenEvent::GoAway(milliseconds) => Ok(Received {
                go_away: Some(Duration::from_millis(milliseconds.into())),
                ..Received::default()
            }),
        }
    }

    fn receive_entries(
        &mut self,
        entries: &[NumberedEntry],
        now: Timestamp,
    ) -> Result<Received, Error> {
        self.transact(now, |tx| {
            let before = tx.last_event()?;
            let mut queue = tx.created_queue()?.ok_or(Error::NotExpected)?;
            for entry in entries {
                tx.receive_entry(&mut queue, entry)?;
            }
            tx.save_position(&queue)?;
            tx.execute("UPDATE queue SET heard = ?1", [now.0])?;
            let ack = Some(encode(&Ack { next: queue.next }));
            Ok(Received {
                events: tx.events_after(before)?,
                ack,
                ..Received::default()
            })
        })
    }

    fn tell_rewound(&mut self) -> Result<(), Error> {
        self.transact(Timestamp(0), |tx| {
            tx.tell(&Event::Problem {
                group: None,
                problem: Problem::ServerRewound,
            })
        })?;
        Err(Error::Rewound)
    }
}

impl Tx<'_> {
    fn save_packages_left(&self, left: u32) -> Result<(), Error> {
        self.execute("UPDATE queue SET packages_left = ?1", [left])?;
        Ok(())
    }

    /// Take one entry: what came before is skipped, what is missing is told. [QS-ENTRY-1]
    fn receive_entry(
        &self,
        queue: &mut StoredQueue,
        numbered: &NumberedEntry,
    ) -> Result<(), Error> {
        let seq = numbered.seq;
        if seq < queue.next {
            return Ok(());
        }
        let skipped = seq.0 - queue.next.0;
        if skipped > SKIPPED_MAX {
            return Err(Error::BadReply);
        }
        if skipped > 0 {
            self.tell_problem(Problem::QueueGap)?;
            // As if all of them had been items, which most are.
            (0..skipped).for_each(|_| drop(queue.ratchet.advance()));
        }
        queue.next = seq.next();
        let Some((ticket, payload)) = open(queue, seq, &numbered.entry) else {
            return match numbered.entry {
                Entry::Item(_) => self.tell_problem(Problem::EntryUnreadable),
                Entry::Refresh(_) => Ok(()),
            };
        };
        self.receive_payload(ticket, &payload)
    }

    /// Take one payload; whatever is wrong with it changes nothing but a problem's event.
    pub(crate) fn receive_payload(&self, ticket: TicketId, payload: &[u8]) -> Result<(), Error> {
        match self.attempt(|| self.take_payload(ticket, payload)) {
            Ok(()) => Ok(()),
            Err(Reject::Problem(group, problem)) => self.tell(&Event::Problem { group, problem }),
            Err(Reject::Fail(error)) => Err(error),
        }
    }

    fn take_payload(&self, ticket: TicketId, payload: &[u8]) -> Result<(), Reject> {
        let decoded: Payload = decode_exact(payload).map_err(|_| Problem::PayloadMalformed)?;
        match decoded {
            Payload::Group(sealed) => self.receive_group(ticket, sealed.as_slice(), payload),
            Payload::Welcome(welcome) => self.receive_welcome(ticket, welcome.as_slice()),
            Payload::ConnectionAcceptance(sealed) => self.receive_acceptance(&sealed),
            Payload::ConnectionInvitation(sealed) => self.receive_invitation(&sealed),
        }
    }

    fn tell_problem(&self, problem: Problem) -> Result<(), Error> {
        self.tell(&Event::Problem {
            group: None,
            problem,
        })
    }

    fn last_event(&self) -> Result<i64, Error> {
        let last = self.row("SELECT max(id) FROM events", [], |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        Ok(last.flatten().unwrap_or(0))
    }

    fn events_after(&self, id: i64) -> Result<Vec<StoredEvent>, Error> {
        let rows = self.rows(
            "SELECT id, event FROM events WHERE id > ?1 ORDER BY id",
            [id],
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?)),
        )?;
        rows.iter()
            .map(|(id, text)| crate::history::event(*id, text))
            .collect()
    }
}

/// Undo the queue's layer. The ratchet moves whether or not the entry opens.
fn open(queue: &mut StoredQueue, seq: Seq, entry: &Entry) -> Option<(TicketId, Vec<u8>)> {
    match entry {
        Entry::Item(sealed) => {
            let item = queue.ratchet.advance().open(seq, sealed.as_slice()).ok()?;
            let delivered: Delivered = decode_exact(&item).ok()?;
            Some((delivered.ticket, delivered.payload.into_vec()))
        }
        Entry::Refresh(sealed) => {
            let place = seq.0.to_be_bytes();
            let opened = queue
                .open_key
                .open(label::RATCHET_REFRESH_SEALED, &place, sealed)
                .ok()?;
            let randomness: [u8; 32] = opened.as_slice().try_into().ok()?;
            queue.ratchet.refresh(&Zeroizing::new(randomness));
            None
        }
    }
}
