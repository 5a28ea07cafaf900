//! The targets, for bolero: corpora and random inputs as tests, libFuzzer with `cargo bolero`.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bolero::check;

const ITERATIONS: usize = 2_000;
const LENGTH_MAX: usize = 4_096;
const TIME: Duration = Duration::from_secs(4);

/// A test for each target. `check!` finds the corpus by the test's name.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check!(name = stringify!($name))
                .with_iterations(ITERATIONS)
                .with_max_len(LENGTH_MAX)
                .with_test_time(TIME)
                .for_each(|bytes: &[u8]| fuzz::$name(bytes));
        })*

        #[test]
        fn no_target_is_left_out() {
            let tested = [$(stringify!($name)),*];
            assert!(fuzz::TARGETS.iter().map(|(name, _)| *name).eq(tested));
        }
    };
}

targets! { client_frame reply entry contact credential roundtrip engine group }

/// A target whose corpus is not where bolero looks for it would pass without having run.
#[test]
fn a_target_gets_its_corpus_and_then_random_inputs() {
    static INPUTS: AtomicUsize = AtomicUsize::new(0);
    check!(name = "client_frame")
        .with_iterations(ITERATIONS)
        .with_max_len(LENGTH_MAX)
        .with_test_time(TIME)
        .for_each(|_: &[u8]| {
            INPUTS.fetch_add(1, Ordering::Relaxed);
        });
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__/client_frame/corpus");
    let files = std::fs::read_dir(corpus).map(Iterator::count);
    let files = files.unwrap_or_default();
    assert!(files > 0, "there is no corpus");
    assert_eq!(INPUTS.load(Ordering::Relaxed), files + ITERATIONS);
}
