//! What is printed: text for people, or one JSON object a line. The fields are in JSON.md.

use std::io::{self, IsTerminal, Write};

use hearth_sdk::{Event, Person, Problem, Progress, StoredEvent};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::trouble::describe as describe_trouble;

/// Whom the output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// A person.
    Text,
    /// A program.
    Json,
}

impl Output {
    /// Print one result. What both say is made only for whom it is for.
    pub(crate) fn line(
        self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let line = match self {
            Self::Text => printable(&text()),
            Self::Json => json().to_string(),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Print what only people want to know.
    pub(crate) fn note(self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Text => self.line(|| Value::Null, || text.to_owned()),
            Self::Json => Ok(()),
        }
    }

    /// Print an event.
    pub(crate) fn event(self, event: &StoredEvent) -> Result<(), Failure> {
        let as_json = || serde_json::to_value(event).unwrap_or(Value::Null);
        self.line(as_json, || describe(&event.event))
    }

    /// Print why the command fails: to people on standard error, to programs also as an object.
    pub(crate) fn failure(self, failure: &Failure) {
        let message = failure.to_string();
        if self == Self::Json {
            let error = json!({ "error": { "code": failure.code(), "message": message } });
            // With nobody to read it, the exit status remains.
            drop(writeln!(io::stdout(), "{error}"));
        }
        drop(writeln!(io::stderr(), "hearth: {}", printable(&message)));
    }

    /// Shows the progress of a proof of work, if a person watches.
    pub(crate) fn progress(self) -> impl FnMut(Progress) + Send {
        let watched = self == Self::Text && io::stderr().is_terminal();
        let mut bar: Option<Bar> = None;
        move |progress| {
            if watched {
                bar.get_or_insert_with(|| Bar::new(progress)).show(progress);
            }
        }
    }
}

/// A progress bar that goes away by itself.
struct Bar(ProgressBar);

impl Bar {
    fn new(progress: Progress) -> Self {
        let bar = ProgressBar::new(progress.attempts_expected);
        let style = "proof of work {bar:40} {pos}/~{len} attempts, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn show(&self, progress: Progress) {
        // The search may well take longer than on average.
        if progress.attempts > progress.attempts_expected {
            self.0.set_length(progress.attempts);
        }
        self.0.set_position(progress.attempts);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How somebody is called: a username that we know, else what they call themselves, else an
/// address. Whoever is not verified is marked.
pub(crate) fn name(person: &Person) -> String {
    if person.is_self {
        return "you".to_owned();
    }
    let known = person.username.clone();
    let claimed = || person.display_name.clone().filter(|name| !name.is_empty());
    let name = known.or_else(claimed).or_else(|| person.address.clone());
    let name = name.unwrap_or_else(|| "somebody".to_owned());
    if person.verified {
        name
    } else {
        format!("{name} (unverified)")
    }
}

/// A message whose further lines cannot be taken for lines of others.
pub(crate) fn indented(body: &str) -> String {
    body.replace('\n', "\n    ")
}

/// An event in a sentence.
pub(crate) fn describe(event: &Event) -> String {
    let names = |people: &[Person]| people.iter().map(name).collect::<Vec<_>>().join(", ");
    match event {
        Event::ConnectionRequested { request, from, .. } => format!(
            "* {} wants to become a contact: `hearth connections accept {request}`",
            name(from)
        ),
        Event::ConnectionAccepted { from, .. } => format!("* {} is a contact now", name(from)),
        Event::GroupJoined { members, .. } => {
            format!("* you are in a group with {}", names(members))
        }
        Event::GroupNamed {
            name: called, by, ..
        } => {
            format!("* {} calls the group {called}", name(by))
        }
        Event::MessageReceived {
            group_name,
            sender,
            body,
            ..
        } => format!(
            "[{group_name}] {}: {}",
            name(sender),
            body.replace('\n', "\n    ")
        ),
        Event::MembersChanged { .. } | Event::RolesChanged { .. } => describe_change(event),
        Event::LeaveProposed { by, .. } => format!("* {} wants to leave", name(by)),
        Event::RemovalProposed { member, .. } => {
            format!(
                "* the server proposes to remove {}, who was away too long",
                name(member)
            )
        }
        Event::DirectReceived {
            group_name,
            sender,
            body,
            ..
        } => format!(
            "[{group_name}] {} to you alone: {}",
            name(sender),
            indented(body)
        ),
        Event::LeftGroup { group_name, .. } => format!("* you have left {group_name}"),
        Event::GroupDeleted { group_name, by, .. } => {
            format!("* {} deleted {group_name}", name(by))
        }
        Event::KeysUpdated { by, .. } => format!("* {} renewed the keys", name(by)),
        Event::RemovedFromGroup { group_name, by, .. } => {
            format!("* {} removed you from {group_name}", name(by))
        }
        Event::Problem { problem, .. } => format!("* problem: {}", explain(*problem)),
        Event::OrderBroken { .. }
        | Event::GroupDamaged { .. }
        | Event::CommitDisputed { .. }
        | Event::GroupReverted { .. }
        | Event::GroupHealed { .. }
        | Event::HelpNeeded { .. } => describe_trouble(event),
        _ => "* something happened that this version does not know".to_owned(),
    }
}

/// What a member did to the group, in a sentence.
fn describe_change(event: &Event) -> String {
    let names = |people: &[Person]| people.iter().map(name).collect::<Vec<_>>().join(", ");
    let part = |people: &[Person], before: &str, after: &str| {
        (!people.is_empty()).then(|| format!("{before}{}{after}", names(people)))
    };
    let (by, parts) = if let Event::MembersChanged {
        by,
        added,
        removed,
        left,
        ..
    } = event
    {
        let put_out = removed.iter().filter(|person| !left.contains(person));
        let put_out: Vec<_> = put_out.cloned().collect();
        let came = part(added, "brought ", " in");
        let went = part(&put_out, "removed ", "");
        (by, vec![came, went, part(left, "let ", " go")])
    } else if let Event::RolesChanged {
        by,
        promoted,
        demoted,
        ..
    } = event
    {
        let up = part(promoted, "made ", " admin");
        (by, vec![up, part(demoted, "took ", " from the admins")])
    } else {
        return String::new();
    };
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("* {} {}", name(by), parts.join(" and "))
}

fn explain(problem: Problem) -> &'static str {
    match problem {
        Problem::QueueGap => "the server skipped entries of the queue",
        Problem::EntryUnreadable => "an entry of the queue cannot be read",
        Problem::TicketUnknown => "something came by a way that was never given out",
        Problem::PayloadMalformed => "something came that is no message",
        Problem::ReceiptRefused => "the server does not stand by what it says of a group",
        Problem::RevertRefused => "the server undid a change without enough members asking for it",
        Problem::ResyncRefused => "the server's state of a group makes no sense",
        Problem::ProofRefused => "the server does not see that a change locked this client out",
        Problem::ComplaintRefused => "a complaint is not by the member that it names",
        Problem::EventRepeated => "something of a group came twice",
        Problem::EventUnreadable => "something of a group cannot be read",
        Problem::MessageRefused => "a message does not verify",
        Problem::ProposalRefused => "a proposal does not verify",
        Problem::CommitRefused => "a change of a group cannot be followed",
        Problem::MemberUnverified => "the identity of a member does not verify",
        Problem::IdentityChanged => "a member's identity changed: it is unverified now",
        Problem::WelcomeRefused => "an invitation does not verify",
        Problem::WelcomeLate => "an invitation came too late: the group is gone or has moved on",
        Problem::InvitationRefused => "an invitation to a group of two leads nowhere",
        Problem::ConnectionRefused => "a connection request does not verify",
        Problem::ServerRewound => "the server lost data that this client has seen",
        _ => "unknown to this version",
    }
}

/// Text of others without control characters, which could move the cursor or hide text.
fn printable(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() && character != '\n' && character != '\t' {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(username: Option<&str>, verified: bool) -> Person {
        Person {
            address: Some("00@localhost".to_owned()),
            client: None,
            username: username.map(str::to_owned),
            display_name: Some("Birch".to_owned()),
            verified,
            is_self: false,
        }
    }

    #[test]
    fn a_known_username_wins_over_what_people_call_themselves() {
        assert_eq!(
            name(&person(Some("birch@localhost"), true)),
            "birch@localhost"
        );
        assert_eq!(name(&person(None, true)), "Birch");
        assert_eq!(name(&person(None, false)), "Birch (unverified)");
    }

    #[test]
    fn text_of_others_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
