//! `group`.

use hearth_sdk::{GroupEntry, GroupKind, LeafIndex, Leave, MemberEntry, Person, Role, group_hex};
use serde_json::json;

use super::Session;
use crate::arguments::Group;
use crate::failure::Failure;
use crate::output::name;

pub(super) async fn run(session: &Session, action: Group) -> Result<(), Failure> {
    match action {
        Group::Create { name } => create(session, &name).await,
        Group::Open { contact } => open(session, &contact).await,
        Group::List => list(session).await,
        Group::Members { group } => members(session, &group).await,
        Group::Invite { group, contacts } => invite(session, &group, &contacts).await,
        Group::Remove { group, members } => remove(session, &group, &members).await,
        Group::Promote { group, members } => set_role(session, &group, &members, Role::Admin).await,
        Group::Demote { group, members } => set_role(session, &group, &members, Role::Member).await,
        Group::Leave { group } => leave(session, &group).await,
        Group::Delete { group } => delete(session, &group).await,
        Group::Ticket { group } => ticket(session, &group).await,
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

async fn open(session: &Session, contact: &str) -> Result<(), Failure> {
    let id = session.contact(contact).await?;
    let id = session.hearth.open_connection_group(id).await?;
    let group = session.group(&group_hex(&id)).await?;
    session.output.line(
        || json!({ "group": group_hex(&id), "name": group.name, "contact": contact }),
        || {
            format!(
                "{}: `hearth send` reaches {contact} once their client has entered",
                group.name
            )
        },
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
            kind,
            epoch,
            members,
            active,
            admin,
            leaving,
        } = group;
        session.output.line(
            || {
                json!({
                    "group": group_hex(&id),
                    "name": name,
                    "kind": kind_name(kind),
                    "epoch": epoch.0,
                    "members": members,
                    "active": active,
                    "admin": admin,
                    "leaving": leaving,
                })
            },
            || {
                if !active {
                    return format!("{name}: you are no member");
                }
                let role = if admin { ", you are admin" } else { "" };
                let going = if leaving { ", you are leaving" } else { "" };
                format!("{name}: {members} members{role}{going}")
            },
        )?;
    }
    Ok(())
}

fn kind_name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Group => "group",
        GroupKind::Connection => "connection",
    }
}

async fn members(session: &Session, group: &str) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    for member in session.hearth.members(group.id).await? {
        let called = name(&member.person);
        session.output.line(
            || {
                json!({
                    "leaf": member.leaf.0,
                    "name": called,
                    "admin": member.admin,
                    "person": member.person,
                })
            },
            || match member.admin {
                true => format!("{called} (admin)"),
                false => called.clone(),
            },
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
    let leaves = session.leaves(&group, typed).await?;
    session.hearth.remove(group.id, &leaves).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "removed": typed }),
        || format!("{} cannot read {} any more", typed.join(", "), group.name),
    )
}

async fn set_role(
    session: &Session,
    group: &str,
    typed: &[String],
    role: Role,
) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    let leaves = session.leaves(&group, typed).await?;
    session.hearth.set_role(group.id, &leaves, role).await?;
    let (key, what) = match role {
        Role::Admin => ("promoted", "admin"),
        Role::Member => ("demoted", "a member like others"),
    };
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, key: typed }),
        || format!("{} is {what} in {} now", typed.join(", "), group.name),
    )
}

async fn leave(session: &Session, group: &str) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    let deleted = session.hearth.leave(group.id).await? == Leave::Deleted;
    session.output.line(
        || {
            json!({
                "group": group_hex(&group.id),
                "name": group.name,
                "leaving": !deleted,
                "deleted": deleted,
            })
        },
        || match deleted {
            true => format!("nobody else was in {}: it is deleted", group.name),
            false => format!(
                "{}: you are out as soon as another member has seen it",
                group.name
            ),
        },
    )
}

async fn delete(session: &Session, group: &str) -> Result<(), Failure> {
    session.hearth.sync().await?;
    let group = session.group(group).await?;
    session.hearth.delete_group(group.id).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "deleted": true }),
        || format!("{} is deleted", group.name),
    )
}

async fn ticket(session: &Session, group: &str) -> Result<(), Failure> {
    let group = session.group(group).await?;
    session.hearth.update_ticket(group.id).await?;
    session.output.line(
        || json!({ "group": group_hex(&group.id), "name": group.name, "ticket": true }),
        || format!("{} reaches you by another way", group.name),
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
    /// The places of those who were typed.
    pub(super) async fn leaves(
        &self,
        group: &GroupEntry,
        typed: &[String],
    ) -> Result<Vec<LeafIndex>, Failure> {
        let members = self.hearth.members(group.id).await?;
        let leaf = |typed: &String| Ok(find_member(&members, typed)?.leaf);
        typed.iter().map(leaf).collect()
    }

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

/// Whom the text means: `me`, a username, an address, or the only one of that display name.
fn find_member<'a>(members: &'a [MemberEntry], typed: &str) -> Result<&'a MemberEntry, Failure> {
    let is_exact = |person: &Person| {
        (person.is_self && typed == "me")
            || [&person.username, &person.address]
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
