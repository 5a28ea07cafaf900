//! A group's parts at rest: manifests, pages, and what a request changes of them.
//! Spec: delivery.md#state.
//!
//! ```text
//! Root --state key, wrap--> Access --load--> Stored --decode--> Roster | State
//!                             |                  |
//!                             +----- Changes <---+--- the new content
//! ```
//!
//! Pages are never overwritten: a change writes pages of a new edition and says which ones ended,
//! so that kept states go on to need theirs.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::codec::{decode_exact, encode};
use protocol::crypto::sealed::SymmetricKey;
use protocol::id::GroupId;
use store::{Entropy, Raw, StoreError, Tx};
use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::group::data_key::{COMMITS_MAX, DataKey, StateKey};
use crate::group::page::{PAGE_BYTES_MIN, PageKey, Part, cut};
use crate::nonce;
use crate::tables::{
    Before, Edition, Group, History, KeyHash, PAGES, PageId, Root, WRAPS, Wrap, Wraps,
};

/// Contents up to this stand in their manifest, so that a small part takes one row.
const INLINE_BYTES_MAX: usize = PAGE_BYTES_MIN;

const VERSION: u8 = 1;

/// Which pages make up a part, in order.
///
/// ```text
/// struct { uint8 version; uint32 average; Entry pages<V>; opaque inline<V>; } Manifest;
/// struct { uint64 edition; uint32 index; opaque hash[16]; } Entry;
/// ```
#[derive(TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Manifest {
    version: u8,
    /// The average that the pages were cut with.
    average: u32,
    pages: Vec<Entry>,
    /// All of the content, if there are no pages.
    inline: VLBytes,
}

#[derive(Clone, Copy, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Entry {
    id: PageId,
    hash: [u8; 16],
}

/// What a state key lends for the length of a request.
#[derive(Clone)]
pub(crate) struct Access {
    group: GroupId,
    root: Root,
    data: DataKey,
}

/// A part as it is kept, opened.
pub(crate) struct Stored {
    part: Part,
    id: PageId,
    manifest: Manifest,
    pub(crate) content: Arc<Zeroizing<Vec<u8>>>,
}

/// Whether a commit goes on under the data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It removes nobody: until the key has served [`COMMITS_MAX`] commits. Who can open the state
    /// then can open it under the next key as well, for as long as those commits can be undone.
    WhenDue,
    /// It removes somebody. [DS-STATE-1]
    Always,
}

/// What a request writes of a group's parts, sealed outside of its transaction.
pub(crate) struct Changes {
    root: Root,
    access: Access,
    /// Whether nothing can be used again, because the data key begins.
    begins: bool,
    wrap: Option<Wrap>,
    before: Option<Before>,
    pages: Vec<(PageId, Vec<u8>)>,
    ended: Vec<PageId>,
    bytes: usize,
}

impl Access {
    /// By the state key of any epoch since the data key began [DS-JOIN-4], or of one before while
    /// the wraps are for those too [DS-STATE-6].
    ///
    /// # Errors
    /// `Denied` for any other key.
    pub(crate) fn open(
        tx: &Tx<'_>,
        group: GroupId,
        root: Root,
        key: &SymmetricKey,
    ) -> Result<Self, Error> {
        let hash = KeyHash::of(&group, key);
        let wraps = tx.get(&WRAPS, &root.data)?.ok_or_else(corrupt)?;
        let opened = if let Some(wrap) = wraps.find(hash) {
            wrap.open(group, key)
        } else {
            let before = wraps.before.ok_or(Error::Denied)?;
            let earlier = tx.get(&WRAPS, &before.data)?.ok_or(Error::Denied)?;
            let wrap = earlier.find(hash).ok_or(Error::Denied)?;
            wrap.open(group, key)
                .and_then(|earlier| before.open(group, &earlier))
        };
        Ok(Self {
            group,
            root,
            data: opened.map_err(|_| corrupt())?,
        })
    }

