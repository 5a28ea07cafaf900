//! Policies of servers that run within tests: work is easy, everything else as large as in the world.

use engine::{AuthPolicy, DeliveryPolicy, Difficulty, Policies, QueuePolicy};

pub(crate) fn policies() -> Policies {
    let easy = Difficulty {
        memory_kib: 8,
        target_bits: 1,
        stamp_bits: 1,
    };
    Policies {
        auth: AuthPolicy {
            registration: easy,
            username: easy,
            challenge_seconds: 7_200,
            registration_open: true,
        },
        delivery: DeliveryPolicy {
            members_max: 1_000,
            state_bytes_max: 1 << 20,
            past_state_seconds: 86_400,
            undo_seconds: 600,
            undo_quorum_percent: 50,
            inactive_months: 6,
            parcel_seconds: 86_400,
            parcels_max: 100_000,
        },
        queue: QueuePolicy {
            entries_max: 100_000,
            bytes_max: 1 << 30,
            key_packages_low: 2,
            ticket_share_percent: 100,
        },
    }
}
