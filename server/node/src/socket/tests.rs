//! Where the system steers datagrams, and whose addresses are refused.

use std::io::ErrorKind;
use std::time::Duration;

use super::*;

/// Loopback delivers before `send_to` returns; this is for a machine that is busy.
const LONG: Duration = Duration::from_secs(5);

fn open(shards: u16, front_door: FrontDoor) -> Sockets {
    let transport = Transport {
        shards,
        front_door,
        ..Transport::default()
    };
    Sockets::open("127.0.0.1:0".parse().unwrap(), &transport).unwrap()
}

/// Send a datagram, and say which of the sockets gets it; the front door is the last.
fn arrives_at(sockets: &Sockets, bytes: &[u8]) -> usize {
    let all: Vec<&UdpSocket> = sockets.workers.iter().chain(&sockets.door).collect();
    let address = sockets.workers[0].local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(bytes, address).unwrap();
    let deadline = crate::clock::instant() + LONG;
    let mut buffer = [0; 64];
    loop {
        for (index, socket) in all.iter().enumerate() {
            socket.set_nonblocking(true).unwrap();
            match socket.recv_from(&mut buffer) {
                Ok((length, _)) => {
                    assert_eq!(&buffer[..length], bytes);
                    return index;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(crate::clock::instant() < deadline, "it never arrives");
        std::thread::yield_now();
    }
}

fn short(id: u8) -> Vec<u8> {
    vec![0x40, id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// To an id as long as a client's first one.
fn long(first: u8, version: u8, id: u8) -> Vec<u8> {
    vec![first, 0, 0, 0, version, 8, id, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// To an id as long as those of connections.
fn later(first: u8, version: u8, id: u8) -> Vec<u8> {
    vec![first, 0, 0, 0, version, 10, id, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// [NODE-SHARD-1] [NODE-DOOR-1]
#[test]
fn ids_choose_the_worker_and_first_packets_go_to_the_front_door() {
    for shards in [1, 2, 3, 4] {
        let sockets = open(shards, FrontDoor::On);
        let door = usize::from(shards);
        for id in [0, 1, 2, 3, 7, 128, 254, 255] {
            let worker = usize::from(id) % door;
            assert_eq!(arrives_at(&sockets, &short(id)), worker);
            // Handshake packets, the fixed bit set or not.
            assert_eq!(arrives_at(&sockets, &long(0xe0, 1, id)), worker);
            assert_eq!(arrives_at(&sockets, &long(0xaf, 1, id)), worker);
            // Initial, 0-RTT and Retry packets, and other versions.
            for first in [0xc0, 0x80, 0xd0, 0xf0] {
                assert_eq!(arrives_at(&sockets, &long(first, 1, id)), door);
                assert_eq!(arrives_at(&sockets, &later(first, 1, id)), worker);
                assert_eq!(arrives_at(&sockets, &later(first, 2, id)), door);
            }
            assert_eq!(arrives_at(&sockets, &long(0xe0, 2, id)), door);
            assert_eq!(arrives_at(&sockets, &long(0xe0, 0, id)), door);
        }
        assert_eq!(arrives_at(&sockets, &[]), 0);
        assert_eq!(arrives_at(&sockets, &[0x40]), 0);
        assert_eq!(arrives_at(&sockets, &[0xc0, 0, 0, 0, 1]), 0);
    }
}

/// [NODE-SHARD-1]
#[test]
fn without_a_front_door_ids_choose_the_worker_for_every_packet() {
    let sockets = open(3, FrontDoor::Off);
    for id in [0, 1, 2, 3, 254, 255] {
        let worker = usize::from(id) % 3;
        assert_eq!(arrives_at(&sockets, &short(id)), worker);
        assert_eq!(arrives_at(&sockets, &long(0xc0, 1, id)), worker);
    }
    assert!(open(1, FrontDoor::Off).door.is_none());
}

#[test]
fn an_address_that_another_server_has_is_refused() {
    let sockets = open(2, FrontDoor::On);
    let address = sockets.workers[0].local_addr().unwrap();
    let again = Sockets::open(address, &Transport::default());
    assert!(matches!(again, Err(Error::Listen { .. })));
    drop(sockets);
    assert!(Sockets::open(address, &Transport::default()).is_ok());
}
