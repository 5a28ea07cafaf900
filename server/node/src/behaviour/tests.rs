//! What closes a connection, and what does not.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

/// Seconds after which a connection is closed whose counters `change` every second, and why.
fn closed_after(seconds: u32, mut change: impl FnMut(u32, &mut Counters)) -> Option<(u32, Ended)> {
    let limits = Watch::default();
    let mut behaviour = Behaviour::new(address(1), Duration::ZERO);
    let mut counters = Counters::default();
    for second in 1..=seconds {
        change(second, &mut counters);
        let judgement = behaviour.judge(&limits, counters, address(1), 0, SECOND * second);
        if let Some(why) = judgement.ends {
            return Some((second, why));
        }
    }
    None
}

/// [NODE-WATCH-1]
#[test]
fn floods_are_closed_within_three_seconds() {
    type Flood = fn(&mut Counters);
    let floods: [(&str, Flood); 8] = [
        ("datagrams", |c| c.datagrams += 5_001),
        ("pings", |c| c.pings += 400),
        ("challenges", |c| c.challenges += 100),
        ("retired ids", |c| c.retired += 61),
        ("resets", |c| c.resets += 8_000),
        ("empty stream frames", |c| c.streams += 10_000),
        ("windows", |c| c.windows += 10_000),
        ("migrations", |c| c.challenges_sent += 100),
    ];
    for (what, flood) in floods {
        let closed = closed_after(10, |_, counters| {
            counters.datagrams += 100;
            counters.bytes += 4_000;
            flood(counters);
        });
        assert!(
            closed.is_some_and(|(second, _)| second <= 3),
            "{what}: {closed:?}"
        );
    }
}

#[test]
fn what_is_just_too_much_is_closed_when_it_goes_on() {
    let closed = closed_after(20, |_, counters| {
        counters.datagrams += 60;
        counters.pings += 51;
    });
    assert_eq!(closed, Some((5, Ended::Flood)));
}

#[test]
fn honest_clients_stay() {
    // Keep-alives, small requests at the highest rate, an upload, a burst, a network change.
    let closed = closed_after(3_600, |second, counters| {
        counters.rtt = SECOND / (100 + second % 7);
        counters.acks += 100;
        counters.eliciting += 60;
        let datagrams = if second % 60 == 0 { 20_000 } else { 1_000 };
        counters.datagrams += datagrams;
        counters.bytes += datagrams * 600;
        counters.bytes_sent += 600_000;
        counters.streams += 800;
        counters.windows += 300;
        counters.pings += 1;
        counters.retired += u64::from(second % 30 == 0);
        counters.challenges_sent += if second % 60 == 0 { 2 } else { 0 };
    });
    assert_eq!(closed, None);
}

/// [NODE-WATCH-2]
#[test]
fn a_peer_that_acknowledges_nothing_is_given_up() {
    for acks in [0, 10] {
        let closed = closed_after(60, |_, counters| {
            counters.datagrams += 1;
            counters.pings += 1;
            counters.eliciting += 1;
            // Acknowledging the same packet over and over is no news.
            counters.acks += acks;
        });
        let (second, why) = closed.unwrap();
        assert_eq!(why, Ended::Unacknowledged);
        assert!((30..=36).contains(&second), "after {second} seconds");
    }
}

#[test]
fn silence_is_no_offence_when_all_is_acknowledged() {
    let closed = closed_after(600, |second, counters| {
        if second % 100 == 1 {
            counters.eliciting += 1;
            counters.datagrams += 1;
            counters.acks += 1;
            // The same round-trip time as before, by chance, every other time.
            counters.rtt += SECOND * u32::from(second % 200 == 1);
        }
    });
    assert_eq!(closed, None);
}

#[test]
fn what_is_not_confirmed_is_known() {
    let limits = Watch::default();
    let mut behaviour = Behaviour::new(address(1), Duration::ZERO);
    let mut counters = Counters::default();
    let mut unconfirmed = |written, acks, second| {
        counters.eliciting += 1;
        counters.datagrams += 1;
        counters.acks += u64::from(acks);
        counters.rtt += SECOND * acks;
        behaviour
            .judge(&limits, counters, address(1), written, SECOND * second)
            .unconfirmed
    };
    assert_eq!(unconfirmed(1_000, 1, 1), 0);
    assert_eq!(unconfirmed(50_000, 0, 2), 49_000);
    assert_eq!(unconfirmed(60_000, 0, 3), 59_000);
    assert_eq!(unconfirmed(60_000, 1, 4), 0);
}

#[test]
fn wandering_is_told_apart_from_flooding() {
    let limits = Watch::default();
    let mut behaviour = Behaviour::new(address(1), Duration::ZERO);
    let mut counters = Counters::default();
    let mut changes = 0;
    for second in 1..60_u16 {
        counters.datagrams += 1;
        let moved = address(1 + second % 2);
        let now = SECOND * u32::from(second);
        if let Some(why) = behaviour.judge(&limits, counters, moved, 0, now).ends {
            assert_eq!(why, Ended::Wandering);
            break;
        }
        changes += 1;
    }
    assert!(
        (8..=10).contains(&changes),
        "closed after {changes} changes"
    );
}
