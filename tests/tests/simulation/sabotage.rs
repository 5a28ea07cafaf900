//! Broken layers, to show that the invariants find them.

use client_core::Event;
use protocol::id::Seq;
use tests::journal::Who;

use crate::server::{Server, Stream};

/// How a layer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The queue swallows an entry.
    SwallowedEntry,
    /// The queue delivers an entry again, after its acknowledgement.
    RepeatedEntry,
    /// The client does not tell a text.
    UntoldText,
    /// The client tells a text twice.
    DoubledText,
    /// The disk forgets what it has acknowledged.
    ForgottenCommit,
}

/// A break, once, when its turn has come; or none.
#[derive(Default)]
pub(crate) struct Sabotage {
    turn: Option<(Break, usize)>,
    kept: Option<(Who, Vec<u8>, Seq)>,
}

impl Sabotage {
    /// Break something when it happens for the `turn`-th time.
    pub(crate) fn at(what: Break, turn: usize) -> Self {
        Self {
            turn: Some((what, turn)),
            kept: None,
        }
    }

    /// The next frame of a stream.
    pub(crate) fn next_frame(
        &mut self,
        who: Who,
        server: &Server,
        stream: &mut Stream,
    ) -> Option<(Vec<u8>, Seq)> {
        if let Some((_, frame, seq)) = self.kept.take_if(|(of, ..)| *of == who) {
            return Some((frame, seq));
        }
        let frame = server.next_frame(stream)?;
        if self.is_due(Break::SwallowedEntry) {
            return server.next_frame(stream);
        }
        if self.is_due(Break::RepeatedEntry) {
            let (frame, seq) = &frame;
            self.kept = Some((who, frame.clone(), *seq));
        }
        Some(frame)
    }

    /// How often an event reaches the user.
    pub(crate) fn tellings(&mut self, event: &Event) -> usize {
        if !matches!(event, Event::MessageReceived { .. }) {
            1
        } else if self.is_due(Break::UntoldText) {
            0
        } else if self.is_due(Break::DoubledText) {
            2
        } else {
            1
        }
    }

    /// Whether the disk is to forget a commit with this step.
    pub(crate) fn forgets(&mut self) -> bool {
        self.is_due(Break::ForgottenCommit)
    }

    fn is_due(&mut self, now: Break) -> bool {
        let Some((what, turn)) = &mut self.turn else {
            return false;
        };
        if *what != now {
            return false;
        }
        *turn = turn.saturating_sub(1);
        let is_due = *turn == 0;
        if is_due {
            self.turn = None;
        }
        is_due
    }
}
