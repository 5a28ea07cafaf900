//! What the service vouches for.

use protocol::codec::decode_exact;
use protocol::entry::{FanOutKey, GroupEvent, Payload};
use protocol::id::Seq;
use protocol::receipt::{ChainHash, Receipt};

use super::client::{Client, delivery_key};
use super::{GROUP, pair};

fn event(of: &Client, payload: &[u8]) -> GroupEvent {
    let Ok(Payload::Group(sealed)) = decode_exact(payload) else {
        panic!("no event")
    };
    GroupEvent::open(&FanOutKey::of(&of.state_key()), sealed.as_slice()).unwrap()
}

/// [DS-RECEIPT-1] [DS-FANOUT-1]
#[test]
fn every_answer_and_every_event_carries_the_chain() {
    let (world, mut a, mut b) = pair();
    let vouched = |receipt: Receipt| {
        receipt.verify(&delivery_key().public_key(), GROUP).unwrap();
        receipt
    };
    let mut chain: Option<ChainHash> = None;
    for number in 2..5 {
        let (reply, _) = world.send(&mut a, b"one after the other").unwrap();
        let receipt = vouched(reply.receipt);
        assert_eq!(receipt.number, Seq(number));
        let told = event(&b, &world.deliver(&[&b])[0][0]);
        assert_eq!(told.receipt, receipt);
        if let Some(chain) = chain {
            assert_eq!(receipt.chain, chain.next(receipt.number, &told.content));
        }
        chain = Some(receipt.chain);
    }
    let request = b.update();
    let (reply, _) = world.commit(&b, &request).unwrap();
    let told = event(&a, &world.deliver(&[&a])[0][0]);
    assert_eq!(told.receipt, vouched(reply.receipt));
    let expected = chain.unwrap().next(Seq(5), &told.content);
    assert_eq!(
        told.receipt.chain, expected,
        "of the commit, the MLS message"
    );
}

/// [DS-RECEIPT-1] [DS-SEND-1]
#[test]
fn a_request_sent_again_gets_the_same_receipt() {
    let (world, mut a, _) = pair();
    let request = a.message(b"once");
    let send = || {
        let request = a.sign(request.clone(), &world.binding);
        let sent = world
            .delivery
            .send_message(request, &world.binding, world.now, &world.entropy);
        sent.unwrap().0.receipt
    };
    assert_eq!(send(), send());
    let request = a.update();
    let [first, again] = [0, 1].map(|_| world.commit(&a, &request).unwrap().0.receipt);
    assert_eq!(first, again);
}
