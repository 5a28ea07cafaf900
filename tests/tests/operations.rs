//! Each operation of the delivery service through the SDK, against a `hearthd` of its own.
//! [DS-CREATE-1] [DS-COMMIT-1] [DS-PROPOSE-1] [DS-PROPOSE-2] [DS-JOIN-2] [DS-JOIN-3] [DS-SEND-1]
//! [DS-SEND-2] [DS-TICKET-1]

use std::path::Path;

use hearth_sdk::{Event, GroupId, GroupKind, Hearth, LeafIndex, Leave, Remedy, Role};
use tests::connection::Failure;
use tests::people::{
    Witness, befriend, copy_home, hear, invite, leave, of, register, remove, reopen,
};
use tests::process::{Server, program};

use crate::vanished::Vanished;

#[path = "operations/vanished.rs"]
mod vanished;

fn server() -> Result<Server, Failure> {
    Server::start(&program(), &std::env::temp_dir())
}

/// Aspen, Birch and Cedar, of whom the first knows the others.
async fn three(server: &Server, homes: &Path) -> Result<[Hearth; 3], Failure> {
    let aspen = register(server, homes, "aspen").await?;
    let birch = register(server, homes, "birch").await?;
    let cedar = register(server, homes, "cedar").await?;
    befriend(&aspen, &birch, "birch").await?;
    befriend(&aspen, &cedar, "cedar").await?;
    Ok([aspen, birch, cedar])
}

async fn leaf(person: &Hearth, group: GroupId, name: &str) -> Result<LeafIndex, Failure> {
    let username = format!("{name}@localhost");
    let members = person.members(group).await?;
    let named = members
        .iter()
        .find(|member| member.person.username.as_deref() == Some(username.as_str()));
    Ok(named.ok_or("there is no such member")?.leaf)
}

async fn is_admin(person: &Hearth, group: GroupId) -> Result<bool, Failure> {
    let groups = person.groups().await?;
    let entry = groups.iter().find(|entry| entry.id == group);
    Ok(entry.ok_or("there is no such group")?.admin)
}

/// create_group, commit_group (several added at once, keys, roles, removal), send_message,
/// send_to_member, update_ticket, propose, delete_group.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_lives_from_its_creation_to_its_deletion() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, cedar] = three(&server, homes.path()).await?;
    let mut witness = Witness::of(&birch);
    let group = all_in_a_group([&aspen, &birch, &cedar], &mut witness).await?;

    // To one, by another ticket, with other keys.
    birch.update_ticket(group).await?;
    let to = leaf(&aspen, group, "birch").await?;
    aspen.send_to_member(group, to, "aspen to one").await?;
    let direct = |event: &Event| matches!(event, Event::DirectReceived { body, .. } if body == "aspen to one");
    witness.sees(direct).await?;
    cedar.update_keys(group).await?;
    aspen.sync().await?;
    aspen.send(group, "aspen to all again").await?;
    hear(&birch, group, 3).await?;
    let heard = hear(&cedar, group, 2).await?;
    assert_eq!(
        heard,
        ["aspen to all", "aspen to all again"],
        "the direct one is not Cedar's"
    );

    // Roles: who is made admin may remove, who is not may not.
    let refused = birch
        .remove(group, &[leaf(&aspen, group, "cedar").await?])
        .await;
    assert_eq!(refused.unwrap_err().code(), "not_admin");
    aspen.set_role(group, &[to], Role::Admin).await?;
    let promoted = |event: &Event| matches!(event, Event::RolesChanged { promoted, .. } if promoted.iter().any(|person| person.is_self));
    witness.sees(promoted).await?;
    assert!(is_admin(&birch, group).await?);
    aspen.sync().await?;
    remove(&aspen, group, "cedar").await?;
    leave(&cedar, group).await?;
    assert_eq!(
        cedar.send(group, "cedar").await.unwrap_err().code(),
        "not_found"
    );

    // The end: one leaves, the other deletes.
    birch.sync().await?;
    let own = birch.members(group).await?;
    let own = own.iter().find(|member| member.person.is_self);
    birch
        .set_role(
            group,
            &[own.ok_or("birch is no member")?.leaf],
            Role::Member,
        )
        .await?;
    assert_eq!(birch.leave(group).await?, Leave::Proposed);
    // Whoever stays commits the wish by itself.
    aspen.sync().await?;
    aspen.update_keys(group).await?;
    witness
        .sees(|event| matches!(event, Event::LeftGroup { .. }))
        .await?;
    aspen.delete_group(group).await?;
    let gone = aspen.send(group, "is anybody there?").await;
    assert_eq!(gone.unwrap_err().code(), "not_found");
    Ok(())
}