    /// Open a part.
    pub(crate) fn load(&self, tx: &Tx<'_>, part: Part) -> Result<Stored, StoreError> {
        let id = self.root.manifest(part);
        let key = self.page_key(part);
        let mut bytes = Zeroizing::new(Vec::new());
        let Raw(sealed) = tx.get(&PAGES, &id)?.ok_or_else(corrupt)?;
        key.open_into(id, &sealed, &mut bytes)
            .map_err(|_| corrupt())?;
        let manifest: Manifest = decode_exact(&bytes).map_err(|_| corrupt())?;
        if manifest.version != VERSION {
            return Err(corrupt());
        }
        let rows: Vec<_> = manifest
            .pages
            .iter()
            .map(|entry| PAGES.at(&entry.id))
            .collect();
        if !rows.is_empty() {
            let rows: Vec<&dyn store::RowAt> = rows.iter().map(|row| row as _).collect();
            tx.prefetch(&rows)?;
        }
        let mut pages = Vec::with_capacity(manifest.pages.len());
        for entry in &manifest.pages {
            pages.push((entry, tx.get(&PAGES, &entry.id)?.ok_or_else(corrupt)?));
        }
        // Room for all of it, so that nothing opened is left where the content was before it grew.
        let bytes = pages.iter().map(|(_, Raw(sealed))| sealed.len()).sum();
        let mut content = Zeroizing::new(Vec::with_capacity(bytes));
        if manifest.pages.is_empty() {
            content.extend_from_slice(manifest.inline.as_slice());
        }
        for (entry, Raw(sealed)) in pages {
            key.open_into(entry.id, &sealed, &mut content)
                .map_err(|_| corrupt())?;
        }
        Ok(Stored {
            part,
            id,
            manifest,
            content: Arc::new(content),
        })
    }

    fn page_key(&self, part: Part) -> PageKey {
        PageKey::new(self.data.part(part.label()), part, self.group)
    }
}

#[cfg(test)]
impl Stored {
    /// The rows that the part takes.
    pub(crate) fn pages(&self) -> Vec<PageId> {
        let pages = self.manifest.pages.iter().map(|entry| entry.id);
        pages.chain([self.id]).collect()
    }
}

impl Changes {
    /// A group that begins: both parts are to be put.
    pub(crate) fn first(members: &StateKey<'_>, entropy: &dyn Entropy) -> Self {
        Self::begin(members, Edition(1), entropy)
    }

    /// Within the epoch, in `edition`: the next one of the group, also where `access` is to a state
    /// from before a commit.
    pub(crate) fn within(access: &Access, edition: Edition) -> Self {
        let root = Root {
            edition,
            ..access.root
        };
        Self {
            root,
            access: access.clone(),
            begins: false,
            wrap: None,
            before: None,
            pages: Vec::new(),
            ended: Vec::new(),
            bytes: 0,
        }
    }

    /// Into the next epoch: both parts are to be put.
    pub(crate) fn advance(
        access: &Access,
        next: &StateKey<'_>,
        renewal: Renewal,
        entropy: &dyn Entropy,
    ) -> Self {
        let edition = access.root.edition.next();
        let commits = access.root.commits.saturating_add(1);
        if renewal == Renewal::Always {
            return Self::begin(next, edition, entropy);
        }
        if commits >= COMMITS_MAX {
            let mut changes = Self::begin(next, edition, entropy);
            let (key, under) = (&changes.access.data, (&access.data, access.root.data));
            changes.before = Some(key.wrap_under(under, next, nonce(entropy)));
            return changes;
        }
        let wrap = access.data.wrap(next, nonce(entropy));
        let mut changes = Self::within(access, edition);
        changes.root.commits = commits;
        changes.wrap = Some(wrap);
        changes
    }

    fn begin(members: &StateKey<'_>, edition: Edition, entropy: &dyn Entropy) -> Self {
        let root = Root::begin(edition);
        let access = Access {
            group: members.group,
            root,
            data: members.begin(),
        };
        let wrap = access.data.wrap(members, nonce(entropy));
        Self {
            begins: true,
            wrap: Some(wrap),
            ..Self::within(&access, edition)
        }
    }

