//! A server that withholds, reorders and forks, in front of clients that speak QUIC with it: each
//! shows at the next message at the latest, as an event with evidence that a third party checks.
//!
//! The services are the real ones. What is hostile stands between them: it keeps what the delivery
//! service has accepted, and hands it to the queues as it likes; and it shows itself to each of two
//! people as another server, over a copy of the same data. [DS-RECEIPT-1] [DS-RECEIPT-2]
//! [SDK-RECEIPT-1] [SDK-RECEIPT-2] [SDK-RECEIPT-3]

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is wrong with the scene fails the test"
)]

use std::path::Path;

use hearth_sdk::{Disorder, Event, EvidenceEntry, GroupId, Hearth, check_evidence};
use protocol::codec::{decode_exact, encode};
use protocol::crypto::credential::{IntermediateCredential, RootCredential};
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::signature::PrivateKey;
use protocol::evidence::{OrderClaim, OrderEvidence};
use protocol::id::Fingerprint;
use protocol::receipt::{ChainHash, Receipt};
use tests::connection::Failure;
use tests::people::{Witness, befriend, hear, invite, register_at};

use crate::door::Door;
use crate::services::{Services, root};

#[path = "receipts/door.rs"]
mod door;
#[path = "simulation/policies.rs"]
mod policies;
#[path = "receipts/services.rs"]
mod services;

/// Aspen and Birch in a group, each at a door of their own of one server that is honest so far.
struct Scene {
    doors: [Door; 2],
    aspen: Hearth,
    birch: Hearth,
    group: GroupId,
    _homes: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Result<Self, Failure> {
        let homes = tempfile::tempdir()?;
        let services = Services::new()?;
        let tls = door::tls(homes.path())?;
        let doors = [Door::open(&tls, &services)?, Door::open(&tls, &services)?];
        let [aspen, birch] = [
            person(&doors[0], homes.path(), "aspen").await?,
            person(&doors[1], homes.path(), "birch").await?,
        ];
        befriend(&aspen, &birch, "birch").await?;
        let group = aspen.create_group("walk").await?;
        invite(&aspen, group, &birch, "birch").await?;
        aspen.send(group, "aspen says hello").await?;
        hear(&birch, group, 1).await?;
        birch.send(group, "birch says hello").await?;
        hear(&aspen, group, 1).await?;
        for (person, name) in [(&aspen, "aspen"), (&birch, "birch")] {
            let evidence = person.evidence().await?;
            assert!(evidence.is_empty(), "{name} accuses an honest server");
        }
        Ok(Self {
            doors,
            aspen,
            birch,
            group,
            _homes: homes,
        })
    }
}

async fn person(door: &Door, homes: &Path, name: &str) -> Result<Hearth, Failure> {
    register_at(door.port(), homes, name).await
}

fn is_broken(how: Disorder) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::OrderBroken { how: told, .. } if *told == how)
}

/// The evidence that an event names.
async fn evidence(person: &Hearth, event: &Event) -> Result<EvidenceEntry, Failure> {
    let Event::OrderBroken { evidence, .. } = event else {
        return Err("no such event".into());
    };
    let mut kept = person.evidence().await?;
    kept.retain(|kept| Some(kept.id) == *evidence);
    kept.pop().ok_or_else(|| "the event has no evidence".into())
}

