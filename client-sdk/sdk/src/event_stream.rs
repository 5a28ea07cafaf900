//! Events as an async stream.

use std::collections::VecDeque;
use std::sync::Arc;

use client_core::StoredEvent;
use tokio::sync::watch;

use crate::client::Client;
use crate::error::Error;
use crate::hearth::Hearth;

/// Events that are read from the home at a time.
const BATCH: usize = 64;

/// What happens to a client, in order, without gaps, across restarts.
///
/// Events are stored when they arrive and count as seen in batches: when the ones before are used
/// up, or at [`EventStream::finish`]. After a crash the last few come again, with the same
/// [`StoredEvent::id`]. [SDK-EVENT-1]
///
/// ```no_run
/// # async fn example(hearth: hearth_sdk::Hearth) -> Result<(), hearth_sdk::Error> {
/// let mut events = hearth.events();
/// while let Some(event) = events.next().await? {
///     if let hearth_sdk::Event::MessageReceived { body, .. } = event.event {
///         println!("{body}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    client: Arc<Client>,
    changes: watch::Receiver<u64>,
    batch: VecDeque<StoredEvent>,
    /// The last event that was given out and does not count as seen.
    given: Option<i64>,
    /// Keeps the client's tasks running.
    _hearth: Hearth,
}

impl EventStream {
    pub(crate) fn new(client: Arc<Client>, hearth: Hearth) -> Self {
        let changes = client.changes();
        Self {
            client,
            changes,
            batch: VecDeque::new(),
            given: None,
            _hearth: hearth,
        }
    }

    /// The next event; waits for one. `None` when the client is closed. Cancel-safe: an event
    /// that was not given out is the next one.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>, Error> {
        loop {
            if let Some(event) = self.stored().await? {
                return Ok(Some(event));
            }
            tokio::select! {
                () = self.client.stopped() => return Ok(None),
                changed = self.changes.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }

    /// The next event that is in the home already; does not wait for the network.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn stored(&mut self) -> Result<Option<StoredEvent>, Error> {
        if self.batch.is_empty() {
            self.mark_seen().await?;
            self.changes.mark_unchanged();
            let read = self.client.core(|core| core.unseen_events(BATCH)).await;
            match read {
                Ok(events) => self.batch.extend(events),
                Err(Error::Closed) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let event = self.batch.pop_front();
        if let Some(event) = &event {
            self.given = Some(event.id);
        }
        Ok(event)
    }

    /// Count everything that was given out as seen.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn finish(mut self) -> Result<(), Error> {
        self.mark_seen().await
    }

    async fn mark_seen(&mut self) -> Result<(), Error> {
        let Some(given) = self.given else {
            return Ok(());
        };
        self.client.core(move |core| core.mark_seen(given)).await?;
        self.given = None;
        Ok(())
    }
}
