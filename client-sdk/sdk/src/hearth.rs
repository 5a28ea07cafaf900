//! The handle that applications hold.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client_core::{
    Account, ContactEntry, ContactId, Core, GroupEntry, IncomingRequest, MemberEntry, MessageEntry,
    MessageId, Outcome, OwnUsername, RequestId,
};
use protocol::id::{GroupId, LeafIndex, Username};
use tokio::task::JoinHandle;

use crate::address::ServerAddress;
use crate::client::{Client, SETTING_AUTHORITIES, SETTING_PIN, SETTING_SERVER};
use crate::clock::now;
use crate::error::Error;
use crate::event_stream::EventStream;
use crate::home::Home;
use crate::jobs::drive_jobs;
use crate::listen::{caught_up, keep_listening};
use crate::opening::{
    Opening, RegisterOptions, Trust, open_core, read_authorities, stored_transport,
};

/// How long [`Hearth::sync`] waits for the queue.
const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// How far a proof of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Attempts so far.
    pub attempts: u64,
    /// Attempts that it takes on average; the search may take several times as many.
    pub attempts_expected: u64,
}

/// A client of a homeserver: an account, its contacts and its groups. Cheap to clone; every clone
/// is the same client.
///
/// It keeps its stock of tickets and packages, finishes what was interrupted, follows its groups
/// and comes back after failures by itself. Futures may be dropped at any time: what was begun is
/// stored, and goes on. [SDK-CANCEL-1]
///
/// ```no_run
/// # async fn example() -> Result<(), hearth_sdk::Error> {
/// use hearth_sdk::{Hearth, Home};
///
/// let hearth = Hearth::open(&Home::new("a")).await?;
/// let walk = hearth.create_group("walk").await?;
/// hearth.send(walk, "see you at nine").await?;
/// hearth.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hearth {
    client: Arc<Client>,
    tasks: Arc<Tasks>,
}

/// The client's tasks; stopped when the last handle goes.
struct Tasks {
    client: Arc<Client>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.client.stop();
    }
}

impl fmt::Debug for Hearth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearth").finish_non_exhaustive()
    }
}

impl Hearth {
    /// Sign up with a server: makes the home, solves the server's puzzle (seconds of one core) and
    /// brings everything up that others need to reach this client. Called again after a failure it
    /// goes on where it was.
    ///
    /// # Errors
    /// `already_registered` where the home has an account; the server's or the network's fault.
    pub async fn register(
        home: &Home,
        options: RegisterOptions,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Self, Error> {
        let RegisterOptions {
            server,
            display_name,
            trust,
        } = options;
        let authorities = match trust {
            Trust::Usual => None,
            Trust::Authorities(path) => Some(read_authorities(path).await?),
        };
        let mut core = open_core(home, Opening::Create).await?;
        if core.account()?.is_some_and(|account| account.registered) {
            return Err(client_core::Error::AlreadyRegistered.into());
        }
        let domain = server.domain().clone();
        core.set_setting(SETTING_SERVER, server.to_string().as_bytes())?;
        core.set_setting(
            SETTING_AUTHORITIES,
            authorities.as_deref().unwrap_or_default(),
        )?;
        core.set_setting(SETTING_PIN, &[])?;
        let hearth = Self::start(core)?;
        let start = move |core: &mut Core| core.register(&domain, &display_name, now());
        let registered = hearth.client.run_with_progress(start, &mut progress).await;
        let settled = match registered {
            Ok(_) => hearth.client.settle().await,
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            hearth.close().await;
            return Err(error);
        }
        Ok(hearth)
    }

    /// Open the home of a registered account. Needs no network.
    ///
    /// # Errors
    /// `not_registered` where there is no account, `in_use` while another process has the home
    /// open, `wrong_key`.
    pub async fn open(home: &Home) -> Result<Self, Error> {
        let core = open_core(home, Opening::Existing).await?;
        if core.account()?.is_none_or(|account| !account.registered) {
            return Err(Error::NotRegistered(home.path().to_owned()));
        }
        Self::start(core)
    }

    fn start(core: Core) -> Result<Self, Error> {
        let transport = stored_transport(&core)?;
        let client = Arc::new(Client::new(core, transport));
        let handles = vec![
            tokio::spawn(drive_jobs(Arc::clone(&client))),
            tokio::spawn(keep_listening(Arc::clone(&client))),
        ];
        let tasks = Tasks {
            client: Arc::clone(&client),
            handles: Mutex::new(handles),
        };
        Ok(Self {
            client,
            tasks: Arc::new(tasks),
        })
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Where the account's homeserver is.
    #[must_use]
    pub fn server(&self) -> &ServerAddress {
        self.client.transport.server()
    }

    /// The account.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn account(&self) -> Result<Account, Error> {
        let account = self.client.core(|core| core.account()).await?;
        account.ok_or_else(|| client_core::Error::NotRegistered.into())
    }

    /// The account's usernames.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn usernames(&self) -> Result<Vec<OwnUsername>, Error> {
        self.client.core(|core| core.usernames()).await
    }

