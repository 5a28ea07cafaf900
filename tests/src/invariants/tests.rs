//! A world that breaks an invariant is found by that invariant and by no other.

use std::collections::BTreeSet;

use protocol::id::{Epoch, GroupId, Seq};

use super::*;
use crate::journal::{Accepted, Heard, Said, View};

const GROUP: GroupId = GroupId([1; 16]);
const A: Who = Who(0);
const B: Who = Who(1);
const C: Who = Who(2);

fn said(by: Who, text: &str) -> Said {
    Said {
        by,
        text: text.to_owned(),
    }
}

fn accepted(by: Who, kind: Kind) -> BTreeSet<Accepted> {
    let chain = [7; 32];
    BTreeSet::from([Accepted { by, kind, chain }])
}

fn view(members: &[Who]) -> BTreeSet<View> {
    BTreeSet::from([View {
        authenticator: vec![u8::try_from(members.len()).unwrap()],
        members: members.iter().copied().collect(),
    }])
}

/// A adds B, and each says something; C is somebody else.
fn sound() -> Journal {
    let mut journal = Journal::default();
    let commit = Kind::Commit { epoch: Epoch(1) };
    for (number, by, kind) in [(1, A, commit), (2, A, Kind::Message), (3, B, Kind::Message)] {
        journal
            .accepted
            .insert((GROUP, Seq(number)), accepted(by, kind));
    }
    for (number, by, other) in [(2, A, B), (3, B, A)] {
        let said = said(by, "text");
        journal.said.insert((GROUP, Seq(number)), said.clone());
        let number = Seq(number);
        let heard = Heard { number, said };
        journal.heard.insert((other, GROUP), vec![heard]);
    }
    journal.views.insert((GROUP, Epoch(0)), view(&[A]));
    journal.views.insert((GROUP, Epoch(1)), view(&[A, B]));
    for who in [A, B] {
        journal.standing.insert((who, GROUP), Epoch(1));
        let deliveries = [
            Delivery::Begun(Seq(0)),
            Delivery::Came(Seq(0)),
            Delivery::Acknowledged(Seq(1)),
        ];
        journal.queues.insert(who, deliveries.into());
    }
    journal
}

/// What breaks an invariant.
type Break = fn(&mut Journal);

/// What breaks an invariant, and which.
const BREAKS: &[(&str, Break)] = &[
    ("one_answer_per_number", |journal| {
        let answers = journal.accepted.get_mut(&(GROUP, Seq(2))).unwrap();
        let mut other = answers.first().unwrap().clone();
        other.chain = [8; 32];
        answers.insert(other);
    }),
    ("one_commit_per_epoch", |journal| {
        let commit = Kind::Commit { epoch: Epoch(1) };
        journal
            .accepted
            .insert((GROUP, Seq(4)), accepted(B, commit));
    }),
    ("members_agree_on_their_epoch", |journal| {
        let views = journal.views.get_mut(&(GROUP, Epoch(1))).unwrap();
        views.extend(view(&[A, B, C]));
    }),
    ("texts_are_heard_once_and_in_order", |journal| {
        let heard = journal.heard.get_mut(&(B, GROUP)).unwrap();
        heard.push(heard[0].clone());
    }),
    ("queues_deliver_without_gaps", |journal| {
        let queue = journal.queues.get_mut(&A).unwrap();
        queue.push(Delivery::Came(Seq(2)));
    }),
    ("acknowledged_entries_do_not_return", |journal| {
        let queue = journal.queues.get_mut(&A).unwrap();
        queue.extend([Delivery::Begun(Seq(0)), Delivery::Came(Seq(0))]);
    }),
    ("key_packages_are_handed_out_once", |journal| {
        journal.handed_out.insert([1; 64], 2);
    }),
    ("nobody_meets_a_problem", |journal| {
        journal.problems.push((A, "a gap".to_owned()));
    }),
    ("nobody_is_late_for_what_goes_on", |journal| {
        journal.late.push(C);
    }),
    ("suspicions_prove_unfounded", |journal| {
        journal.suspicions.insert((B, GROUP));
    }),
    ("a_restart_changes_no_answer", |journal| {
        journal.changed_answers.push("send_message");
    }),
    ("nothing_is_left_to_do", |journal| {
        journal.leftovers.push("a job".to_owned());
    }),
    ("numbers_have_no_gaps", |journal| {
        journal
            .accepted
            .insert((GROUP, Seq(5)), accepted(A, Kind::Proposal));
    }),
    ("said_is_what_was_accepted", |journal| {
        journal.said.insert((GROUP, Seq(1)), said(A, "no commit"));
    }),
    ("heard_is_what_was_said", |journal| {
        let heard = journal.heard.get_mut(&(B, GROUP)).unwrap();
        heard[0].said.text = "something else".to_owned();
    }),
    ("only_members_hear", |journal| {
        let heard = journal.heard[&(B, GROUP)].clone();
        journal.heard.insert((C, GROUP), heard);
    }),
    ("every_member_heard_everything", |journal| {
        journal.heard.remove(&(B, GROUP));
    }),
    ("direct_texts_reach_their_addressee_alone", |journal| {
        let whisper = said(A, "whisper");
        journal.said_directly.push((B, GROUP, whisper.clone()));
        journal.heard_directly.push((C, GROUP, whisper));
    }),
    ("everybody_converged", |journal| {
        journal.standing.insert((B, GROUP), Epoch(0));
    }),
];

#[test]
fn a_sound_world_breaks_nothing() {
    assert_eq!(check(ALWAYS, &sound()), Ok(()));
    assert_eq!(check(AT_REST, &sound()), Ok(()));
}

#[test]
fn each_invariant_finds_what_breaks_it() {
    for (name, break_it) in BREAKS {
        let mut journal = sound();
        break_it(&mut journal);
        let found = check(ALWAYS, &journal).and_then(|()| check(AT_REST, &journal));
        assert_eq!(found.map_err(|(name, _)| name), Err(*name));
    }
}

#[test]
fn every_invariant_is_broken_once() {
    let known = ALWAYS.iter().chain(AT_REST).map(|(name, _)| *name);
    let broken: BTreeSet<_> = BREAKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known.collect::<BTreeSet<_>>(), broken);
    assert_eq!(broken.len(), BREAKS.len());
}

#[test]
fn who_is_invited_to_a_deleted_group_need_not_get_in() {
    let mut journal = sound();
    journal.late.push(C);
    let mut told = journal.clone();
    let end = accepted(A, Kind::End);
    journal.accepted.insert((GROUP, Seq(4)), end);
    told.ended.insert((A, GROUP));
    for journal in [journal, told] {
        assert_eq!(nobody_is_late_for_what_goes_on(&journal), Ok(()));
    }
}

#[test]
fn who_rejoined_need_not_have_heard_what_came_before() {
    let mut journal = sound();
    journal.heard.remove(&(B, GROUP));
    journal.rejoined.insert((B, (GROUP, Seq(4))));
    assert_eq!(every_member_heard_everything(&journal), Ok(()));
}
