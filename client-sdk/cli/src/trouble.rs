//! What goes wrong in a group, in sentences.

use hearth_sdk::{Disorder, Event, Person, Remedy};

use crate::output::name;

/// An event that tells of trouble, in a sentence.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the others tell of no trouble"
)]
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::OrderBroken { how, evidence, .. } => order_broken(*how, *evidence),
        Event::GroupDamaged { by, .. } => damaged(by),
        Event::CommitDisputed { by, number, .. } => {
            format!("* {} cannot follow change {number} of the group", name(by))
        }
        Event::GroupReverted { offender, .. } => format!(
            "* a change by {} was undone, because too few could follow it",
            name(offender)
        ),
        Event::GroupHealed { how, missed, .. } => healed(*how, *missed),
        Event::HelpNeeded { group_name, .. } => format!(
            "* {group_name} is lost to you: ask an admin to remove you and to invite you again"
        ),
        _ => "* something happened that this version does not know".to_owned(),
    }
}

fn order_broken(how: Disorder, evidence: Option<i64>) -> String {
    let what = match how {
        Disorder::Fork => "the server shows members different orders of the same messages",
        Disorder::Gap => "the server withheld something of a group",
        Disorder::Reordered => "the server delivered messages in another order than it said",
        Disorder::Replaced => "the server delivered another message than it said",
        _ => "the server lied about the order of messages",
    };
    match evidence {
        Some(number) => format!("* {what}: `hearth evidence show {number}`"),
        None => format!("* {what}"),
    }
}

fn damaged(by: &Person) -> String {
    match by.address {
        Some(_) => format!(
            "* a change by {} cannot be followed; it is being seen to",
            name(by)
        ),
        None => "* a change of the group is missing; it is being seen to".to_owned(),
    }
}

fn healed(how: Remedy, missed: Option<(u64, u64)>) -> String {
    let how = match how {
        Remedy::CaughtUp => "what was missing has come",
        Remedy::Reverted => "the change that you could not follow was undone",
        Remedy::Resynced => "you have entered the group again by yourself",
        _ => "you can follow the group again",
    };
    match missed {
        Some((first, last)) => format!("* {how}; you have missed {first} to {last}"),
        None => format!("* {how}"),
    }
}