    /// Claim a name at the own server, so that others can ask for a connection; costs a proof of
    /// work. Claiming it again refreshes it.
    ///
    /// # Errors
    /// `exists` if somebody else has it; `bad_username`.
    pub async fn claim_username(
        &self,
        name: &str,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<Username, Error> {
        let username = self.own_username(name)?;
        let claimed = username.clone();
        let start = move |core: &mut Core| core.claim_username(&claimed, now());
        self.client.run_with_progress(start, &mut progress).await?;
        self.client.settle().await?;
        Ok(username)
    }

    /// Give a username up. Contacts stay; nobody new can ask by that name.
    ///
    /// # Errors
    /// `not_found` if it is not ours; `bad_username`.
    pub async fn release_username(&self, name: &str) -> Result<Username, Error> {
        let username = self.own_username(name)?;
        let released = username.clone();
        let start = move |core: &mut Core| core.release_username(&released, now());
        self.client.run(start).await?;
        Ok(username)
    }

    fn own_username(&self, name: &str) -> Result<Username, Error> {
        let name = match name.split_once('@') {
            Some((name, domain)) if domain == self.server().domain().as_str() => name,
            Some((_, domain)) => return Err(Error::OtherDomain(domain.to_owned())),
            None => name,
        };
        Ok(Username::new(name, self.server().domain().clone())?)
    }

    /// Ask the holder of a username to become a contact. When they accept, an event says so.
    ///
    /// # Errors
    /// `not_found` if nobody has the name; `other_domain`.
    pub async fn connect(&self, username: &Username) -> Result<(), Error> {
        if username.domain() != self.server().domain() {
            return Err(Error::OtherDomain(username.domain().to_string()));
        }
        let username = username.clone();
        let start = move |core: &mut Core| core.connect(&username, now());
        self.client.run(start).await?;
        Ok(())
    }

    /// Fetch the requests left at the account's usernames, and list all that wait for a decision.
    ///
    /// # Errors
    /// The network's or the server's fault.
    pub async fn connection_requests(&self) -> Result<Vec<IncomingRequest>, Error> {
        self.client
            .core(|core| core.fetch_connection_requests(now()))
            .await?;
        self.client.settle().await?;
        self.client.core(|core| core.connection_requests()).await
    }

    /// Accept a request: both are contacts from then on.
    ///
    /// # Errors
    /// `not_found` if there is no such request.
    pub async fn accept(&self, request: RequestId) -> Result<ContactId, Error> {
        let start = move |core: &mut Core| core.accept_connection(request, now());
        let outcome = self.client.run(start).await?;
        if let Outcome::ConnectionAccepted { contact } = outcome {
            return Ok(contact);
        }
        Err(unexpected(&outcome))
    }

    /// Reject a request. Nobody is told.
    ///
    /// # Errors
    /// `not_found` if there is no such request.
    pub async fn reject(&self, request: RequestId) -> Result<(), Error> {
        let reject = move |core: &mut Core| core.reject_connection(request);
        self.client.core(reject).await
    }

    /// Everybody who can be invited.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn contacts(&self) -> Result<Vec<ContactEntry>, Error> {
        self.client.core(|core| core.contacts()).await
    }