    /// Seal a part's content, in as few pages as differ from `old`. [DS-STATE-4]
    pub(crate) fn put(
        &mut self,
        part: Part,
        old: Option<&Stored>,
        content: &[u8],
        entropy: &dyn Entropy,
    ) {
        debug_assert!(
            old.is_none_or(|old| old.part == part),
            "a part replaces itself"
        );
        self.bytes += content.len();
        let (key, edition) = (self.access.page_key(part), self.root.edition);
        let mut ended: HashMap<[u8; 16], PageId> = HashMap::new();
        if let Some(old) = old {
            self.ended.push(old.id);
            let pages = old.manifest.pages.iter();
            if self.begins {
                self.ended.extend(pages.map(|entry| entry.id));
            } else {
                // Of two pages with one content the second is as good as ended.
                for entry in pages {
                    let twin = ended.insert(entry.hash, entry.id);
                    self.ended.extend(twin);
                }
            }
        }
        let (average, pieces) = match content.len() {
            0..=INLINE_BYTES_MAX => (PAGE_BYTES_MIN, Vec::new()),
            bytes => {
                let present = old.map_or(PAGE_BYTES_MIN, |old| usize_of(old.manifest.average));
                let average = part.average(bytes, present);
                (average, cut(content, average))
            }
        };
        let mut manifest = Manifest {
            version: VERSION,
            average: u32::try_from(average).unwrap_or(u32::MAX),
            pages: Vec::with_capacity(pieces.len()),
            inline: Vec::new().into(),
        };
        if pieces.is_empty() {
            manifest.inline = content.into();
        }
        for (n, piece) in (1..).zip(pieces) {
            let hash = key.hash(piece);
            let id = ended.remove(&hash).unwrap_or_else(|| {
                let index = part.index(n);
                let id = PageId { edition, index };
                self.pages.push((id, key.seal(id, piece, nonce(entropy))));
                id
            });
            manifest.pages.push(Entry { id, hash });
        }
        let mut ended: Vec<_> = ended.into_values().collect();
        ended.sort_unstable();
        self.ended.append(&mut ended);
        self.root.set_manifest(part, edition);
        let id = self.root.manifest(part);
        let encoded = Zeroizing::new(encode(&manifest));
        self.pages
            .push((id, key.seal(id, &encoded, nonce(entropy))));
    }

    /// The edition that is written.
    pub(crate) const fn edition(&self) -> Edition {
        self.root.edition
    }

    /// Bytes of the contents that were put.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Write all of it: the group's root is another then.
    ///
    /// The states to keep are in `history` already: what they need is not deleted. [DS-STATE-5]
    pub(crate) fn write(
        &self,
        tx: &mut Tx<'_>,
        group: &mut Group,
        history: &mut History,
    ) -> Result<(), StoreError> {
        for (id, sealed) in &self.pages {
            tx.put(&PAGES, id, &Raw(sealed.clone()))?;
        }
        if let Some(wrap) = &self.wrap {
            let wraps = if self.begins {
                let before = self.before.clone();
                Wraps::new(wrap.clone(), before.filter(|it| history.can_undo(it.data)))
            } else {
                let mut wraps = tx.get(&WRAPS, &self.root.data)?.ok_or_else(corrupt)?;
                wraps.wraps.push(wrap.clone());
                wraps
            };
            tx.put(&WRAPS, &self.root.data, &wraps)?;
        }
        history.end_pages(tx, &self.ended, group.root.edition)?;
        group.root = self.root;
        Ok(())
    }
}

impl Root {
    /// Of a group that has no parts yet.
    pub(crate) const NONE: Self = Self::begin(Edition(0));

    /// Of parts that are yet to be put.
    const fn begin(edition: Edition) -> Self {
        Self {
            edition,
            roster: edition,
            state: edition,
            data: edition,
            commits: 0,
        }
    }

    fn manifest(&self, part: Part) -> PageId {
        let edition = match part {
            Part::Roster => self.roster,
            Part::State => self.state,
        };
        PageId {
            edition,
            index: part.index(0),
        }
    }

    fn set_manifest(&mut self, part: Part, edition: Edition) {
        match part {
            Part::Roster => self.roster = edition,
            Part::State => self.state = edition,
        }
    }
}

fn usize_of(average: u32) -> usize {
    usize::try_from(average).unwrap_or(usize::MAX)
}

fn corrupt() -> StoreError {
    StoreError::Corrupt {
        table: PAGES.name(),
    }
}
