//! What users know and say must not reach a log: these print their type's name and nothing else.

use std::fmt;

use crate::event::{Event, Person, StoredEvent};
use crate::read::{
    Account, ContactEntry, EvidenceEntry, GroupEntry, IncomingRequest, MemberEntry, MessageEntry,
    OutgoingRequest, OwnUsername,
};

macro_rules! opaque {
    ($($name:ident),* $(,)?) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

opaque!(
    Account,
    ContactEntry,
    Event,
    EvidenceEntry,
    GroupEntry,
    IncomingRequest,
    MemberEntry,
    MessageEntry,
    OutgoingRequest,
    OwnUsername,
    Person,
    StoredEvent,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_prints_nothing_of_what_was_said() {
        let event = Event::GroupNamed {
            group: "00".to_owned(),
            name: "walk".to_owned(),
            by: crate::group::members::nobody(),
        };
        assert_eq!(format!("{event:?}"), "Event(..)");
    }
}
