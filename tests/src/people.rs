//! People with the SDK: what the end-to-end tests speak of.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::connection::Failure;
use crate::process::Server;
use hearth_sdk::{
    Event, EventStream, GroupId, Hearth, Home, MessageEntry, MessageState, RegisterOptions, Trust,
};

/// Messages of one page of a history.
const PAGE: usize = 500;
/// How often the queue is read before something counts as lost. Each time is a round trip.
const SYNCS_MAX: usize = 200;
/// How long an event may take: longer than any pause that a client makes by itself.
const EVENT_PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who watches what happens to a person.
#[derive(Debug)]
pub struct Witness {
    events: EventStream,
}

impl Witness {
    /// From the first event on that nobody has seen.
    #[must_use]
    pub fn of(person: &Hearth) -> Self {
        Self {
            events: person.events(),
        }
    }

    /// Wait for an event; those before it are passed over. Gives it.
    ///
    /// # Errors
    /// It does not come, or what the SDK answers; what came instead is in the message.
    pub async fn sees(&mut self, is_meant: impl Fn(&Event) -> bool) -> Result<Event, Failure> {
        let mut passed = Vec::new();
        let wanted = async {
            while let Some(event) = self.events.next().await? {
                if is_meant(&event.event) {
                    return Ok(event.event);
                }
                passed.push(serde_json::to_string(&event.event)?);
            }
            Err("the client was closed".into())
        };
        match tokio::time::timeout(EVENT_PATIENCE, wanted).await {
            Ok(seen) => seen,
            Err(_) => Err(format!("the event did not come, but {passed:#?}").into()),
        }
    }
}

/// Copy the home of somebody whose client is closed.
///
/// # Errors
/// The file system's fault.
pub fn copy_home(homes: &Path, from: &str, to: &str) -> Result<(), Failure> {
    fs::create_dir_all(homes.join(to))?;
    for entry in fs::read_dir(homes.join(from))? {
        let entry = entry?;
        fs::copy(entry.path(), homes.join(to).join(entry.file_name()))?;
    }
    Ok(())
}

/// Sign up at the server, with the home in `homes`/`name`, and claim `name`.
///
/// # Errors
/// What the SDK answers.
pub async fn register(server: &Server, homes: &Path, name: &str) -> Result<Hearth, Failure> {
    register_at(server.address().port(), homes, name).await
}

/// The same at any server of `localhost`.
///
/// # Errors
/// What the SDK answers.
pub async fn register_at(port: u16, homes: &Path, name: &str) -> Result<Hearth, Failure> {
    let options = RegisterOptions {
        server: format!("localhost:{port}").parse()?,
        display_name: name.to_owned(),
        trust: Trust::Usual,
    };
    let person = Hearth::register(&Home::new(homes.join(name)), options, |_| ()).await?;
    person.claim_username(name, |_| ()).await?;
    Ok(person)
}

/// Open the home of somebody who signed up before.
///
/// # Errors
/// What the SDK answers.
pub async fn reopen(homes: &Path, name: &str) -> Result<Hearth, Failure> {
    Ok(Hearth::open(&Home::new(homes.join(name))).await?)
}

/// Make two people contacts.
///
/// # Errors
/// What the SDK answers.
pub async fn befriend(asking: &Hearth, asked: &Hearth, name: &str) -> Result<(), Failure> {
    asking
        .connect(&format!("{name}@localhost").parse()?)
        .await?;
    let requests = asked.connection_requests().await?;
    let request = requests.first().ok_or("no connection request arrived")?;
    asked.accept(request.id).await?;
    asking.sync().await?;
    Ok(())
}

/// Invite a contact, who then joins.
///
/// # Errors
/// What the SDK answers.
pub async fn invite(
    owner: &Hearth,
    group: GroupId,
    invited: &Hearth,
    name: &str,
) -> Result<(), Failure> {
    let contact = owner.find_contact(&format!("{name}@localhost")).await?;
    owner.invite(group, &[contact]).await?;
    // The Welcome is on its way: accepted is not yet delivered.
    for _ in 0..SYNCS_MAX {
        invited.sync().await?;
        if invited
            .groups()
            .await?
            .iter()
            .any(|entry| entry.id == group && entry.active)
        {
            return Ok(());
        }
    }
    Err(format!("{name} did not join").into())
}

/// Read the queue until a person knows that it is no member any more.
///
/// # Errors
/// It does not learn it, or what the SDK answers.
pub async fn leave(person: &Hearth, group: GroupId) -> Result<(), Failure> {
    for _ in 0..SYNCS_MAX {
        person.sync().await?;
        if !person
            .groups()
            .await?
            .iter()
            .any(|entry| entry.id == group && entry.active)
        {
            return Ok(());
        }
    }
    Err("the removal was not told".into())
}

/// Read the queue until `count` messages of others have come; gives them, oldest first.
///
/// # Errors
/// They do not come, or what the SDK answers.
pub async fn hear(person: &Hearth, group: GroupId, count: usize) -> Result<Vec<String>, Failure> {
    for _ in 0..SYNCS_MAX {
        person.sync().await?;
        let heard = received(person, group).await?;
        if heard.len() >= count {
            return Ok(heard);
        }
    }
    Err(format!("{count} messages did not come").into())
}

/// Take a contact out of a group.
///
/// # Errors
/// What the SDK answers.
pub async fn remove(owner: &Hearth, group: GroupId, name: &str) -> Result<(), Failure> {
    let username = format!("{name}@localhost");
    let members = owner.members(group).await?;
    let is_named = |member: &&hearth_sdk::MemberEntry| {
        member.person.username.as_deref() == Some(username.as_str())
    };
    let member = members
        .iter()
        .find(is_named)
        .ok_or("there is no such member")?;
    owner.remove(group, &[member.leaf]).await?;
    Ok(())
}

/// Everything of others that a person has received in a group, oldest first.
///
/// # Errors
/// What the SDK answers.
pub async fn received(person: &Hearth, group: GroupId) -> Result<Vec<String>, Failure> {
    let history = history(person, group).await?;
    let theirs = history
        .into_iter()
        .filter(|entry| entry.state == MessageState::Received);
    Ok(theirs
        .map(|entry| String::from_utf8_lossy(&entry.body).into_owned())
        .collect())
}

/// The whole history of a group, oldest first.
///
/// # Errors
/// What the SDK answers.
pub async fn history(person: &Hearth, group: GroupId) -> Result<Vec<MessageEntry>, Failure> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = person.messages(group, before, PAGE).await?;
        before = page.first().map(|entry| entry.id);
        let is_last = page.len() < PAGE;
        pages.push(page);
        if is_last {
            pages.reverse();
            return Ok(pages.concat());
        }
    }
}

/// The messages of one sender, which begin with its name.
pub fn of<'a>(messages: &'a [String], sender: &str) -> Vec<&'a str> {
    let prefix = format!("{sender} ");
    messages
        .iter()
        .map(String::as_str)
        .filter(|text| text.starts_with(&prefix))
        .collect()
}