/// What a third party makes of evidence, who has its bytes and knows the domain by its root:
/// whether the domain's service is accused, and whether that is proof.
fn judge(bytes: &[u8], root: Fingerprint) -> Option<bool> {
    let accused = check_evidence(bytes).ok()?;
    let is_known = accused.domain.as_str() == "localhost" && accused.root == root;
    is_known.then_some(accused.is_proof)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withheld_shows_at_the_next_message() -> Result<(), Failure> {
    let scene = Scene::set().await?;
    let services = scene.doors[0].services();
    let mut witness = Witness::of(&scene.birch);
    services.hold();
    scene.aspen.send(scene.group, "aspen says one").await?;
    assert_eq!(services.held().len(), 1, "accepted, and not delivered");
    scene.aspen.send(scene.group, "aspen says two").await?;
    for parcel in services.held() {
        services.deliver(&parcel)?;
    }
    let told = witness.sees(is_broken(Disorder::Gap)).await?;
    let kept = evidence(&scene.birch, &told).await?;
    assert_eq!(judge(&kept.bytes, root()), Some(false));
    let heard = hear(&scene.birch, scene.group, 2).await?;
    assert_eq!(heard, ["aspen says hello", "aspen says two"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_another_order_shows() -> Result<(), Failure> {
    let scene = Scene::set().await?;
    let services = scene.doors[0].services();
    let mut witness = Witness::of(&scene.birch);
    services.hold();
    scene.aspen.send(scene.group, "aspen says one").await?;
    scene.aspen.send(scene.group, "aspen says two").await?;
    for parcel in services.held().iter().rev() {
        services.deliver(parcel)?;
    }
    for how in [Disorder::Gap, Disorder::Reordered] {
        let told = witness.sees(is_broken(how)).await?;
        let kept = evidence(&scene.birch, &told).await?;
        assert_eq!((kept.how, judge(&kept.bytes, root())), (how, Some(false)));
    }
    let heard = hear(&scene.birch, scene.group, 3).await?;
    assert_eq!(heard.len(), 3, "a message is read all the same");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orders_show_to_both_at_the_next_message_between_them() -> Result<(), Failure> {
    let scene = Scene::set().await?;
    let [to_aspen, to_birch] = &scene.doors;
    to_birch.lead_to(to_birch.services().fork()?);
    let (hers, his) = (to_aspen.services(), to_birch.services());
    hers.hold();
    his.hold();
    // Each is told that theirs is the next message, and is content with that.
    let number = scene.aspen.send(scene.group, "aspen was first").await?;
    let other = scene.birch.send(scene.group, "birch was first").await?;
    assert_eq!(number, other);
    drop((hers.held(), his.held()));
    assert!(scene.aspen.evidence().await?.is_empty());
    assert!(scene.birch.evidence().await?.is_empty());
    // What one says next reaches the other, over the fork.
    let mut at_birch = Witness::of(&scene.birch);
    scene
        .aspen
        .send(scene.group, "aspen says: and now?")
        .await?;
    for parcel in hers.held() {
        his.deliver(&parcel)?;
    }
    let told = at_birch.sees(is_broken(Disorder::Fork)).await?;
    let proof = evidence(&scene.birch, &told).await?;
    assert_eq!(judge(&proof.bytes, root()), Some(true));
    let mut at_aspen = Witness::of(&scene.aspen);
    scene.birch.send(scene.group, "birch says: look").await?;
    for parcel in his.held() {
        hers.deliver(&parcel)?;
    }
    let told = at_aspen.sees(is_broken(Disorder::Fork)).await?;
    let theirs = evidence(&scene.aspen, &told).await?;
    assert_eq!(judge(&theirs.bytes, root()), Some(true));
    forged_evidence_convinces_nobody(&proof.bytes)
}

/// What is not what the service signed, or no contradiction, or signed by others, is refused.
fn forged_evidence_convinces_nobody(proof: &[u8]) -> Result<(), Failure> {
    for place in 0..proof.len() {
        let mut altered = proof.to_vec();
        altered[place] ^= 1;
        assert_ne!(judge(&altered, root()), Some(true), "byte {place}");
    }
    for end in 0..proof.len() {
        assert_eq!(judge(&proof[..end], root()), None, "cut at {end}");
    }
    let true_one: OrderEvidence = decode_exact(proof)?;
    let altered = |alter: &dyn Fn(&mut OrderEvidence)| {
        let mut altered = true_one.clone();
        alter(&mut altered);
        judge(&encode(&altered), root())
    };
    let same_twice = altered(&|evidence| evidence.second = evidence.first);
    assert_eq!(same_twice, None, "an honest receipt against itself");
    let of_another_group = altered(&|evidence| evidence.group.0[0] ^= 1);
    assert_eq!(of_another_group, None);
    let stranger = PrivateKey::from_seed(&[7; 32]);
    let made_up = altered(&|evidence| {
        let chain = ChainHash([1; 32]);
        let number = evidence.first.number;
        evidence.second = Receipt::sign(&stranger, evidence.group, number, chain);
    });
    assert_eq!(made_up, None, "a receipt by somebody else");
    let framed = altered(&|evidence| frame(evidence, &stranger));
    assert_eq!(framed, None, "a whole domain of the accuser's making");
    let (claim, mut weaker) = (OrderClaim::Gap, true_one.clone());
    weaker.claim = claim;
    assert_eq!(judge(&encode(&weaker), root()), None, "another claim");
    Ok(())
}

/// Make a domain of the same name up, whose service signs what is wanted.
fn frame(evidence: &mut OrderEvidence, key: &PrivateKey) {
    let lifetime = evidence.keys.root.tbs.lifetime;
    let domain = evidence.delivery.tbs.domain.clone();
    let root = RootCredential::new(domain, key, lifetime);
    let lifetime = evidence.delivery.tbs.lifetime;
    let intermediate = IntermediateCredential::new(&root, key, key, lifetime);
    evidence.delivery = DeliveryCredential::new(&intermediate, key, key);
    evidence.keys.root = root;
    evidence.keys.intermediate = intermediate;
    let number = evidence.first.number;
    let sign = |byte| Receipt::sign(key, evidence.group, number, ChainHash([byte; 32]));
    (evidence.first, evidence.second) = (sign(1), sign(2));
    assert!(
        check_evidence(&encode(evidence)).is_ok_and(|accused| accused.is_proof),
        "only the root tells it from a true one"
    );
}
