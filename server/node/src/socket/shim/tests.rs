//! What strangers can take from a connection by datagrams that carry its id.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;

use protocol::crypto::sealed::SymmetricKey;

use super::*;
use crate::clock::Stopwatch;
use crate::config::Connections;
use crate::gate::TransportMeters;
use crate::lag::Lag;
use crate::quic::TransportKeys;
use crate::quic::cid::{CID_BYTES, Shard};
use crate::socket::governor::Governor;
use crate::validation::Validation;

const NOW: Duration = Duration::from_secs(1_000);

fn gate() -> Arc<Gate> {
    let (lag, transport) = (Arc::new(Lag::default()), Transport::default());
    let validation = Validation::new(&Connections::default(), &transport, Arc::clone(&lag));
    Arc::new(Gate {
        cids: TransportKeys::derive(&SymmetricKey([1; 32])).cids(),
        governor: Governor::new(1_000, 48 << 10, 8 << 10),
        validation: Arc::new(validation),
        lag,
        watch: Stopwatch::start(),
        meters: TransportMeters::register(),
    })
}

fn shim(gate: &Arc<Gate>) -> Shim {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (alive, _) = mpsc::channel(1);
    let inbox = Arc::new(Inbox::new(1));
    Shim::new(
        socket,
        inbox,
        (&Transport::default(), true),
        Arc::clone(gate),
        alive,
    )
    .unwrap()
}

fn id(gate: &Gate) -> [u8; CID_BYTES] {
    let shard = Shard::new(0, NonZeroU8::MIN);
    let id = gate.cids.generate(Kind::Connection, shard);
    <[u8; CID_BYTES]>::try_from(&id[..]).unwrap()
}

/// A Handshake packet, as far as anybody reads it who has no keys.
fn long(id: &[u8; CID_BYTES]) -> Vec<u8> {
    let header = [0xe0, 0, 0, 0, 1, 10].as_slice();
    [header, id, &[0], &[0x40, 30], &[0; 30]].concat()
}

fn short(id: &[u8; CID_BYTES]) -> Vec<u8> {
    [[0x40].as_slice(), id, &[0; 30]].concat()
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn from(address: IpAddr, port: u16, bytes: &[u8]) -> RecvMeta {
    RecvMeta {
        addr: (address, port).into(),
        len: bytes.len(),
        stride: bytes.len(),
        ..RecvMeta::default()
    }
}

/// How many of these datagrams go on, each from the next address.
fn admitted(shim: &Shim, bytes: &[u8], addresses: impl Iterator<Item = u32>) -> usize {
    let metas = addresses.map(|number| from(address(number), 4_000, bytes));
    let judged = metas.map(|meta| shim.judge(bytes, &meta, NOW));
    judged.filter(Result::is_ok).count()
}

/// [NODE-FLOOD-1]
#[tokio::test]
async fn made_up_long_headers_take_nothing_from_whose_id_they_carry() {
    let gate = gate();
    let shim = shim(&gate);
    let id = id(&gate);
    gate.governor.prove(address(1));
    let strangers = admitted(&shim, &long(&id), 1_000..11_000);
    assert_eq!(
        strangers, 32,
        "one burst, however many addresses are made up"
    );
    let owner = || std::iter::repeat_n(1, 20);
    assert_eq!(admitted(&shim, &long(&id), owner()), 20);
    assert_eq!(admitted(&shim, &short(&id), owner()), 20);
}

/// [NODE-FLOOD-1]
#[tokio::test]
async fn long_headers_are_few_whoever_sends_them() {
    let gate = gate();
    let shim = shim(&gate);
    let id = id(&gate);
    gate.governor.prove(address(1));
    let owner = || std::iter::repeat_n(1, 1_000);
    assert_eq!(admitted(&shim, &long(&id), owner()), 32);
    assert!(
        admitted(&shim, &short(&id), owner()) > 100,
        "these have their own limit"
    );
}

/// [NODE-DOOR-1]
#[tokio::test]
async fn a_flood_of_first_packets_with_ids_as_long_as_ours_does_not_get_past_the_worker() {
    let gate = gate();
    let shim = shim(&gate);
    let id = id(&gate);
    let mut made_up = id;
    made_up[9] ^= 1;
    assert_eq!(admitted(&shim, &long(&made_up), 1_000..11_000), 50);
    assert_eq!(admitted(&shim, &long(&id), 1..2), 1);
}

/// [NODE-DOOR-3]
#[tokio::test]
async fn workers_take_nothing_from_ports_that_no_client_has() {
    let gate = gate();
    let shim = shim(&gate);
    let bytes = short(&id(&gate));
    let judge = |port| shim.judge(&bytes, &from(address(1), port, &bytes), NOW);
    assert_eq!(judge(53), Err(Lost::Port));
    assert_eq!(judge(4_000), Ok(()));
}
