//! What always holds in a world of honest clients and an honest server, whatever is lost, doubled,
//! delayed or crashes. Each invariant is a function over the [`Journal`].

use std::collections::BTreeSet;

use protocol::id::Seq;

use crate::journal::{Delivery, Journal, Kind, Who};

/// What an invariant found.
pub type Finding = Result<(), String>;

/// A name to report, and the invariant.
pub type Invariant = (&'static str, fn(&Journal) -> Finding);

/// What holds at every moment.
pub const ALWAYS: &[Invariant] = &[
    ("one_answer_per_number", one_answer_per_number),
    ("one_commit_per_epoch", one_commit_per_epoch),
    ("members_agree_on_their_epoch", members_agree_on_their_epoch),
    (
        "texts_are_heard_once_and_in_order",
        texts_are_heard_once_and_in_order,
    ),
    (
        "acknowledged_entries_do_not_return",
        acknowledged_entries_do_not_return,
    ),
    ("queues_deliver_without_gaps", queues_deliver_without_gaps),
    (
        "key_packages_are_handed_out_once",
        key_packages_are_handed_out_once,
    ),
    ("nobody_meets_a_problem", nobody_meets_a_problem),
    ("a_restart_changes_no_answer", a_restart_changes_no_answer),
];

/// What holds once faults have stopped and everything has come to rest.
pub const AT_REST: &[Invariant] = &[
    (
        "nobody_is_late_for_what_goes_on",
        nobody_is_late_for_what_goes_on,
    ),
    ("suspicions_prove_unfounded", suspicions_prove_unfounded),
    ("nothing_is_left_to_do", nothing_is_left_to_do),
    ("numbers_have_no_gaps", numbers_have_no_gaps),
    ("said_is_what_was_accepted", said_is_what_was_accepted),
    ("heard_is_what_was_said", heard_is_what_was_said),
    ("only_members_hear", only_members_hear),
    (
        "every_member_heard_everything",
        every_member_heard_everything,
    ),
    (
        "direct_texts_reach_their_addressee_alone",
        direct_texts_reach_their_addressee_alone,
    ),
    ("everybody_converged", everybody_converged),
];

/// Check invariants; names the first that is broken.
///
/// # Errors
/// The invariant's name and what it found.
pub fn check(invariants: &[Invariant], journal: &Journal) -> Result<(), (&'static str, String)> {
    for (name, invariant) in invariants {
        invariant(journal).map_err(|found| (*name, found))?;
    }
    Ok(())
}

/// Whatever the server says of a number, it says again.
pub fn one_answer_per_number(journal: &Journal) -> Finding {
    for ((_, number), answers) in &journal.accepted {
        ensure(answers.len() == 1, || {
            format!("number {}: {answers:?}", number.0)
        })?;
    }
    Ok(())
}

/// At most one commit of an epoch is accepted.
pub fn one_commit_per_epoch(journal: &Journal) -> Finding {
    let mut epochs = BTreeSet::new();
    for ((group, number), accepted) in &journal.accepted {
        for accepted in accepted {
            if let Kind::Commit { epoch } = accepted.kind {
                ensure(epochs.insert((group, epoch)), || {
                    format!("number {}: a second commit leads to {epoch:?}", number.0)
                })?;
            }
        }
    }
    Ok(())
}

/// Members who are in the same epoch share its secrets and see the same members.
pub fn members_agree_on_their_epoch(journal: &Journal) -> Finding {
    for ((_, epoch), views) in &journal.views {
        ensure(views.len() == 1, || {
            let members: Vec<_> = views.iter().map(|view| &view.members).collect();
            format!("{epoch:?} is seen in {} ways: {members:?}", views.len())
        })?;
    }
    Ok(())
}

/// A text is heard once, and what was accepted first is heard first.
pub fn texts_are_heard_once_and_in_order(journal: &Journal) -> Finding {
    for ((who, _), heard) in &journal.heard {
        let in_order = heard.is_sorted_by(|one, next| one.number < next.number);
        ensure(in_order, || {
            let numbers: Vec<_> = heard.iter().map(|heard| heard.number.0).collect();
            format!("{who:?} heard {numbers:?}")
        })?;
    }
    Ok(())
}

/// Entries of a queue come one after the other, from where listening began.
pub fn queues_deliver_without_gaps(journal: &Journal) -> Finding {
    for (who, deliveries) in &journal.queues {
        let mut next = Seq(0);
        for delivery in deliveries {
            match delivery {
                Delivery::Begun(from) => next = *from,
                Delivery::Came(seq) => {
                    ensure(*seq == next, || {
                        format!("{who:?} got {} instead of {}", seq.0, next.0)
                    })?;
                    next = next.next();
                }
                Delivery::Acknowledged(_) => {}
            }
        }
    }
    Ok(())
}

/// What was acknowledged is not delivered again.
pub fn acknowledged_entries_do_not_return(journal: &Journal) -> Finding {
    for (who, deliveries) in &journal.queues {
        let mut done = Seq(0);
        for delivery in deliveries {
            match delivery {
                Delivery::Begun(next) | Delivery::Acknowledged(next) => done = done.max(*next),
                Delivery::Came(seq) => ensure(*seq >= done, || {
                    format!(
                        "{who:?} got {} after acknowledging all before {}",
                        seq.0, done.0
                    )
                })?,
            }
        }
    }
    Ok(())
}

/// A KeyPackage is handed out once, unless it is a last resort.
///
/// # Errors
/// How many were handed out more often.
pub fn key_packages_are_handed_out_once(journal: &Journal) -> Finding {
    let is_again = |(ticket, times): &(&[u8; 64], &usize)| {
        **times > 1 && !journal.last_resorts.contains(*ticket)
    };
    let again = journal.handed_out.iter().filter(is_again).count();
    ensure(again == 0, || format!("{again} were handed out again"))
}

/// No honest client has reason to complain about an honest server or another client.
///
/// # Errors
/// What they complain about.
pub fn nobody_meets_a_problem(journal: &Journal) -> Finding {
    let problems = &journal.problems;
    ensure(problems.is_empty(), || format!("{problems:?}"))
}

/// Who was invited and comes too late was invited into a group that has ended.
///
/// # Errors
/// Who came late.
pub fn nobody_is_late_for_what_goes_on(journal: &Journal) -> Finding {
    let is_any_over = journal.enders().next().is_some();
    let late = &journal.late;
    ensure(late.is_empty() || is_any_over, || format!("{late:?}"))
}

/// A server that was slow may be suspected of withholding something, until it has brought it.
///
/// # Errors
/// Who still suspects it.
pub fn suspicions_prove_unfounded(journal: &Journal) -> Finding {
    let suspicions: Vec<_> = journal.suspicions.iter().map(|(who, _)| who).collect();
    ensure(suspicions.is_empty(), || format!("{suspicions:?}"))
}

/// A server that was restarted answers as it would have without.
pub fn a_restart_changes_no_answer(journal: &Journal) -> Finding {
    ensure(journal.changed_answers.is_empty(), || {
        format!("{:?}", journal.changed_answers)
    })
}

/// After faults stop, all jobs end, all outboxes drain, all queues are read.
pub fn nothing_is_left_to_do(journal: &Journal) -> Finding {
    ensure(journal.leftovers.is_empty(), || {
        format!("{:?}", journal.leftovers)
    })
}

/// What happens in a group is numbered from 1 without gaps.
pub fn numbers_have_no_gaps(journal: &Journal) -> Finding {
    let mut last = None;
    for (group, number) in journal.accepted.keys() {
        let expected = match last {
            Some((before, Seq(number))) if before == group => number + 1,
            _ => 1,
        };
        ensure(number.0 == expected, || {
            format!("number {} follows where {expected} should", number.0)
        })?;
        last = Some((group, *number));
    }
    Ok(())
}

/// What a client believes to be accepted was accepted, as its own message.
pub fn said_is_what_was_accepted(journal: &Journal) -> Finding {
    for (place, said) in &journal.said {
        let answers = journal.accepted.get(place);
        let is_theirs = |answers: &BTreeSet<crate::journal::Accepted>| {
            answers
                .iter()
                .all(|accepted| accepted.by == said.by && accepted.kind == Kind::Message)
        };
        ensure(answers.is_some_and(is_theirs), || {
            format!("number {} is not {said:?}", place.1.0)
        })?;
    }
    Ok(())
}

/// A text is heard as it was said, from who said it.
pub fn heard_is_what_was_said(journal: &Journal) -> Finding {
    for ((who, group), heard) in &journal.heard {
        for heard in heard {
            let said = journal.said.get(&(*group, heard.number));
            let is_given_up = journal.given_up.contains(&heard.said);
            ensure(
                said == Some(&heard.said) || (said.is_none() && is_given_up),
                || format!("{who:?} heard {heard:?}, but {said:?} was said"),
            )?;
        }
    }
    Ok(())
}

/// Who is no member of an epoch hears nothing of it.
pub fn only_members_hear(journal: &Journal) -> Finding {
    for ((who, group), heard) in &journal.heard {
        for heard in heard {
            let members = journal.members_at((*group, heard.number));
            ensure(members.is_none_or(|members| members.contains(who)), || {
                format!("{who:?} heard {} and was no member", heard.number.0)
            })?;
        }
    }
    Ok(())
}

/// Every accepted text reaches everybody who was a member then.
pub fn every_member_heard_everything(journal: &Journal) -> Finding {
    for (place, said) in &journal.said {
        let Some(members) = journal.members_at(*place) else {
            continue;
        };
        for who in members.iter().filter(|who| **who != said.by) {
            ensure(has_heard(journal, *who, place), || {
                format!("{who:?} did not hear number {}, {said:?}", place.1.0)
            })?;
        }
    }
    Ok(())
}

fn has_heard(journal: &Journal, who: Who, place: &(protocol::id::GroupId, Seq)) -> bool {
    let heard = journal.heard.get(&(who, place.0));
    let is_there = heard.is_some_and(|all| all.iter().any(|heard| heard.number == place.1));
    let was_in = journal.entered.contains(&(who, place.0));
    let ended_it = journal.enders().any(|end| end == (who, place.0));
    let was_late = journal.is_over(place.0) && (!was_in || ended_it);
    is_there || was_late || journal.has_rejoined_after(who, *place)
}

/// What is said to one member alone is heard once, by that member.
///
/// # Errors
/// Who heard it otherwise.
pub fn direct_texts_reach_their_addressee_alone(journal: &Journal) -> Finding {
    for (who, group, said) in &journal.said_directly {
        let heard = journal.heard_directly.iter();
        let times = heard.filter(|(_, _, text)| text == said).count();
        let is_theirs = journal
            .heard_directly
            .contains(&(*who, *group, said.clone()));
        let is_heard = times == 1 && is_theirs;
        let may_be_lost = times == 0 && journal.has_rejoined(*who, *group);
        ensure(is_heard || may_be_lost, || {
            format!("{said:?} to {who:?} was heard {times} times")
        })?;
    }
    Ok(())
}

/// Everybody who is in a group is in its last epoch, and everybody in that epoch is in the group.
pub fn everybody_converged(journal: &Journal) -> Finding {
    let groups: BTreeSet<_> = journal.standing.keys().map(|(_, group)| *group).collect();
    for group in groups {
        ensure(!journal.is_over(group), || {
            "somebody is in a deleted group".to_owned()
        })?;
        let inside = journal.standing.iter().filter(|((_, of), _)| *of == group);
        let (members, epochs): (BTreeSet<Who>, BTreeSet<_>) =
            inside.map(|((who, _), epoch)| (*who, *epoch)).unzip();
        let last = journal.epoch_at((group, Seq(u64::MAX)));
        ensure(epochs.iter().all(|epoch| *epoch == last), || {
            format!("{members:?} are in {epochs:?}, the group in {last:?}")
        })?;
        let listed = journal.members_at((group, Seq(u64::MAX)));
        ensure(listed == Some(&members), || {
            format!("{members:?} are in, {listed:?} are members")
        })?;
    }
    Ok(())
}

fn ensure(holds: bool, found: impl FnOnce() -> String) -> Finding {
    if holds { Ok(()) } else { Err(found()) }
}

#[cfg(test)]
mod tests;
