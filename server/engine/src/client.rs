//! One request of a client: payload in, payload out. The `match`es here say what each service
//! learns.

use auth::Error as AuthError;
use delivery::Error as DeliveryError;
use protocol::codec::decode_exact;
use protocol::crypto::signed::Binding;
use protocol::crypto::signed::Signed;
use protocol::error::{ErrorCode, ErrorReply};
use protocol::id::Seq;
use protocol::queue::{Ack, Listen};
use protocol::request::{Request, encode_reply};
use protocol::time::Timestamp;
use queue::Error as QueueError;
use queue::{Batch, Listener};
use tls_codec::Serialize;

use crate::{Effects, Engine, Outcome};

/// How a request is answered.
#[derive(Debug)]
pub enum Served {
    /// With one frame.
    Reply {
        /// Its payload.
        payload: Vec<u8>,
        /// What to do next.
        effects: Effects,
        /// Whose fault it is.
        outcome: Outcome,
    },
    /// With a stream of frames.
    Listen {
        /// The right to read the queue.
        listener: Listener,
        /// Payload of the first frame.
        payload: Vec<u8>,
        /// What to do next.
        effects: Effects,
    },
}

impl Served {
    fn new<T: Serialize>(reply: &Result<T, ErrorReply>, effects: Effects) -> Self {
        Self::Reply {
            outcome: Outcome::of(reply),
            payload: encode_reply(reply),
            effects,
        }
    }

    /// A reply without effects.
    fn plain<T: Serialize, E: Failure>(reply: Result<T, E>) -> Self {
        Self::new(&reply.map_err(|error| report(&error)), Effects::default())
    }

    /// A reply whose service returned a hint beside it.
    fn with<T: Serialize, H, E: Failure>(
        reply: Result<(T, H), E>,
        effects: impl FnOnce(H) -> Effects,
    ) -> Self {
        match reply {
            Ok((reply, hint)) => Self::new(&Ok(reply), effects(hint)),
            Err(error) => Self::new::<T>(&Err(report(&error)), Effects::default()),
        }
    }
}

impl Engine {
    /// Answer one request. `payload` is a frame's payload, `binding` the connection it came on.
    #[must_use]
    pub fn serve(&self, payload: &[u8], binding: &Binding, now: Timestamp) -> Served {
        match Request::decode(payload) {
            Ok(Request::Auth(request)) => self.serve_auth(request, binding, now),
            Ok(Request::Delivery(request)) => self.serve_delivery(request, binding, now),
            Ok(Request::Queue(request)) => self.serve_queue(request, binding, now),
            Err(code) => Served::new::<()>(&Err(code.into()), Effects::default()),
        }
    }

    fn serve_auth(
        &self,
        request: protocol::auth::Request,
        binding: &Binding,
        now: Timestamp,
    ) -> Served {
        use protocol::auth::Request as R;
        let (auth, entropy) = (&self.auth, &*self.entropy);
        match request {
            R::FetchServerKeys(_) => Served::plain::<_, AuthError>(Ok(auth.fetch_server_keys())),
            R::FetchChallenge(_) => {
                Served::plain::<_, AuthError>(Ok(auth.fetch_challenge(now, entropy)))
            }
            R::RegisterAccount(request) => {
                Served::plain(auth.register_account(request, now, entropy))
            }
            R::ClaimUsername(request) => {
                Served::plain(auth.claim_username(request, binding, now, entropy))
            }
            R::ReleaseUsername(request) => {
                Served::plain(auth.release_username(request, binding, now, entropy))
            }
            R::PublishConnectionPackages(request) => {
                Served::plain(auth.publish_connection_packages(request, binding, now, entropy))
            }
            R::TakeConnectionPackage(request) => {
                Served::plain(auth.take_connection_package(request, now, entropy))
            }
            R::SendConnectionRequest(request) => {
                Served::plain(auth.send_connection_request(request, now, entropy))
            }
            R::FetchConnectionRequests(request) => {
                Served::plain(auth.fetch_connection_requests(request, binding, now, entropy))
            }
        }
    }

