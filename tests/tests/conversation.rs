//! The whole story: people register, find each other, form a group and talk, through a server that
//! is killed in the middle. [DS-COMMIT-6] [QS-DELIVER-1] [QS-LISTEN-1] [STORE-DURABLE-1]

use hearth_sdk::{GroupId, Hearth};
use tests::connection::Failure;
use tests::process::Server;

use tests::people::{befriend, hear, invite, leave, of, received, register, remove, reopen};

/// Send numbered messages; gives the texts, each of which the server has acknowledged.
async fn say(
    person: &Hearth,
    group: GroupId,
    name: &str,
    range: std::ops::Range<u32>,
) -> Result<Vec<String>, Failure> {
    let mut said = Vec::new();
    for number in range {
        let text = format!("{name} says {number}");
        person.send(group, &text).await?;
        said.push(text);
    }
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_through_a_server_that_is_killed() -> Result<(), Failure> {
    let mut server = Server::start(&tests::process::program(), &std::env::temp_dir())?;
    let homes = tempfile::tempdir()?;
    let homes = homes.path();
    let aspen = register(&server, homes, "aspen").await?;
    let birch = register(&server, homes, "birch").await?;
    let cedar = register(&server, homes, "cedar").await?;
    befriend(&aspen, &birch, "birch").await?;
    befriend(&aspen, &cedar, "cedar").await?;
    let group = aspen.create_group("walk").await?;
    invite(&aspen, group, &birch, "birch").await?;
    invite(&aspen, group, &cedar, "cedar").await?;

    // Everybody is there: 400 messages.
    let (mut by_aspen, mut by_cedar) = tokio::try_join!(
        say(&aspen, group, "aspen", 0..200),
        say(&cedar, group, "cedar", 0..200)
    )?;
    // Birch goes; 200 messages, and the server is killed while they are sent.
    birch.sync().await?;
    birch.close().await;
    let half = say(&aspen, group, "aspen", 200..250).await?;
    by_aspen.extend(half);
    server.kill()?;
    let sending = async {
        tokio::try_join!(
            say(&aspen, group, "aspen", 250..300),
            say(&cedar, group, "cedar", 200..300)
        )
    };
    let restarting = async { tokio::task::block_in_place(|| server.restart()) };
    let ((more_aspen, more_cedar), ()) = tokio::try_join!(sending, restarting)?;
    by_aspen.extend(more_aspen);
    by_cedar.extend(more_cedar);
    // Birch returns; 400 more.
    let birch = reopen(homes, "birch").await?;
    let (more_aspen, more_birch) = tokio::try_join!(
        say(&aspen, group, "aspen", 300..500),
        say(&birch, group, "birch", 0..200)
    )?;
    by_aspen.extend(more_aspen);
    aspen.sync().await?;
    let heard = hear(&birch, group, by_aspen.len() + by_cedar.len()).await?;
    assert_eq!(
        of(&heard, "aspen"),
        by_aspen,
        "birch has all of aspen's, in order, once"
    );
    assert_eq!(
        of(&heard, "cedar"),
        by_cedar,
        "birch has all of cedar's, in order, once"
    );
    let heard = hear(&cedar, group, by_aspen.len() + more_birch.len()).await?;
    assert_eq!(of(&heard, "aspen"), by_aspen, "cedar has all of aspen's");
    assert_eq!(of(&heard, "birch"), more_birch, "cedar has all of birch's");
    assert_eq!(by_aspen.len() + by_cedar.len() + more_birch.len(), 1_000);

    after_the_removal(&server, homes, (aspen, birch, cedar), group).await
}

/// Cedar is removed and hears nothing more; keys are updated; dogwood joins and hears only the rest.
async fn after_the_removal(
    server: &Server,
    homes: &std::path::Path,
    (aspen, birch, cedar): (Hearth, Hearth, Hearth),
    group: GroupId,
) -> Result<(), Failure> {
    let before = received(&cedar, group).await?.len();
    remove(&aspen, group, "cedar").await?;
    let secret = say(&aspen, group, "aspen", 500..510).await?;
    leave(&cedar, group).await?;
    assert_eq!(
        received(&cedar, group).await?.len(),
        before,
        "cedar hears nothing later"
    );
    assert!(
        cedar.send(group, "am I still here?").await.is_err(),
        "cedar cannot send"
    );
    birch.sync().await?;
    birch.update_keys(group).await?;
    aspen.sync().await?;
    aspen.update_keys(group).await?;

    let dogwood = register(server, homes, "dogwood").await?;
    befriend(&aspen, &dogwood, "dogwood").await?;
    invite(&aspen, group, &dogwood, "dogwood").await?;
    let later = say(&birch, group, "birch", 200..210).await?;
    let heard = hear(&dogwood, group, later.len()).await?;
    aspen.sync().await?;
    assert_eq!(
        heard, later,
        "dogwood reads what comes after, and nothing else"
    );
    let members = dogwood.members(group).await?;
    assert_eq!(members.len(), 3);
    assert!(
        members.iter().all(|member| member.person.verified),
        "every identity is verified"
    );
    let heard = received(&birch, group).await?;
    assert!(of(&heard, "aspen").ends_with(&secret.iter().map(String::as_str).collect::<Vec<_>>()));
    for person in [aspen, birch, cedar, dogwood] {
        person.close().await;
    }
    let log = server.log()?;
    assert!(!log.contains("panicked"), "{log}");
    Ok(())
}
