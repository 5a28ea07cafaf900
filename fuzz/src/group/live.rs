//! A homeserver in memory with a living group of four, and every valid request that its members
//! could make next. Made once; each trial gets a copy of the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use engine::{Engine, Served};
use openmls::prelude::{LeafNodeIndex, Lifetime};
use openmls_basic_credential::SignatureKeyPair;
use protocol::crypto::delivery_credential::DeliveryCredential;
use protocol::crypto::signature::PrivateKey;
use protocol::crypto::signed::{Binding, Signed};
use protocol::delivery::{
    CommitGroup, FetchExternalState, JoinGroup, Propose, RequestGroupId, SendMessage,
};
use protocol::error::ErrorReply;
use protocol::request::{Operation, decode_reply, encode_request, encode_signed};
use protocol::time::Timestamp;
use store::{Entropy, MemoryBackend, Row, StorageKey, Store};
use tls_codec::Serialize;

use crate::group::member::{Member, context, keys};
use crate::server::world::{configuration, domain};

/// Members of the group; the first is admin. One more is somebody to add.
pub(super) const MEMBERS: usize = 4;

/// A request before it is signed.
#[derive(Clone)]
pub(super) enum Ask {
    Commit(CommitGroup),
    Propose(Propose),
    Join(JoinGroup),
}

/// A valid request: whose it is, and whether a wish to leave waits.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) by: usize,
    pub(super) waits: bool,
    pub(super) ask: Ask,
}

/// What everything is made from.
pub(super) struct Live {
    quiet: MemoryBackend,
    waiting: MemoryBackend,
    pub(super) templates: Vec<Template>,
    /// What MLS allows and the group does not.
    pub(super) outlaws: Vec<Template>,
    pub(super) signers: Vec<(SignatureKeyPair, PrivateKey)>,
    /// The GroupContext of the present epoch.
    pub(super) context: Vec<u8>,
    /// Its interim transcript hash.
    pub(super) interim: Vec<u8>,
    pub(super) service: DeliveryCredential,
    /// KeyPackages of people outside.
    pub(super) packages: Vec<Vec<u8>>,
    honest: [Honest; 2],
    now: Timestamp,
}

/// What an honest member says and commits, to show that the group lives: the quiet world's and the
/// waiting one's.
struct Honest {
    message: SendMessage,
    commit: CommitGroup,
}

/// A server to try something on.
pub(super) struct Trial {
    backend: Arc<MemoryBackend>,
    engine: Engine,
    now: Timestamp,
}

/// Distinct bytes: no store repeats a nonce.
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            for (byte, from) in chunk.iter_mut().zip(count.iter().rev()) {
                *byte = *from;
            }
        }
    }
}

impl Live {
    /// The only one.
    pub(super) fn prepared() -> &'static Self {
        static PREPARED: OnceLock<Live> = OnceLock::new();
        PREPARED.get_or_init(Self::make)
    }

    fn make() -> Self {
        // The time that OpenMLS's own clock shows.
        let now = Timestamp(Lifetime::new(0).not_after());
        let trial = Trial::over(MemoryBackend::new(), 0, now);
        let mut members = people(MEMBERS);
        let outside = outside();
        let service = found(&trial, &mut members);
        let mut templates = quiet_templates(&mut members, &outside, &service);
        let outlaws = outlaws(&mut members, &outside, &service);
        let quiet = trial.backend.after_crash();
        let honest_quiet = Honest::make(&mut members);
        let wish = members[2].propose();
        trial.grant(&wish, &members[2].key);
        let waiting = trial.backend.after_crash();
        for member in [0, 1] {
            members[member].learn(wish.proposal.as_slice());
        }
        templates.extend(waiting_templates(&mut members, &outside));
        let honest_waiting = Honest::make(&mut members);
        Self {
            quiet,
            waiting,
            templates,
            outlaws,
            context: members[0].group_info().context(),
            interim: members[0].group_info().interim_hash(),
            signers: members
                .iter()
                .chain(&outside)
                .map(|member| keys(member.number))
                .collect(),
            service,
            packages: outside
                .iter()
                .map(|other| other.key_package().tls_serialize_detached().unwrap())
                .collect(),
            honest: [honest_quiet, honest_waiting],
            now,
        }
    }

    /// A request by its name.
    pub(super) fn template(&self, name: &str) -> &Template {
        let mut all = self.templates.iter().chain(&self.outlaws);
        all.find(|template| template.name == name).unwrap()
    }

    /// A copy of the server, in which a wish to leave waits or does not.
    pub(super) fn trial(&self, waits: bool) -> Trial {
        let backend = if waits { &self.waiting } else { &self.quiet };
        Trial::over(backend.after_crash(), 1 << 32, self.now)
    }

    /// Whether honest members still talk: a message, then a commit.
    pub(super) fn talks(&self, trial: &Trial, waits: bool) -> bool {
        let honest = &self.honest[usize::from(waits)];
        let said = trial.ask(&honest.message, &self.signers[3].1);
        let changed = trial.ask(&honest.commit, &self.signers[0].1);
        said.is_ok() && changed.is_ok()
    }
}

impl Honest {
    fn make(members: &mut [Member]) -> Self {
        Self {
            message: members[3].message(),
            commit: members[0].tried(|builder| builder.force_self_update(true), &[]),
        }
    }
}

/// People who are to be members, or are outside.
fn people(count: usize) -> Vec<Member> {
    let numbers = (0..count).map(|number| u8::try_from(number).unwrap() + 1);
    numbers
        .map(|number| Member::new(number, domain()))
        .collect()
}

fn outside() -> Vec<Member> {
    [11, 12].map(|number| Member::new(number, domain())).into()
}

