//! The attacks on connections at small size, one after the other because they measure, and the same
//! with the defence off, which must show. Threat model: DoS1. Full size: `./dev bench attack --full`.

use std::io::Write;
use std::time::Duration;

use tests::attack::fairness::{Appetite, Order, compete};
use tests::attack::program;
use tests::attack::spin::{self, spin};
use tests::connection::Failure;
use tests::process::program as hearthd;
use tests::siege::ground::Ground;
use tests::siege::namespace;
use tests::siege::run::{Program, Size, besiege};
use tokio::sync::Mutex;

/// Whoever measures holds it.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Run an attack; everything that it has to leave alone must be as it was.
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
async fn withstands(id: &str) -> Result<(), Failure> {
    let _alone = ALONE.lock().await;
    let program = program(id).ok_or("there is no such attack")?;
    let figure = besiege(&program, Size::Small, &hearthd(), &std::env::temp_dir()).await?;
    println!("{}", figure.json());
    assert!(figure.passed(), "{id}: {:#?}", figure.broken());
    Ok(())
}

/// Run an attack with its defence off; it must get further than it may.
async fn falls_without(id: &str) -> Result<(), Failure> {
    let _alone = ALONE.lock().await;
    let undefended = program(id).and_then(Program::undefended);
    let (program, bound) = undefended.ok_or("there is no such attack")?;
    let figure = besiege(&program, Size::Small, &hearthd(), &std::env::temp_dir()).await?;
    let broken = figure.broken();
    assert!(
        broken.iter().any(|broken| broken.starts_with(bound)),
        "{id} gets nowhere without its defence, which therefore shows nothing: {broken:?}"
    );
    Ok(())
}

macro_rules! sieges {
    ($outcome:ident: $($name:ident $id:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() -> Result<(), Failure> {
            $outcome($id).await
        }
    )*};
}

sieges! { withstands:
    t01_spoofed_first_packets_cost_no_state_and_reach_nobody "t01";
    t02_garbage_costs_no_state_and_reaches_nobody "t02";
    t03_one_network_completes_no_more_handshakes_than_its_own "t03";
    t04_many_networks_leave_room_for_newcomers "t04";
    t04_thousands_share_what_all_may "t04-spent";
    t05_half_open_handshakes_are_few_and_end "t05";
    t06_who_shows_no_key_is_closed "t06";
    t07_one_key_has_eight_connections "t07";
    t08_a_flood_of_pings_takes_no_memory_and_is_closed "t08";
    t09_junk_for_a_connection_harms_it_not "t09";
    t10_a_byte_out_of_order_pins_no_batch "t10";
    t11_gaps_take_no_memory "t11";
    t12_filled_windows_are_bounded_and_end "t12";
    t13_dribbled_requests_end "t13";
    t14_requests_taken_back_use_up_the_budget "t14";
    t15_floods_of_small_frames_are_closed "t15";
    t16_a_wandering_connection_is_closed_and_amplifies_nothing "t16";
    t17_readers_that_acknowledge_nothing_are_reaped "t17";
    t18_acknowledging_what_was_not_sent_closes "t18";
    t19_a_changed_port_loses_no_request_on_one_shard "t19-1";
    t19_a_changed_port_loses_no_request_on_two_shards "t19-2";
    t19_a_changed_port_loses_no_request_on_four_shards "t19-4";
    t22_a_token_validates_once "t22";
    t27_illegal_frames_end_their_connection_alone "t27";
    t29_a_first_message_in_two_datagrams_is_understood "t29";
}

#[tokio::test(flavor = "multi_thread")]
async fn t03_one_ipv6_network_completes_no_more_handshakes_than_its_own() -> Result<(), Failure> {
    from_many_networks("t03-6").await
}

#[tokio::test(flavor = "multi_thread")]
async fn t04_many_ipv6_networks_leave_room_for_newcomers() -> Result<(), Failure> {
    from_many_networks("t04-6").await
}

/// Run an attack from many IPv6 networks, which takes a namespace that has them: this test runs
/// itself in one. Where there is none, one IPv6 address attacks alone, and whoever reads the output
/// is told that nothing but the unit tests of the budgets has tried the longer prefixes.
async fn from_many_networks(id: &str) -> Result<(), Failure> {
    if namespace::is_inside() {
        return withstands(id).await;
    }
    // The thread that a test begins on has its name.
    let thread = std::thread::current();
    let test = thread.name().ok_or("the test has no name")?;
    let alone = ALONE.lock().await;
    let ran = tokio::task::block_in_place(|| {
        namespace::run_inside([test, "--exact", "--nocapture", "--test-threads=1"])
    })?;
    drop(alone);
    if let Some(status) = ran {
        assert!(status.success(), "{id} in a namespace: {status}");
        return Ok(());
    }
    let told = "no network namespace can be made here, so no attacker has two IPv6 networks: \
                prefixes of IPv6 are checked by the unit tests of server/node/src/budget.rs alone";
    // Not captured, as what is printed would be.
    writeln!(std::io::stderr(), "{test}: {told}")?;
    if namespace::has_loopback() {
        return withstands("t03-loopback6").await;
    }
    writeln!(std::io::stderr(), "{test}: there is no IPv6 at all")?;
    Ok(())
}

sieges! { falls_without:
    without_retry_spoofed_packets_begin_handshakes "t01";
    without_a_budget_one_network_takes_all_handshakes "t03";
    without_a_limit_one_key_has_any_number_of_connections "t07";
    without_supervision_a_flood_goes_on "t08";
    with_datagrams_in_batches_a_byte_pins_its_batch "t10";
    without_supervision_floods_of_frames_go_on "t15";
    without_supervision_a_connection_wanders_on "t16";
    without_supervision_the_silent_stay "t17";
}

/// Who wants most gets no more than the others, who want more than there is as well.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_a_share_while_others_wait() -> Result<(), Failure> {
    let _alone = ALONE.lock().await;
    let greedy = Appetite {
        connections: 6,
        requests: 16,
    };
    let modest = Appetite {
        connections: 1,
        requests: 4,
    };
    let people = [greedy, modest, modest, modest];
    let time = Duration::from_secs(4);
    let (hearthd, scratch) = (hearthd(), std::env::temp_dir());
    let share = async |order| {
        let served = compete((&hearthd, &scratch), order, &people, time).await?;
        println!("{order:?}: {served:?}");
        let all: u64 = served.iter().sum();
        Ok::<_, Failure>(served[0] * 100 / all.max(1))
    };
    let (fair, as_they_come) = (share(Order::Fair).await?, share(Order::AsTheyCome).await?);
    assert!(fair <= 30, "{fair} % for one of four");
    assert!(
        as_they_come >= 60,
        "without turns the greedy gets {as_they_come} %, so this shows nothing"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t30_random_frames_end_nothing_but_their_connection() -> Result<(), Failure> {
    let _alone = ALONE.lock().await;
    let ground = Ground::new(&hearthd(), &std::env::temp_dir(), &spin::settings())?;
    let before = ground.server.usage()?.resident;
    let seed = spin::fresh_seed();
    println!("seed {seed}");
    let spun = tokio::task::block_in_place(|| {
        spin(&ground, 5_000, seed, |_| {}).map_err(|error| format!("{error}: seed {seed}"))
    })?;
    assert!(spun.resident.saturating_sub(before) < 64 << 20, "{spun:?}");
    assert!(!ground.server.log()?.contains("panicked"));
    Ok(())
}