/// The first adds both others by one commit, and all hear it; the witness is the second's.
async fn all_in_a_group(
    [aspen, birch, cedar]: [&Hearth; 3],
    witness: &mut Witness,
) -> Result<GroupId, Failure> {
    let group = aspen.create_group("walk").await?;
    let mut contacts = Vec::new();
    for name in ["birch", "cedar"] {
        contacts.push(aspen.find_contact(&format!("{name}@localhost")).await?);
    }
    aspen.invite(group, &contacts).await?;
    let joined = |event: &Event| matches!(event, Event::GroupJoined { members, verified, .. } if members.len() == 3 && *verified);
    witness.sees(joined).await?;
    aspen.send(group, "aspen to all").await?;
    for listener in [birch, cedar] {
        assert_eq!(
            of(&hear(listener, group, 1).await?, "aspen"),
            ["aspen to all"]
        );
    }
    Ok(group)
}

/// delete_group, for those who are told.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_ends_the_group_for_everybody() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, _] = three(&server, homes.path()).await?;
    let group = aspen.create_group("walk").await?;
    invite(&aspen, group, &birch, "birch").await?;
    let refused = birch.delete_group(group).await;
    assert_eq!(refused.unwrap_err().code(), "not_admin");
    aspen.delete_group(group).await?;
    leave(&birch, group).await?;
    let told = |event: &Event| matches!(event, Event::GroupDeleted { by, .. } if by.verified);
    Witness::of(&birch).sees(told).await?;
    Ok(())
}

/// fetch_welcome_state: the state that a Welcome leads to is there after the group has moved on.
#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_who_comes_late_follows_what_happened_since() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, cedar] = three(&server, homes.path()).await?;
    let group = aspen.create_group("walk").await?;
    invite(&aspen, group, &birch, "birch").await?;
    cedar.sync().await?;
    cedar.close().await;
    let contact = aspen.find_contact("cedar@localhost").await?;
    aspen.invite(group, &[contact]).await?;
    aspen.send(group, "aspen before").await?;
    birch.sync().await?;
    birch.update_keys(group).await?;
    aspen.sync().await?;
    aspen.update_keys(group).await?;
    aspen.send(group, "aspen after").await?;
    let cedar = reopen(homes.path(), "cedar").await?;
    assert_eq!(
        hear(&cedar, group, 2).await?,
        ["aspen before", "aspen after"]
    );
    assert_eq!(cedar.members(group).await?.len(), 3);
    cedar.send(group, "cedar is here").await?;
    assert_eq!(
        of(&hear(&birch, group, 3).await?, "cedar"),
        ["cedar is here"]
    );
    Ok(())
}

