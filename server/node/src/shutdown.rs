//! Shutdown is a state that everything long-lived watches.

use std::time::Duration;

use tokio::sync::watch;

/// What the server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Finishing what has begun; taking nothing more. [NODE-DRAIN-1]
    Draining,
}

/// One side tells, the others watch.
#[derive(Debug)]
pub(crate) struct Shutdown {
    sender: watch::Sender<Phase>,
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self {
            sender: watch::Sender::new(Phase::Running),
        }
    }

    /// Tell everybody.
    pub(crate) fn begin(&self) {
        self.sender.send_replace(Phase::Draining);
    }

    /// Whether the server has begun to stop.
    pub(crate) fn is_draining(&self) -> bool {
        *self.sender.borrow() == Phase::Draining
    }

    /// A view for somebody who watches.
    pub(crate) fn watch(&self) -> Watch {
        Watch {
            receiver: self.sender.subscribe(),
        }
    }
}

/// A view of the phase.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    receiver: watch::Receiver<Phase>,
}

impl Watch {
    /// Wait until the server begins to stop. May be dropped and called again.
    pub(crate) async fn draining(&mut self) {
        // An error says that the server is gone altogether, which is the same.
        drop(
            self.receiver
                .wait_for(|phase| *phase == Phase::Draining)
                .await,
        );
    }
}

/// Clients are asked to come back after at least this time, and not all at once. [NODE-DRAIN-2]
pub(crate) const RETURN_AFTER: Duration = Duration::from_secs(1);
/// Spread of the times at which clients come back.
pub(crate) const RETURN_SPREAD: Duration = Duration::from_secs(30);

/// The signals that stop a server or have it read its certificate again.
#[derive(Debug)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Stop (SIGTERM, SIGINT).
    Stop,
    /// Read the certificate again (SIGHUP).
    Reload,
}

impl Signals {
    /// Watch the signals.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn watch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Wait for the next wish.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}
