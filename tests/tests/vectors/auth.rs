//! Vectors of the authentication service's operations, and of what contacts exchange.

use protocol::auth::{
    ClaimUsername, ClaimUsernameReply, FetchChallenge, FetchChallengeReply,
    FetchConnectionRequests, FetchConnectionRequestsReply, FetchServerKeys, FetchServerKeysReply,
    NumberedConnectionRequest, PublishConnectionPackages, PublishConnectionPackagesReply,
    RegisterAccount, RegisterAccountReply, ReleaseUsername, ReleaseUsernameReply,
    SendConnectionRequest, SendConnectionRequestReply, TakeConnectionPackage,
    TakeConnectionPackageReply, username_hash,
};
use protocol::codec::{decode_exact, encode};
use protocol::contact::{
    ConnectionAcceptance, ConnectionInvitation, ConnectionRequest, invitation_key,
};
use protocol::crypto::label;
use protocol::crypto::sealed::SymmetricKey;
use protocol::crypto::sealed::hash;
use protocol::crypto::signature::BadSignature;
use protocol::id::{ConnectionPackageId, GroupId, ReplyId, Seq, Username, UsernameHash};

use crate::operation::{reply, request, signed, vector};
use crate::sample::{self, NOW, counting, private_key};
use crate::vector::{Case, Fields, Vector, name};

const USERNAME_KEY: u8 = 4;

pub(crate) fn vectors() -> Vec<Vector> {
    [server(), usernames(), connections()].concat()
}

fn server() -> Vec<Vector> {
    let keys = sample::server_keys();
    let challenge = sample::challenge();
    let client = sample::client_request();
    let purpose = hash(label::FINGERPRINT, &encode(&client));
    let account = RegisterAccount {
        work: sample::work(&purpose),
        client,
    };
    let account_fields = Fields::new()
        .encoded("work", &account.work)
        .encoded("client", &account.client);
    let credential = sample::client_credential();
    vec![
        vector::<FetchServerKeys>(vec![
            request(&FetchServerKeys {}, Fields::new()),
            reply::<FetchServerKeys>(
                FetchServerKeysReply { keys: keys.clone() },
                Fields::new()
                    .encoded("root", &keys.root)
                    .encoded("intermediate", &keys.intermediate),
            ),
        ]),
        vector::<FetchChallenge>(vec![
            request(&FetchChallenge {}, Fields::new()),
            reply::<FetchChallenge>(
                FetchChallengeReply { challenge },
                Fields::new().encoded("challenge", &challenge),
            ),
        ]),
        vector::<RegisterAccount>(vec![
            request(&account, account_fields),
            reply::<RegisterAccount>(
                RegisterAccountReply {
                    credential: credential.clone(),
                },
                Fields::new().encoded("credential", &credential),
            ),
        ]),
        hash_of_username(),
    ]
}

fn hash_of_username() -> Vector {
    let case = |username: Username| {
        let fields = Fields::new()
            .bytes("name", username.name())
            .bytes("domain", username.domain().as_str());
        Case::computed(&username.to_string(), fields, move || {
            username_hash(&username).unwrap().0.to_vec()
        })
    };
    let cases = ["aspen@a.example", "aspen@b.example", "birch_2@a.example"]
        .map(|text| case(text.parse().unwrap()));
    Vector::new(
        "auth/username_hash",
        "auth.md#username-hash",
        "Bytes are the hash of the name at the domain.",
        cases.to_vec(),
    )
}

fn usernames() -> Vec<Vector> {
    let username = sample::username();
    let public_key = private_key(USERNAME_KEY).public_key();
    let purpose = [username.0, public_key.0].concat();
    let claim = ClaimUsername {
        work: sample::work(&hash(label::FINGERPRINT, &purpose)),
        username,
        public_key,
    };
    let claim_fields = Fields::new()
        .encoded("work", &claim.work)
        .encoded("username", &username)
        .encoded("public_key", &public_key);
    let expires = sample::days(90).not_after;
    let publish = PublishConnectionPackages {
        username,
        packages: vec![sample::connection_package(1), sample::connection_package(2)],
        last_resort: sample::connection_package(3),
    };
    let publish_fields = Fields::new()
        .encoded("username", &username)
        .encoded("packages[0]", &publish.packages[0])
        .encoded("packages[1]", &publish.packages[1])
        .encoded("last_resort", &publish.last_resort);
    vec![
        vector::<ClaimUsername>(vec![
            signed(&claim, USERNAME_KEY, claim_fields),
            reply::<ClaimUsername>(
                ClaimUsernameReply { expires },
                Fields::new().encoded("expires", &expires),
            ),
        ]),
        vector::<ReleaseUsername>(vec![
            signed(
                &ReleaseUsername { username },
                USERNAME_KEY,
                Fields::new().encoded("username", &username),
            ),
            reply::<ReleaseUsername>(ReleaseUsernameReply {}, Fields::new()),
        ]),
        vector::<PublishConnectionPackages>(vec![
            signed(&publish, USERNAME_KEY, publish_fields),
            reply::<PublishConnectionPackages>(PublishConnectionPackagesReply {}, Fields::new()),
        ]),
    ]
}

