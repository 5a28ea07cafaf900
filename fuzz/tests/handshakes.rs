//! The hostile corpus: each kind of invalid handshake is refused for its reason, leaves no trace, and
//! silences nobody. [DS-COMMIT-2] [DS-COMMIT-3] [DS-COMMIT-4] [DS-COMMIT-5] [DS-COMMIT-7]
//! [DS-PROPOSE-1] [DS-JOIN-2] [DS-ROLE-1] [DS-ROLE-2]

use std::collections::BTreeSet;

use fuzz::hostile::trials;

/// Kinds, at least.
const KINDS_MIN: usize = 60;

#[test]
fn every_invalid_handshake_is_refused_for_its_reason_and_without_a_trace() {
    let mut kinds = BTreeSet::new();
    let mut found = Vec::new();
    for trial in trials() {
        assert!(
            kinds.insert((trial.template, trial.name)),
            "{} is there twice",
            trial.name
        );
        for finding in &trial.findings {
            let (template, name, breaks) = (trial.template, trial.name, trial.breaks);
            found.push(format!("{template}: {name} ({breaks}): {finding}"));
        }
    }
    assert!(kinds.len() >= KINDS_MIN, "{} kinds", kinds.len());
    assert!(found.is_empty(), "{}", found.join("\n"));
}