    fn serve_delivery(
        &self,
        request: protocol::delivery::Request,
        binding: &Binding,
        now: Timestamp,
    ) -> Served {
        use protocol::delivery::Request as R;
        let (delivery, entropy) = (&self.delivery, &*self.entropy);
        let ship = |outbox| Effects {
            ship: vec![outbox],
            ..Effects::default()
        };
        match request {
            R::RequestGroupId(_) => {
                Served::plain::<_, DeliveryError>(Ok(delivery.request_group_id(entropy)))
            }
            R::CreateGroup(request) => {
                Served::plain(delivery.create_group(request, binding, now, entropy))
            }
            R::CommitGroup(request) => {
                Served::with(delivery.commit_group(request, binding, now, entropy), ship)
            }
            R::SendMessage(request) => {
                Served::with(delivery.send_message(request, binding, now, entropy), ship)
            }
            R::FetchWelcomeState(request) => {
                Served::plain(delivery.fetch_welcome_state(request, now))
            }
            R::Complain(request) => {
                Served::with(delivery.complain(request, binding, now, entropy), ship)
            }
            R::FetchExternalState(request) => Served::plain(delivery.fetch_external_state(request)),
            R::SendToMember(request) => Served::with(
                delivery.send_to_member(request, binding, now, entropy),
                ship,
            ),
            R::Propose(request) => {
                Served::with(delivery.propose(request, binding, now, entropy), ship)
            }
            R::JoinGroup(request) => {
                Served::with(delivery.join_group(request, binding, now, entropy), ship)
            }
            R::UpdateTicket(request) => {
                Served::plain(delivery.update_ticket(request, binding, now, entropy))
            }
            R::DeleteGroup(request) => {
                Served::with(delivery.delete_group(request, binding, now, entropy), ship)
            }
        }
    }

    fn serve_queue(
        &self,
        request: protocol::queue::Request,
        binding: &Binding,
        now: Timestamp,
    ) -> Served {
        use protocol::queue::Request as R;
        let (queue, entropy) = (&self.queue, &*self.entropy);
        match request {
            R::CreateQueue(request) => {
                Served::plain(queue.create_queue(request, binding, now, entropy))
            }
            R::TakeTickets(request) => Served::plain(queue.take_tickets(request, binding, entropy)),
            R::PublishKeyPackages(request) => {
                Served::plain(queue.publish_key_packages(request, binding, now, entropy))
            }
            R::TakeKeyPackage(request) => {
                Served::with(queue.take_key_package(request, now, entropy), |low| {
                    Effects {
                        stock_low: low.into_iter().collect(),
                        ..Effects::default()
                    }
                })
            }
            R::Listen(request) => self.serve_listen(request, binding),
            R::PostEntry(request) => {
                Served::with(queue.post_entry(request, now, entropy), |wake| Effects {
                    wake: wake.into_iter().collect(),
                    ..Effects::default()
                })
            }
        }
    }

    fn serve_listen(&self, request: Signed<Listen>, binding: &Binding) -> Served {
        match self.queue.listen(request, binding, &*self.entropy) {
            Ok((listener, reply)) => Served::Listen {
                listener,
                payload: encode_reply(&Ok(reply)),
                effects: Effects::default(),
            },
            Err(error) => Served::new::<()>(&Err(report(&error)), Effects::default()),
        }
    }

    /// The next entries for a listener, from `from` on, as the payload of a frame.
    ///
    /// # Errors
    /// The store's fault.
    pub fn entries(&self, listener: &Listener, from: Seq) -> Result<Batch, ErrorReply> {
        self.queue
            .entries(listener, from)
            .map_err(|error| report(&error))
    }

    /// Take an acknowledgement: the payload of a frame with an [`Ack`]. Gives the first entry that
    /// is still needed.
    ///
    /// # Errors
    /// `Malformed` is the peer's fault, anything else the store's.
    pub fn ack(&self, listener: &Listener, payload: &[u8]) -> Result<Seq, ErrorReply> {
        let ack: Ack = decode_exact(payload).map_err(|_| ErrorCode::Malformed)?;
        self.queue
            .ack(listener, ack.next, &*self.entropy)
            .map_err(|error| report(&error))?;
        Ok(ack.next)
    }

    /// How many KeyPackages the listener's owner has left besides the last resort.
    ///
    /// # Errors
    /// The store's fault.
    pub fn key_packages_left(&self, listener: &Listener) -> Result<u32, ErrorReply> {
        self.queue
            .key_packages_left(listener)
            .map_err(|error| report(&error))
    }
}

/// A service's error: the chain is for the operator, the code for the peer.
trait Failure: std::error::Error {
    fn reply(&self) -> ErrorReply;
}

impl Failure for AuthError {
    fn reply(&self) -> ErrorReply {
        self.into()
    }
}

impl Failure for DeliveryError {
    fn reply(&self) -> ErrorReply {
        self.into()
    }
}

impl Failure for QueueError {
    fn reply(&self) -> ErrorReply {
        self.into()
    }
}

/// Log what is our fault, once, and give the peer its code. What the peer caused is counted by the
/// shell and not logged: a log line per refused request is a gift to an attacker.
fn report(error: &dyn Failure) -> ErrorReply {
    let reply = error.reply();
    if reply.code == ErrorCode::Internal {
        tracing::error!(%error, "a request failed");
    }
    reply
}
