//! `group`.

use hearth_sdk::{GroupEntry, MemberEntry, Person, group_hex};
use serde_json::json;

use super::Session;
use crate::arguments::Group;
use crate::failure::Failure;
use crate::output::name;

pub(super) async fn run(session: &Session, action: Group) -> Result<(), Failure> {
    match action {
        Group::Create { name } => create(session, &name).await,
        Group::List => list(session).await,
        Group::Members { group } => members(session, &group).await,
        Group::Invite { group, contacts } => invite(session, &group, &contacts).await,
        Group::Remove { group, members } => remove(session, &group, &members).await,
        Group::Update { group } => update(session, &group).await,
        Group::Rename { group, name } => rename(session, &group, &name).await,
    }
}

async fn create(session: &Session, name: &str) -> Result<(), Failure> {
    let group = session.hearth.create_group(name).await?;
    session.output.line(
        || json!({ "group": group_hex(&group), "name": name }),
        || format!("{name}: `hearth group invite {name} USER@DOMAIN` brings contacts in"),
    )
}

async fn list(session: &Session) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let groups = session.hearth.groups().await?;
    if groups.is_empty() {
        session
            .output
            .note("no groups; `hearth group create NAME` makes one")?;
    }
    for group in groups {
        let GroupEntry {
            id,
            name,
            epoch,
            members,
            active,
        } = group;
        session.output.line(
            || {
                json!({
                    "group": group_hex(&id),
                    "name": name,
                    "epoch": epoch.0,
                    "members": members,
                    "active": active,
                })
            },
            || {
                if active {
                    format!("{name}: {members} members")
                } else {
                    format!("{name}: you are no member")
                }
            },
        )?;
    }
    Ok(())
}

async fn members(session: &Session, group: &str) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    for member in session.hearth.members(group.id).await? {
        let called = name(&member.person);
        session.output.line(
            || json!({ "leaf": member.leaf.0, "name": called, "person": member.person }),
            || called.clone(),
        )?;
    }
    Ok(())
}

async fn invite(session: &Session, group: &str, contacts: &[String]) -> Result<(), Failure> {
    let group = session.group(group).await?;
    let mut ids = Vec::with_capacity(contacts.len());
    for contact in contacts {
        ids.push(session.contact(contact).await?);
    }
    session.hearth.invite(group.id, &ids).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "invited": contacts }),
        || {
            format!(
                "{} can read {} from now on",
                contacts.join(", "),
                group.name
            )
        },
    )
}

async fn remove(session: &Session, group: &str, typed: &[String]) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    let members = session.hearth.members(group.id).await?;
    let mut leaves = Vec::with_capacity(typed.len());
    for typed in typed {
        leaves.push(find_member(&members, typed)?.leaf);
    }
    session.hearth.remove(group.id, &leaves).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "removed": typed }),
        || format!("{} cannot read {} any more", typed.join(", "), group.name),
    )
}

async fn update(session: &Session, group: &str) -> Result<(), Failure> {
    let group = session.group(group).await?;
    session.hearth.update_keys(group.id).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "updated": true }),
        || format!("{} has fresh keys", group.name),
    )
}

async fn rename(session: &Session, group: &str, name: &str) -> Result<(), Failure> {
    let group = session.group(group).await?;
    session.hearth.rename_group(group.id, name).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": name }),
        || format!("{} is called {name} here", group.name),
    )
}

impl Session {
    /// The contact of a name. If it is not known, an acceptance may be waiting in the queue.
    async fn contact(&self, name: &str) -> Result<hearth_sdk::ContactId, Failure> {
        if let Ok(contact) = self.hearth.find_contact(name).await {
            return Ok(contact);
        }
        self.hearth.sync().await?;
        let found = self.hearth.find_contact(name).await;
        found.map_err(|_| Failure::Unknown("contact", name.to_owned()))
    }
}

/// Whom the text means: a username, an address, or the only one of that display name.
fn find_member<'a>(members: &'a [MemberEntry], typed: &str) -> Result<&'a MemberEntry, Failure> {
    let is_exact = |person: &Person| {
        [&person.username, &person.address]
            .into_iter()
            .any(|name| name.as_deref() == Some(typed))
    };
    if let Some(exact) = members.iter().find(|member| is_exact(&member.person)) {
        return Ok(exact);
    }
    let mut called_so = members
        .iter()
        .filter(|member| member.person.display_name.as_deref() == Some(typed));
    match (called_so.next(), called_so.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Failure::Ambiguous("member", typed.to_owned())),
        (None, _) => Err(Failure::Unknown("member", typed.to_owned())),
    }
}
