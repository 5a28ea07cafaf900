//! Somebody who does not read, and everybody else.

use crate::testing::{World, texts, three_in_a_group};

/// More than one page of an outbox, and several times what the queue holds.
const MESSAGES: usize = 150;
const ENTRIES_MAX: u64 = 40;

/// [DS-OUTBOX-2] [QS-DELIVER-2]
#[test]
fn a_full_queue_holds_up_nobody_else_and_loses_nothing() {
    let world = World::with_small_queues(ENTRIES_MAX);
    let (mut people, group) = three_in_a_group(&world);
    let [mut aspen, mut birch, mut cedar] =
        ["aspen", "birch", "cedar"].map(|name| people.remove(name).unwrap());
    let (mut said, mut heard_by_cedar) = (Vec::new(), Vec::new());
    let mut say = |text: String| {
        aspen.send(&world, &group, &text);
        said.push((Some("Aspen".to_owned()), text));
    };
    for number in 0..MESSAGES {
        say(format!("{number}"));
        if number % 10 == 9 {
            heard_by_cedar.extend(texts(&cedar.sync(&world)));
        }
    }
    // Birch reads what fits, and each further message brings on what was held up.
    let mut heard_by_birch = Vec::new();
    for number in MESSAGES..MESSAGES + 10 {
        heard_by_birch.extend(texts(&birch.sync(&world)));
        say(format!("{number}"));
    }
    heard_by_birch.extend(texts(&birch.sync(&world)));
    heard_by_cedar.extend(texts(&cedar.sync(&world)));
    assert_eq!(
        heard_by_cedar, said,
        "who reads hears everything, in order and once"
    );
    assert_eq!(heard_by_birch, said, "so does who reads late");
}