/// fetch_external_state and join_group: the second person of a connection group.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_enters_a_connection_group_by_an_external_commit() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, _] = three(&server, homes.path()).await?;
    let contact = aspen.find_contact("birch@localhost").await?;
    birch.sync().await?;
    birch.close().await;
    let group = aspen.open_connection_group(contact).await?;
    let early = aspen.send(group, "too early").await;
    assert_eq!(early.unwrap_err().code(), "alone");
    // The group moves on before the other enters.
    aspen.update_keys(group).await?;
    let birch = reopen(homes.path(), "birch").await?;
    let entered = |event: &Event| matches!(event, Event::MembersChanged { added, by, .. } if added.len() == 1 && added[0] == *by && by.verified);
    let mut witness = Witness::of(&aspen);
    birch.sync().await?;
    witness.sees(entered).await?;
    let groups = birch.groups().await?;
    let entry = groups.first().ok_or("birch is in no group")?;
    assert_eq!(
        (entry.id, entry.kind, entry.members),
        (group, GroupKind::Connection, 2)
    );
    aspen.send(group, "aspen to birch").await?;
    assert_eq!(hear(&birch, group, 1).await?, ["aspen to birch"]);
    birch.send(group, "birch to aspen").await?;
    assert_eq!(hear(&aspen, group, 1).await?, ["birch to aspen"]);
    assert_eq!(aspen.open_connection_group(contact).await?, group);
    Ok(())
}

/// fetch_external_state and join_group: a home that comes back out of a backup has missed commits
/// that the queue does not hold any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_out_of_a_backup_resyncs_by_an_external_commit() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, _] = three(&server, homes.path()).await?;
    let group = aspen.create_group("walk").await?;
    invite(&aspen, group, &birch, "birch").await?;
    aspen.send(group, "aspen before").await?;
    hear(&birch, group, 1).await?;
    birch.close().await;
    copy_home(homes.path(), "birch", "backup")?;
    let birch = reopen(homes.path(), "birch").await?;
    for text in ["aspen meanwhile", "aspen meanwhile again"] {
        aspen.update_keys(group).await?;
        aspen.send(group, text).await?;
    }
    hear(&birch, group, 3).await?;
    birch.close().await;
    let birch = reopen(homes.path(), "backup").await?;
    aspen.send(group, "aspen after").await?;
    let mut witness = Witness::of(&birch);
    let healed = |event: &Event| {
        matches!(
            event,
            Event::GroupHealed {
                how: Remedy::Resynced,
                missed: Some(_),
                ..
            }
        )
    };
    witness.sees(healed).await?;
    aspen.sync().await?;
    aspen.send(group, "aspen to the one who is back").await?;
    let heard = hear(&birch, group, 2).await?;
    assert_eq!(heard, ["aspen before", "aspen to the one who is back"]);
    birch.send(group, "birch is back").await?;
    assert_eq!(hear(&aspen, group, 1).await?, ["birch is back"]);
    assert_eq!(aspen.members(group).await?.len(), 2);
    Ok(())
}

/// A member whose ticket opens no queue is proposed for removal by the service, and removed by
/// whoever stays. [DS-OUTBOX-5]
#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_queue_is_gone_is_proposed_for_removal() -> Result<(), Failure> {
    let (server, homes) = (server()?, tempfile::tempdir()?);
    let [aspen, birch, _] = three(&server, homes.path()).await?;
    let mut vanished = Vanished::register(&server, "dogwood").await?;
    aspen.connect(&"dogwood@localhost".parse()?).await?;
    vanished.accept().await?;
    aspen.sync().await?;
    let group = aspen.create_group("walk").await?;
    invite(&aspen, group, &birch, "birch").await?;
    let contact = aspen.find_contact("dogwood@localhost").await?;
    aspen.invite(group, &[contact]).await?;
    vanished.join_and_vanish().await?;
    assert_eq!(aspen.members(group).await?.len(), 3);
    let mut witness = Witness::of(&aspen);
    // The message finds no queue. What opens the group's state next has the service say so.
    aspen.send(group, "aspen says hello").await?;
    hear(&birch, group, 1).await?;
    birch.update_keys(group).await?;
    let proposed = |event: &Event| matches!(event, Event::RemovalProposed { member, .. } if member.username.as_deref() == Some("dogwood@localhost"));
    witness.sees(proposed).await?;
    aspen.sync().await?;
    aspen.update_keys(group).await?;
    assert_eq!(aspen.members(group).await?.len(), 2);
    let removed = |event: &Event| matches!(event, Event::MembersChanged { removed, .. } if removed.len() == 1);
    Witness::of(&birch).sees(removed).await?;
    Ok(())
}
