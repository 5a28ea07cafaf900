//! How bad a world is: the seed decides for a whole run.

use rand::Rng;
use rand::rngs::StdRng;

/// Chances of faults, in a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// A request is lost.
    pub(crate) request_lost: u32,
    /// A reply is lost.
    pub(crate) reply_lost: u32,
    /// A request arrives a second time, at once or much later.
    pub(crate) doubled: u32,
    /// An acknowledgement is lost.
    pub(crate) ack_lost: u32,
    /// A client loses its process, per call of its core.
    pub(crate) client_crash: u32,
    /// The server is killed, per step.
    pub(crate) server_crash: u32,
    /// The disk reports something odd, per step.
    pub(crate) disk_fault: u32,
    /// A stream breaks, per frame.
    pub(crate) stream_broken: u32,
}

impl Weather {
    /// No faults at all.
    pub(crate) const FAIR: Self = Self {
        request_lost: 0,
        reply_lost: 0,
        doubled: 0,
        ack_lost: 0,
        client_crash: 0,
        server_crash: 0,
        disk_fault: 0,
        stream_broken: 0,
    };

    /// Each fault is absent in some runs and frequent in others.
    pub(crate) fn of_the_day(rng: &mut StdRng) -> Self {
        let mut chance = |most| match rng.random_range(0..3) {
            0 => 0,
            1 => most / 5,
            _ => most,
        };
        Self {
            request_lost: chance(150),
            reply_lost: chance(150),
            doubled: chance(150),
            ack_lost: chance(300),
            client_crash: chance(60),
            server_crash: chance(20),
            disk_fault: chance(60),
            stream_broken: chance(100),
        }
    }
}

/// Whether something with this chance in a thousand happens.
pub(crate) fn happens(rng: &mut StdRng, chance: u32) -> bool {
    rng.random_range(0..1_000) < chance
}