fn connections() -> Vec<Vector> {
    let username = sample::username();
    let package = sample::connection_package(1);
    let public_key = private_key(USERNAME_KEY).public_key();
    let sealed = sample::sealed_connection_request();
    let waiting = NumberedConnectionRequest {
        seq: Seq(7),
        request: sealed.clone(),
    };
    let by_name = || Fields::new().encoded("username", &username);
    vec![
        vector::<TakeConnectionPackage>(vec![
            request(&TakeConnectionPackage { username }, by_name()),
            reply::<TakeConnectionPackage>(
                TakeConnectionPackageReply {
                    public_key,
                    package: package.clone(),
                },
                Fields::new()
                    .encoded("public_key", &public_key)
                    .encoded("package", &package),
            ),
        ]),
        vector::<SendConnectionRequest>(vec![
            request(
                &SendConnectionRequest {
                    username,
                    request: sealed.clone(),
                },
                by_name().encoded("request", &sealed),
            ),
            reply::<SendConnectionRequest>(SendConnectionRequestReply {}, Fields::new()),
        ]),
        vector::<FetchConnectionRequests>(vec![
            signed(
                &FetchConnectionRequests {
                    username,
                    from: Seq(7),
                },
                USERNAME_KEY,
                by_name().encoded("from", &Seq(7)),
            ),
            reply::<FetchConnectionRequests>(
                FetchConnectionRequestsReply {
                    requests: vec![waiting.clone()],
                    packages_left: 2,
                },
                Fields::new()
                    .encoded("requests[0]", &waiting)
                    .encoded("packages_left", &2_u32),
            ),
        ]),
        contacts(),
    ]
}

/// [AUTH-CONNECTION-1] [AUTH-CONNECTION-2]
fn contacts() -> Vector {
    let (reply_id, reply_key) = (ReplyId(counting(0xc0)), sample::symmetric_key(0xd0));
    let (target, package) = (sample::username(), ConnectionPackageId([1; 16]));
    let contact = sample::contact();
    let asked = ConnectionRequest::new(
        contact.clone(),
        (reply_id, reply_key.clone()),
        (&target, package),
        &private_key(3),
    );
    let accepted = ConnectionAcceptance::new(contact.clone(), reply_id, &private_key(3));
    let fields = Fields::new()
        .bytes("signing_key_seed", [3; 32])
        .encoded("contact", &contact)
        .encoded("reply_id", &reply_id);
    let request_fields = |target: UsernameHash| {
        (fields.clone())
            .encoded("reply_key", &reply_key)
            .encoded("username", &target)
            .encoded("package", &package)
    };
    let request_case = |name_of_case: &str, target: UsernameHash| {
        let fields = request_fields(target);
        Case::new(name_of_case, fields, encode(&asked), move |bytes| {
            let asked: ConnectionRequest = decode_exact(bytes).map_err(name)?;
            let verified = asked.verify((&target, package), &sample::verified_keys(), NOW);
            verified.map(|_| encode(&asked)).map_err(name)
        })
    };
    let acceptance_case = |name_of_case: &str, reply_id: ReplyId| {
        let fields = fields.clone().encoded("expected_reply_id", &reply_id);
        Case::new(name_of_case, fields, encode(&accepted), move |bytes| {
            let accepted: ConnectionAcceptance = decode_exact(bytes).map_err(name)?;
            let verified = accepted.verify(reply_id, &sample::verified_keys(), NOW);
            verified.map(|_| encode(&accepted)).map_err(name)
        })
    };
    let refused = "BadSignature";
    assert_eq!(name(BadSignature), refused);
    Vector::new(
        "auth/contact",
        "auth.md#connections",
        "Bytes are a ConnectionRequest or a ConnectionAcceptance, not sealed, or a ConnectionInvitation as it is sealed.",
        vec![
            request_case("request", target),
            request_case(
                "request passed on to another username",
                UsernameHash([0; 32]),
            )
            .failing(refused),
            acceptance_case("acceptance", reply_id),
            acceptance_case("acceptance of another request", ReplyId([0; 16])).failing(refused),
            invitation(reply_id, &reply_key),
        ],
    )
}

/// What the second person of a connection group needs, as it is sealed.
fn invitation(reply_id: ReplyId, reply_key: &SymmetricKey) -> Case {
    let invitation = ConnectionInvitation {
        group: GroupId(counting(0xe0)),
        state_key: sample::symmetric_key(0x10),
        identity_key: sample::symmetric_key(0x20),
    };
    let key = invitation_key(reply_key);
    Case::new(
        "invitation, sealed",
        Fields::new()
            .encoded("reply_id", &reply_id)
            .encoded("reply_key", reply_key)
            .encoded("invitation_key", &key)
            .bytes("nonce", [0x30; 12])
            .encoded("group", &invitation.group)
            .encoded("state_key", &invitation.state_key)
            .encoded("identity_key", &invitation.identity_key),
        key.seal([0x30; 12], &reply_id.0, &encode(&invitation)),
        move |bytes| {
            let content = key.open(&reply_id.0, bytes).map_err(name)?;
            let opened: ConnectionInvitation = decode_exact(&content).map_err(name)?;
            Ok(key.seal([0x30; 12], &reply_id.0, &encode(&opened)))
        },
    )
}
