//! `send`, `receive`, `chat`, `history`.

use std::io::{self, BufRead, IsTerminal};
use std::thread;
use std::time::Duration;

use hearth_sdk::{Event, EventStream, GroupEntry, LeafIndex, MessageState, StoredEvent, group_hex};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Session;
use crate::arguments::Receive;
use crate::failure::Failure;
use crate::output::{Output, indented, name};

/// Lines that are read ahead.
const LINES_MAX: usize = 64;

pub(super) async fn send(
    session: &Session,
    group: &str,
    text: Option<String>,
    to: Option<String>,
) -> Result<(), Failure> {
    let group = session.group(group).await?;
    let to = match to {
        Some(member) => Some(session.addressee(&group, member).await?),
        None => None,
    };
    let send = async |text: String| match &to {
        Some(to) => send_to(session, &group, to, &text).await,
        None => send_one(session, &group, &text, Echo::Shown).await,
    };
    if let Some(text) = text {
        return send(text).await;
    }
    let mut lines = read_lines();
    while let Some(line) = lines.recv().await {
        send(line?).await?;
    }
    Ok(())
}

/// One member as typed, and where it is.
struct Addressee {
    typed: String,
    leaf: LeafIndex,
}

impl Session {
    async fn addressee(&self, group: &GroupEntry, typed: String) -> Result<Addressee, Failure> {
        let leaves = self.leaves(group, std::slice::from_ref(&typed)).await?;
        match leaves.first() {
            Some(leaf) => Ok(Addressee { leaf: *leaf, typed }),
            None => Err(Failure::Unknown("member", typed)),
        }
    }
}

async fn send_to(
    session: &Session,
    group: &GroupEntry,
    to: &Addressee,
    text: &str,
) -> Result<(), Failure> {
    let typed = &to.typed;
    session
        .hearth
        .send_to_member(group.id, to.leaf, text)
        .await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "to": typed }),
        || format!("sent to {typed} alone"),
    )
}

/// Whether a person is told of each message that was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Shown,
    Silent,
}

async fn send_one(
    session: &Session,
    group: &GroupEntry,
    text: &str,
    echo: Echo,
) -> Result<(), Failure> {
    let number = session.hearth.send(group.id, text).await?;
    if echo == Echo::Silent && session.output == Output::Text {
        return Ok(());
    }
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "number": number }),
        || format!("sent: message {number} of {}", group.name),
    )
}

/// The lines of standard input, from a thread of their own: nothing else can wait for them.
fn read_lines() -> mpsc::Receiver<io::Result<String>> {
    let (give, take) = mpsc::channel(LINES_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if give.blocking_send(line).is_err() {
                break;
            }
        }
    });
    take
}

pub(super) async fn receive(session: &Session, options: &Receive) -> Result<(), Failure> {
    let mut events = session.hearth.events();
    let mut came = 0;
    let printing = print_events(session, options, &mut events, &mut came);
    let outcome = match options.timeout {
        None => tokio::select! {
            printed = printing => printed,
            () = interrupted() => Ok(()),
        },
        Some(seconds) => {
            let printed = timeout(Duration::from_secs(seconds), printing).await;
            printed.unwrap_or(Ok(()))
        }
    };
    // Only what was printed counts as seen.
    let finished = events.finish().await;
    outcome?;
    finished?;
    match options.count {
        Some(wanted) if came < wanted => Err(Failure::Timeout { wanted, came }),
        _ => Ok(()),
    }
}

/// Print until enough has come, or everything if nothing is to be waited for.
async fn print_events(
    session: &Session,
    options: &Receive,
    events: &mut EventStream,
    came: &mut u64,
) -> Result<(), Failure> {
    let waits = options.follow || options.count.is_some();
    if !waits {
        session.hearth.sync().await?;
    }
    let is_enough = |came: u64| options.count.is_some_and(|wanted| came >= wanted);
    let mut is_empty = true;
    while !is_enough(*came) {
        let event = if waits {
            events.next().await?
        } else {
            events.stored().await?
        };
        let Some(event) = event else { break };
        is_empty = false;
        session.output.event(&event)?;
        let is_message = |event: &Event| {
            matches!(
                event,
                Event::MessageReceived { .. } | Event::DirectReceived { .. }
            )
        };
        if is_message(&event.event) {
            *came += 1;
        }
    }
    if is_empty && !waits {
        session.output.note("nothing new")?;
    }
    Ok(())
}

/// Completes when the person wants to stop.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) async fn chat(session: &Session, group: &str) -> Result<(), Failure> {
    let group = session.group(group).await?;
    if io::stdin().is_terminal() {
        session.output.note(&format!(
            "{}: type a line to send it; Ctrl-D ends",
            group.name
        ))?;
    }
    let mut lines = read_lines();
    let mut events = session.hearth.events();
    let outcome = loop {
        tokio::select! {
            event = events.next() => match event {
                Ok(Some(event)) => show(session, &group, &event)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            },
            line = lines.recv() => match line {
                Some(Ok(line)) if line.is_empty() => {}
                Some(Ok(line)) => {
                    // A message that cannot be sent at once is stored, and the talk goes on.
                    let sent = send_one(session, &group, &line, Echo::Silent).await;
                    if let Err(failure) = sent {
                        session.output.failure(&failure);
                    }
                }
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(()),
            },
            () = interrupted() => break Ok(()),
        }
    };
    events.finish().await?;
    outcome
}

/// Print an event of a talk: the group's own messages without its name.
fn show(session: &Session, group: &GroupEntry, event: &StoredEvent) -> Result<(), Failure> {
    if let Event::MessageReceived {
        group: at,
        sender,
        body,
        ..
    } = &event.event
        && session.output == Output::Text
        && *at == group_hex(&group.id)
    {
        let line = format!("{}: {}", name(sender), indented(body));
        return session.output.note(&line);
    }
    session.output.event(event)
}

pub(super) async fn history(session: &Session, group: &str, limit: usize) -> Result<(), Failure> {
    let group = session.group(group).await?;
    for message in session.hearth.messages(group.id, None, limit).await? {
        let body = String::from_utf8_lossy(&message.body);
        session.output.line(
            || {
                json!({
                    "message": message.id,
                    "number": message.number,
                    "sender": message.sender,
                    "body": body,
                    "sent_at": message.sent_at,
                    "state": message.state,
                    "direct": message.direct,
                    "to": message.to,
                })
            },
            || {
                let mark = match message.state {
                    MessageState::Sending => " (not sent yet)",
                    MessageState::Failed => " (refused)",
                    MessageState::Sent | MessageState::Received => "",
                };
                let to = match &message.to {
                    Some(to) => format!(" to {} alone", name(to)),
                    None if message.direct => " to you alone".to_owned(),
                    None => String::new(),
                };
                format!("{}{to}: {}{mark}", name(&message.sender), indented(&body))
            },
        )?;
    }
    Ok(())
}
