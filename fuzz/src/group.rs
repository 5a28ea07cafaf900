//! Handshakes of a living group, changed at the level of their structure and signed again, so that
//! the change gets past the signature.
//!
//! ```text
//! template change*        change = what which how
//! ```
//!
//! `template` is a valid commit, proposal or external commit of the next epoch.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a world that cannot be made fails the target"
)]

mod anvil;
mod bytes;
mod forgery;
pub mod hostile;
mod live;
mod member;
mod mutation;

use protocol::delivery::FetchExternalState;
use protocol::error::{ErrorCode, ErrorReply};

use forgery::Forgery;
use live::{Ask, Live, Template};

/// Changes of one request.
const CHANGES_MAX: usize = 8;

/// A changed handshake is refused and changes no row, or leaves a state that opens; honest members
/// go on talking. [DS-COMMIT-2] [DS-COMMIT-5] [DS-PROPOSE-1] [DS-JOIN-2]
pub fn group(bytes: &[u8]) {
    let live = Live::prepared();
    let Some((which, script)) = bytes.split_first() else {
        return;
    };
    let template = &live.templates[usize::from(*which) % live.templates.len()];
    let mut forgery = Forgery::of(live, template);
    for change in script
        .chunks_exact(mutation::CHANGE_BYTES)
        .take(CHANGES_MAX)
    {
        mutation::mutate(live, &mut forgery, change.try_into().unwrap());
    }
    let trial = live.trial(template.waits);
    let before = trial.rows();
    let opens_with = opens_with(live, &forgery.ask, template);
    match forgery.send(live, &trial) {
        Ok(()) => assert!(trial.fetch(&opens_with).is_ok(), "the state is shut"),
        Err(error) => {
            assert_ne!(
                error.code,
                ErrorCode::Internal,
                "a request makes the server fail"
            );
            assert!(before == trial.rows(), "{error:?} changed a row");
            assert!(
                live.talks(&trial, template.waits),
                "{error:?} silenced the group"
            );
        }
    }
}

/// How many templates there are.
#[must_use]
pub fn group_templates() -> u8 {
    u8::try_from(Live::prepared().templates.len()).unwrap()
}

/// How the server answers a template as it is, taken apart and put together again.
///
/// # Errors
/// The server's answer.
pub fn unchanged(template: u8) -> Result<(), ErrorReply> {
    let live = Live::prepared();
    let template = &live.templates[usize::from(template)];
    let trial = live.trial(template.waits);
    Forgery::of(live, template).send(live, &trial)
}

/// What opens the state once a request is granted.
fn opens_with(live: &Live, ask: &Ask, template: &Template) -> FetchExternalState {
    let (group, state_key) = match ask {
        Ask::Commit(request) => (request.group, request.next_state_key.clone()),
        Ask::Join(request) => (request.group, request.next_state_key.clone()),
        Ask::Propose(request) => (request.group, request.state_key.clone()),
    };
    debug_assert!(template.by < live.signers.len());
    FetchExternalState {
        group,
        state_key,
        from: 0,
    }
}