    /// The contact of a username, or of an address.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn find_contact(&self, name: &str) -> Result<ContactId, Error> {
        let name = name.to_owned();
        let found = self
            .client
            .core(move |core| core.find_contact(&name))
            .await?;
        found.ok_or_else(|| client_core::Error::Unknown("contact").into())
    }

    /// Make a group. Its name is told to those who are invited, and to no server.
    ///
    /// # Errors
    /// `name_taken` if a group of this home has the name.
    pub async fn create_group(&self, name: &str) -> Result<GroupId, Error> {
        let name = name.to_owned();
        let start = move |core: &mut Core| core.create_group(&name, now());
        let outcome = self.client.run(start).await?;
        if let Outcome::GroupCreated { group } = outcome {
            return Ok(group);
        }
        Err(unexpected(&outcome))
    }

    /// All groups, those included that this client is no member of any more.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn groups(&self) -> Result<Vec<GroupEntry>, Error> {
        self.client.core(|core| core.groups()).await
    }

    /// The group of a name, or of an id in hexadecimal digits.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn find_group(&self, name: &str) -> Result<GroupId, Error> {
        let name = name.to_owned();
        let found = self.client.core(move |core| core.find_group(&name)).await?;
        found.ok_or_else(|| client_core::Error::Unknown("group").into())
    }

    /// Call a group by another name in this home.
    ///
    /// # Errors
    /// `name_taken`, `not_found`.
    pub async fn rename_group(&self, group: GroupId, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        let rename = move |core: &mut Core| core.rename_group(&group, &name);
        self.client.core(rename).await
    }

    /// Everybody in a group.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn members(&self, group: GroupId) -> Result<Vec<MemberEntry>, Error> {
        self.client.core(move |core| core.members(&group)).await
    }

    /// Bring contacts into a group. They read what comes after.
    ///
    /// # Errors
    /// `not_admin`, `already_member`, `leaving`; a contact's or the server's fault.
    pub async fn invite(&self, group: GroupId, contacts: &[ContactId]) -> Result<(), Error> {
        let contacts = contacts.to_vec();
        let start = move |core: &mut Core| core.invite(&group, &contacts, now());
        self.client.run(start).await?;
        self.client.settle().await
    }

    /// Remove members from a group. They read nothing that comes after.
    ///
    /// # Errors
    /// `not_admin`, `leaving`, `not_found`.
    pub async fn remove(&self, group: GroupId, members: &[LeafIndex]) -> Result<(), Error> {
        let members = members.to_vec();
        let start = move |core: &mut Core| core.remove(&group, &members, now());
        self.client.run(start).await?;
        Ok(())
    }

    /// Renew this client's keys in a group, and with them the group's: whoever had stolen the old
    /// ones is locked out. Commits what others have proposed, too.
    ///
    /// # Errors
    /// `leaving`, `not_found`.
    pub async fn update_keys(&self, group: GroupId) -> Result<(), Error> {
        let start = move |core: &mut Core| core.update_keys(&group, now());
        self.client.run(start).await?;
        Ok(())
    }

    /// Send a message to a group and return its number there. When this returns, the server has it
    /// on disk and will deliver it. If it fails with `unreachable`, the message is stored and sent
    /// when the server can be reached: do not send it again.
    ///
    /// # Errors
    /// `not_found`, `too_large`; `alone` in a connection group that the other has not entered,
    /// `stranger` in one that somebody else has.
    pub async fn send(&self, group: GroupId, body: impl AsRef<[u8]> + Send) -> Result<u64, Error> {
        let body = body.as_ref().to_vec();
        let start = move |core: &mut Core| core.send(&group, &body, now());
        let outcome = self.client.run(start).await?;
        if let Outcome::MessageSent { number, .. } = outcome {
            return Ok(number);
        }
        Err(unexpected(&outcome))
    }

    /// At most `limit` messages of a group, oldest first: the last ones, or the last ones before
    /// a message.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn messages(
        &self,
        group: GroupId,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageEntry>, Error> {
        let read = move |core: &mut Core| core.messages(&group, before, limit);
        self.client.core(read).await
    }

    /// Read everything that waits in the queue and finish everything that is begun. [SDK-SYNC-1]
    ///
    /// # Errors
    /// The network's or the server's fault.
    pub async fn sync(&self) -> Result<(), Error> {
        self.client.settle().await?;
        caught_up(&self.client, SYNC_PATIENCE).await?;
        self.client.settle().await
    }

    /// What happens, from the first event on that nobody has seen, without end.
    ///
    /// Reads the queue as long as the handle lives; see [`EventStream`].
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.client.listen();
        EventStream::new(Arc::clone(&self.client), self.clone())
    }

    /// Stop everything, tell the server, and close the home. Other clones of the handle answer
    /// `closed` from then on.
    pub async fn close(&self) {
        self.client.stop();
        let handles = {
            let mut handles = self
                .tasks
                .handles
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *handles)
        };
        for handle in handles {
            if let Err(error) = handle.await {
                tracing::error!(%error, "a task of the client failed");
            }
        }
        self.client.transport.close().await;
        self.client.close_core().await;
    }
}

pub(crate) fn unexpected(outcome: &Outcome) -> Error {
    tracing::error!(?outcome, "the core ended a job with another one's outcome");
    client_core::Error::NotExpected.into()
}