/// Create the group and bring everybody in.
fn found(trial: &Trial, members: &mut [Member]) -> DeliveryCredential {
    let asked = trial.answer(&encode_request(&RequestGroupId {}));
    let id = decode_reply::<<RequestGroupId as Operation>::Reply>(&asked);
    let id = id.unwrap().unwrap();
    let (first, others) = members.split_first_mut().unwrap();
    trial.grant(&first.create(id.group, &id.delivery), &first.key);
    let packages: Vec<_> = others.iter().map(Member::key_package).collect();
    let joining: Vec<&Member> = others.iter().collect();
    let request = first.commit(|builder| builder.propose_adds(packages), &joining);
    trial.grant(&request, &first.key);
    first.merge();
    for other in others {
        other.join(request.welcome.welcome.as_slice(), first);
    }
    id.delivery
}

fn quiet_templates(
    members: &mut [Member],
    outside: &[Member],
    service: &DeliveryCredential,
) -> Vec<Template> {
    let template = |name, by, ask| Template {
        name,
        by,
        waits: false,
        ask,
    };
    let [package, other] = [0, 1].map(|number: usize| outside[number].key_package());
    let both = [&outside[0], &outside[1]];
    let admins = context(service, &[members[0].pseudonym(), members[1].pseudonym()]);
    let update = members[0].tried(|builder| builder.force_self_update(true), &[]);
    let by_member = members[1].tried(|builder| builder.force_self_update(true), &[]);
    let add = members[0].tried(
        |builder| builder.propose_adds([package.clone()]),
        &both[..1],
    );
    let add_two = members[0].tried(|builder| builder.propose_adds([package, other]), &both);
    let leaf = LeafNodeIndex::new(3);
    let remove = members[0].tried(|builder| builder.propose_removals([leaf]), &[]);
    let roles = members[0].tried(
        |builder| builder.propose_group_context_extensions(admins).unwrap(),
        &[],
    );
    let wish = members[1].propose();
    let resync = members[3].resync(&members[0]);
    vec![
        template("update", 0, Ask::Commit(update)),
        template("update by a member", 1, Ask::Commit(by_member)),
        template("add", 0, Ask::Commit(add)),
        template("add two", 0, Ask::Commit(add_two)),
        template("remove", 0, Ask::Commit(remove)),
        template("roles", 0, Ask::Commit(roles)),
        template("wish", 1, Ask::Propose(wish)),
        template("resync", 3, Ask::Join(resync)),
    ]
}

/// Commits that are right but for what the group allows.
fn outlaws(
    members: &mut [Member],
    outside: &[Member],
    service: &DeliveryCredential,
) -> Vec<Template> {
    let template = |name, by, ask| Template {
        name,
        by,
        waits: false,
        ask: Ask::Commit(ask),
    };
    let package = outside[0].key_package();
    let leaf = LeafNodeIndex::new(3);
    let nobody = context(service, &[outside[0].pseudonym()]);
    let remove = members[1].tried(|builder| builder.propose_removals([leaf]), &[]);
    let add = members[1].tried(|builder| builder.propose_adds([package]), &[&outside[0]]);
    let abdicate = members[0].tried(
        |builder| builder.propose_group_context_extensions(nobody).unwrap(),
        &[],
    );
    vec![
        template("removal by a member", 1, remove),
        template("addition by a member", 1, add),
        template("abdication", 0, abdicate),
    ]
}

fn waiting_templates(members: &mut [Member], outside: &[Member]) -> Vec<Template> {
    let package = outside[0].key_package();
    let settle = members[1].tried(|builder| builder.force_self_update(true), &[]);
    let add = members[0].tried(|builder| builder.propose_adds([package]), &[&outside[0]]);
    let template = |name, by, ask| Template {
        name,
        by,
        waits: true,
        ask: Ask::Commit(ask),
    };
    vec![
        template("settle", 1, settle),
        template("settle and add", 0, add),
    ]
}

impl Trial {
    fn over(backend: MemoryBackend, entropy: u64, now: Timestamp) -> Self {
        let backend = Arc::new(backend);
        let entropy: Arc<dyn Entropy> = Arc::new(Counting(AtomicU64::new(entropy)));
        let key = StorageKey::from_bytes([1; 32]);
        let store = Store::new(Arc::clone(&backend) as _, &key, Arc::clone(&entropy));
        let engine = Engine::new(&store, configuration(now), entropy, now).unwrap();
        Self {
            backend,
            engine,
            now,
        }
    }

    /// The payload that answers a payload.
    fn answer(&self, payload: &[u8]) -> Vec<u8> {
        match self.engine.serve(payload, &binding(), self.now) {
            Served::Reply { payload, .. } | Served::Listen { payload, .. } => payload,
        }
    }

    /// Ask for something.
    pub(super) fn ask<T>(&self, request: &T, key: &PrivateKey) -> Result<T::Reply, ErrorReply>
    where
        T: Operation + Serialize + Clone,
    {
        let signed = Signed::new(request.clone(), key, &binding());
        decode_reply(&self.answer(&encode_signed(&signed))).unwrap()
    }

    fn grant<T: Operation + Serialize + Clone>(&self, request: &T, key: &PrivateKey) {
        let granted = self.ask(request, key);
        if let Err(error) = granted {
            panic!("{} is refused: {error:?}", T::ENTRY.name);
        }
    }

    /// The present state, under a key that should open it.
    pub(super) fn fetch(
        &self,
        request: &FetchExternalState,
    ) -> Result<<FetchExternalState as Operation>::Reply, ErrorReply> {
        decode_reply(&self.answer(&encode_request(request))).unwrap()
    }

    /// All rows as they are stored.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.backend.rows()
    }
}

fn binding() -> Binding {
    Binding {
        domain: domain(),
        exporter: [0xe0; 32],
    }
}
