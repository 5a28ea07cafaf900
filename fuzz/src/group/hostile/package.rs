//! Adds whose KeyPackage or whose Welcome breaks a rule.

use protocol::error::Rule;

use super::{Expected, Row};
use crate::group::anvil::{ADD, Package, Source, by_value};
use crate::group::bytes::{Reader, put_vector};
use crate::group::forgery::Forgery;
use crate::group::live::{Ask, Live};
use crate::group::member::opaque;

const COMMIT: Expected = Expected::Rule(Rule::Commit);
const PACKAGE: Expected = Expected::Rule(Rule::KeyPackage);
const MEMBERS: Expected = Expected::Rule(Rule::Members);
const WIRE_FORMAT: Expected = Expected::Rule(Rule::WireFormat);

/// Who is outside, among the signers.
const OUTSIDE: usize = 4;

/// KeyPackages that no member takes.
pub(super) const PACKAGES: &[Row] = &[
    (
        "a KeyPackage of another version",
        "RFC 9420 10.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| package.version = 2);
        },
    ),
    (
        "a KeyPackage of another ciphersuite",
        "RFC 9420 10.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| package.ciphersuite = 3);
        },
    ),
    (
        "a KeyPackage with one key for two ends",
        "RFC 9420 10.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| {
                package.init_key = package.leaf.encryption_key.clone();
            });
        },
    ),
    (
        "a KeyPackage with a leaf of a commit",
        "RFC 9420 10.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| {
                package.leaf.source = Source::Commit(vec![7; 32]);
            });
        },
    ),
    (
        "a KeyPackage that has expired",
        "RFC 9420 7.2",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| {
                package.leaf.source = Source::KeyPackage(1, 2);
            });
        },
    ),
    (
        "a KeyPackage that is not yet valid",
        "RFC 9420 7.2",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| {
                package.leaf.source = Source::KeyPackage(u64::MAX - 1, u64::MAX);
            });
        },
    ),
    (
        "a KeyPackage valid for too long",
        "DS-COMMIT-2",
        "add",
        PACKAGE,
        |live, it| {
            package(live, it, |package| {
                package.leaf.source = Source::KeyPackage(1, u64::MAX);
            });
        },
    ),
    (
        "a KeyPackage that supports too little",
        "RFC 9420 12.1.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| package.leaf.capabilities[2].clear());
        },
    ),
    (
        "a KeyPackage whose member could not leave",
        "RFC 9420 12.1.1",
        "add",
        COMMIT,
        |live, it| {
            package(live, it, |package| package.leaf.capabilities[3].clear());
        },
    ),
    (
        "a KeyPackage without an identity",
        "DS-COMMIT-2",
        "add",
        PACKAGE,
        |live, it| {
            package(live, it, |package| package.leaf.extensions.clear());
        },
    ),
    (
        "a KeyPackage with a pseudonym too long",
        "DS-COMMIT-2",
        "add",
        PACKAGE,
        |live, it| {
            package(live, it, |package| package.leaf.identity.push(1));
        },
    ),
    (
        "a KeyPackage with an extension that nobody knows",
        "DS-COMMIT-3",
        "add",
        PACKAGE,
        |live, it| {
            package(live, it, |package| {
                package.extensions.extend_from_slice(&[0xf0, 0xf0]);
                put_vector(&mut package.extensions, &[1]);
            });
        },
    ),
    (
        "a KeyPackage with a member's key",
        "RFC 9420 12.2",
        "add",
        COMMIT,
        |live, it| {
            replace(live, it, |package| {
                package.leaf.signature_key = live.signers[1].1.public_key().0.to_vec();
                package.sign(&live.signers[1].0);
            });
        },
    ),
    (
        "a KeyPackage signed by another",
        "RFC 9420 10.1",
        "add",
        COMMIT,
        |live, it| {
            replace(live, it, |package| package.sign_whole(&live.signers[1].0));
        },
    ),
    (
        "a KeyPackage with a leaf signed by another",
        "RFC 9420 7.3",
        "add",
        COMMIT,
        |live, it| {
            replace(live, it, |package| {
                package.leaf.sign(&live.signers[1].0, None);
                package.sign_whole(&live.signers[OUTSIDE].0);
            });
        },
    ),
];

/// Welcomes that are not for those who are added.
pub(super) const WELCOMES: &[Row] = &[
    (
        "no Welcome",
        "RFC 9420 12.4.3.1",
        "add",
        MEMBERS,
        |_, it| {
            welcome(it, |_| Vec::new());
        },
    ),
    (
        "half a Welcome",
        "RFC 9420 12.4.3.1",
        "add",
        WIRE_FORMAT,
        |_, it| {
            welcome(it, |bytes| bytes[..bytes.len() / 2].to_vec());
        },
    ),
    (
        "a Welcome and more",
        "WIRE-ENCODING-2",
        "add",
        WIRE_FORMAT,
        |_, it| {
            welcome(it, |bytes| [bytes, &[0]].concat());
        },
    ),
    (
        "somebody else's Welcome",
        "RFC 9420 12.4.3.1",
        "add",
        MEMBERS,
        |live, it| {
            let other = of(live, "add two");
            welcome(it, |_| other);
        },
    ),
    (
        "a Welcome for nobody",
        "RFC 9420 12.4.3.1",
        "update",
        MEMBERS,
        |live, it| {
            let other = of(live, "add");
            welcome(it, |_| other);
        },
    ),
    (
        "nobody described",
        "DS-COMMIT-6",
        "add",
        MEMBERS,
        |_, it| {
            let Ask::Commit(request) = &mut it.ask else {
                return;
            };
            request.added.clear();
        },
    ),
    (
        "one described twice",
        "DS-COMMIT-6",
        "add",
        MEMBERS,
        |_, it| {
            let Ask::Commit(request) = &mut it.ask else {
                return;
            };
            request.added.push(request.added[0].clone());
        },
    ),
];

/// Change what is added, signed by its owner.
fn package(live: &Live, it: &mut Forgery, change: impl FnOnce(&mut Package)) {
    replace(live, it, |package| {
        change(package);
        package.sign(&live.signers[OUTSIDE].0);
    });
}

fn replace(live: &Live, it: &mut Forgery, change: impl FnOnce(&mut Package)) {
    let mut package = Package::take(&mut Reader::new(&live.packages[0])).unwrap();
    change(&mut package);
    let proposals = &mut it.message.commit().unwrap().proposals;
    proposals[0] = by_value(ADD, &package.bytes());
}

fn welcome(it: &mut Forgery, change: impl FnOnce(&[u8]) -> Vec<u8>) {
    if let Ask::Commit(request) = &mut it.ask {
        request.welcome.welcome = opaque(change(request.welcome.welcome.as_slice()));
    }
}

/// The Welcome of another template.
fn of(live: &Live, name: &str) -> Vec<u8> {
    let mut templates = live.templates.iter();
    let template = templates.find(|template| template.name == name).unwrap();
    match &template.ask {
        Ask::Commit(request) => request.welcome.welcome.as_slice().to_vec(),
        Ask::Propose(_) | Ask::Join(_) => Vec::new(),
    }
}
