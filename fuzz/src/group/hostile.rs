//! The hostile corpus: handshakes that each break one rule and are signed properly. A row names what
//! is wrong, where the rule stands, which valid request it was made from, and what the sender is
//! told.

mod commit;
mod group_info;
mod join;
mod package;
mod path;
mod propose;

use protocol::error::{ErrorCode, ErrorReply, Rule};

use crate::group::forgery::Forgery;
use crate::group::live::Live;

/// One way to break a rule.
pub(super) struct Case {
    /// What is wrong.
    name: &'static str,
    /// The rule: a section of RFC 9420, or a requirement of spec/delivery.md.
    breaks: &'static str,
    /// The valid request that it is made from.
    template: &'static str,
    expected: Expected,
    change: fn(&Live, &mut Forgery),
}

/// What the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Rule(Rule),
    Code(ErrorCode),
}

impl Expected {
    fn is(self, reply: ErrorReply) -> bool {
        match self {
            Self::Rule(rule) => reply == ErrorReply::invalid(rule),
            Self::Code(code) => reply.code == code,
        }
    }
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What is wrong.
    pub name: &'static str,
    /// The rule.
    pub breaks: &'static str,
    /// The operation that was tried.
    pub template: &'static str,
    /// What is not as it should be: nothing for a case that was refused for its reason, without a
    /// trace, and after which honest members talked.
    pub findings: Vec<String>,
}

/// Try every case on a server of its own.
#[must_use]
pub fn trials() -> Vec<Trial> {
    let live = Live::prepared();
    cases().iter().map(|case| case.run(live)).collect()
}

fn cases() -> Vec<Case> {
    [
        commit::FRAMING,
        commit::PROPOSALS,
        commit::POLICY,
        path::PATHS,
        path::LEAVES,
        package::PACKAGES,
        package::WELCOMES,
        group_info::INFOS,
        propose::PROPOSALS,
        join::JOINS,
    ]
    .into_iter()
    .flatten()
    .map(|row| Case::of(*row))
    .collect()
}

/// A case as it is written down: name, rule, template, what is told, what is changed.
pub(super) type Row = (
    &'static str,
    &'static str,
    &'static str,
    Expected,
    fn(&Live, &mut Forgery),
);

impl Case {
    fn of((name, breaks, template, expected, change): Row) -> Self {
        Self {
            name,
            breaks,
            template,
            expected,
            change,
        }
    }

    fn run(&self, live: &Live) -> Trial {
        let mut templates = live.templates.iter();
        let template = templates.find(|template| template.name == self.template);
        let template = template.unwrap();
        let mut forgery = Forgery::of(live, template);
        (self.change)(live, &mut forgery);
        let trial = live.trial(template.waits);
        let before = trial.rows();
        let mut findings = Vec::new();
        match forgery.send(live, &trial) {
            Ok(()) => findings.push("it is granted".to_owned()),
            Err(reply) if self.expected.is(reply) => {}
            Err(reply) => findings.push(format!("{reply:?} instead of {:?}", self.expected)),
        }
        if before != trial.rows() {
            findings.push("it changes a row".to_owned());
        }
        if !live.talks(&trial, template.waits) {
            findings.push("honest members cannot talk afterwards".to_owned());
        }
        Trial {
            name: self.name,
            breaks: self.breaks,
            template: self.template,
            findings,
        }
    }
}
