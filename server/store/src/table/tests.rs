//! Keys sort as their values do, and blinded parts tell nothing.

use std::sync::Arc;

use proptest::prelude::{any, prop, prop_assert_eq, proptest};
use protocol::id::{Seq, UserId};
use ring::hmac;

use crate::conformance::{ALPHA, store_over};
use crate::memory::MemoryBackend;
use crate::row_key::RowKey;
use crate::table::{Key, KeySuffix, KeyWriter};

fn encoded(key: &impl Key) -> KeySuffix {
    let blinding = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
    let mut row = RowKey::from_stored([0; RowKey::PREFIX_BYTES]);
    key.encode_key(&mut KeyWriter::new(&mut row, &blinding));
    KeySuffix::new(row.suffix().to_vec())
}

proptest! {
    #[test]
    fn keys_sort_as_their_values(a: (u64, u32, u64), b: (u64, u32, u64)) {
        prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
        prop_assert_eq!(encoded(&a).ordered_u64(), Some(a.2));
        prop_assert_eq!(encoded(&a).first_ordered_u64(), Some(a.0));
    }

    #[test]
    fn rows_of_an_id_stay_together_and_sort(id: [u8; 16], numbers in prop::array::uniform2(any::<u64>())) {
        let [a, b] = numbers.map(|number| encoded(&(UserId(id), Seq(number))));
        prop_assert_eq!(a.cmp(&b), numbers[0].cmp(&numbers[1]));
        prop_assert_eq!(&a.as_bytes()[..16], &b.as_bytes()[..16]);
    }
}

#[test]
fn partitions_of_a_space_differ_and_say_nothing() {
    let store = store_over(Arc::new(MemoryBackend::new()));
    let id = [0xab; 16];
    let partition = store.partition(ALPHA, &id);
    assert_ne!(partition, store.partition(crate::conformance::BETA, &id));
    assert_ne!(
        partition.id(),
        store.partition(crate::conformance::BETA, &id).id()
    );
    assert_ne!(partition.id(), &id);
    assert_eq!(partition, store.partition(ALPHA, &id));
    assert_eq!(format!("{partition:?}"), "Partition(alpha, ..)");
}
