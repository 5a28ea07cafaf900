//! What arrives in a queue, layer by layer, and what is said on a listen stream.

use protocol::codec::encode;
use protocol::crypto::ratchet::Ratchet;
use protocol::crypto::sealed::SymmetricKey;
use protocol::entry::{Delivered, Entry, GroupEvent, NumberedEntry, Payload};
use protocol::frame::bucket;
use protocol::id::Seq;
use protocol::queue::{Ack, ListenEvent};

use crate::canonical;

/// Any layer. What is sealed under other keys does not open. [QS-ENTRY-1]
pub fn entry(bytes: &[u8]) {
    canonical::<Ack>(bytes);
    canonical::<ListenEvent>(bytes);
    canonical::<NumberedEntry>(bytes);
    canonical::<Payload>(bytes);
    canonical::<GroupEvent>(bytes);
    if let Some(Entry::Item(sealed)) = canonical(bytes) {
        let key = Ratchet::new(SymmetricKey([0; 32])).advance();
        assert!(
            key.open(Seq(0), sealed.as_slice()).is_err(),
            "a forged item opens"
        );
    }
    if let Some(delivered) = canonical::<Delivered>(bytes) {
        canonical::<Payload>(delivered.payload.as_slice());
        let padded = encode(&Delivered::new(delivered.ticket, delivered.payload));
        assert!(
            padded.len() <= bucket(padded.len()),
            "padding leaves the bucket"
        );
    }
    let opened = GroupEvent::open(&protocol::entry::FanOutKey::from_bytes([0; 32]), bytes);
    assert!(opened.is_err(), "a forged group event opens");
}
