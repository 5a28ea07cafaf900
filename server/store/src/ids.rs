//! How the identifiers of the protocol become keys: ids blinded, counters and times in order.

use protocol::id::{
    ClientId, ConnectionPackageId, Domain, Epoch, Fingerprint, GroupId, LeafIndex, LinkId, QueueId,
    ReplyId, Seq, TicketId, UserId, UsernameHash,
};

use crate::table::{Key, KeyWriter};

macro_rules! blinded_keys {
    ($($id:ident),*) => {$(
        impl Key for $id {
            fn encode_key(&self, out: &mut KeyWriter<'_>) {
                out.blinded(&self.0);
            }
        }
    )*};
}

blinded_keys!(
    ClientId,
    ConnectionPackageId,
    Fingerprint,
    GroupId,
    LinkId,
    QueueId,
    ReplyId,
    TicketId,
    UserId,
    UsernameHash
);

impl Key for Domain {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.blinded(self.as_str().as_bytes());
    }
}

impl Key for Seq {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(self.0);
    }
}

impl Key for Epoch {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(self.0);
    }
}

impl Key for LeafIndex {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u32(self.0);
    }
}

/// The only row of its table in a partition.
impl Key for () {
    fn encode_key(&self, _out: &mut KeyWriter<'_>) {}
}

impl Key for u64 {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u64(*self);
    }
}

impl Key for u32 {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        out.ordered_u32(*self);
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        self.0.encode_key(out);
        self.1.encode_key(out);
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn encode_key(&self, out: &mut KeyWriter<'_>) {
        self.0.encode_key(out);
        self.1.encode_key(out);
        self.2.encode_key(out);
    }
}
