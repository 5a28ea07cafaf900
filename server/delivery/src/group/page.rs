//! A piece of a part at rest: padded, sealed, bound to its place.
//!
//! ```text
//! plaintext = content || zeros up to a bucket || uint32 length of the content
//! AAD       = label of the part || group id || uint64 edition || uint32 index
//! ```

use fastcdc::v2020::FastCDC;
use protocol::crypto::label;
use protocol::crypto::sealed::{BadCiphertext, SymmetricKey, hash};
use protocol::frame::bucket;
use protocol::id::GroupId;
use zeroize::Zeroizing;

use crate::tables::PageId;

/// What a group's state consists of. Spec: delivery.md#state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Who is a member and how to reach them.
    Roster,
    /// The MLS public group.
    State,
}

/// Bytes that a page holds on average where a part is small.
pub(crate) const PAGE_BYTES_MIN: usize = 2 * 1024;

/// Bytes of the longest page: padded and sealed it fits a row of the store.
const PAGE_BYTES_MAX: usize = 56 * 1024;

/// The largest average. The longest page is not much longer.
const AVERAGE_BYTES_MAX: usize = 32 * 1024;

/// Where in the numbers of pages those of the state begin.
const STATE_PAGES: u32 = 1 << 31;

/// Seals the pages of a part.
pub(crate) struct PageKey {
    key: SymmetricKey,
    label: &'static str,
    group: GroupId,
}

impl Part {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Roster => label::GROUP_ROSTER,
            Self::State => label::GROUP_STATE,
        }
    }

    /// The number of its `n`-th page in an edition; the manifest is number 0.
    pub(crate) const fn index(self, n: u32) -> u32 {
        match self {
            Self::Roster => n,
            Self::State => STATE_PAGES | n,
        }
    }

    /// How many pages it may have, so that all of both parts fit one transaction of the store.
    const fn pages_max(self) -> usize {
        match self {
            Self::Roster => 96,
            Self::State => 288,
        }
    }

    /// How long pages of a content are on average. `present` stays as long as it does: a part that
    /// grows and shrinks about a boundary is not cut anew each time.
    pub(crate) fn average(self, bytes: usize, present: usize) -> usize {
        let least = (bytes / self.pages_max())
            .next_power_of_two()
            .clamp(PAGE_BYTES_MIN, AVERAGE_BYTES_MAX);
        if (least..=4 * least).contains(&present) {
            present
        } else {
            least
        }
    }
}

/// Cut a content where the content suggests it, so that a change moves few of the cuts.
pub(crate) fn cut(content: &[u8], average: usize) -> Vec<&[u8]> {
    let longest = (4 * average).min(PAGE_BYTES_MAX);
    let cuts = FastCDC::new(content, average / 2, average, longest);
    cuts.filter_map(|piece| content.get(piece.offset..piece.offset + piece.length))
        .collect()
}

impl PageKey {
    pub(crate) fn new(key: SymmetricKey, part: Part, group: GroupId) -> Self {
        Self {
            key,
            label: part.label(),
            group,
        }
    }

    pub(crate) fn seal(&self, id: PageId, content: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        let bare = 4 + content.len();
        let mut plaintext = Zeroizing::new(Vec::with_capacity(bucket(bare)));
        plaintext.extend_from_slice(content);
        plaintext.resize(bucket(bare) - 4, 0);
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        plaintext.extend_from_slice(&length.to_be_bytes());
        self.key.seal(nonce, &self.aad(id), &plaintext)
    }

    /// Append what a page holds to `content`, which had better have room for it sealed: it is opened
    /// there.
    pub(crate) fn open_into(
        &self,
        id: PageId,
        sealed: &[u8],
        content: &mut Vec<u8>,
    ) -> Result<(), BadCiphertext> {
        let before = content.len();
        self.key.open_into(&self.aad(id), sealed, content)?;
        let plaintext = content.get(before..).ok_or(BadCiphertext)?;
        let length = plaintext.last_chunk().copied().map(u32::from_be_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= plaintext.len());
        content.truncate(before + length.unwrap_or_default());
        length.map(|_| ()).ok_or(BadCiphertext)
    }

    /// What a page's content is recognised by when it is written again.
    pub(crate) fn hash(&self, content: &[u8]) -> [u8; 16] {
        let digest = hash(self.label, content);
        let mut short = [0; 16];
        short
            .iter_mut()
            .zip(digest)
            .for_each(|(out, byte)| *out = byte);
        short
    }

    fn aad(&self, id: PageId) -> Vec<u8> {
        [
            self.label.as_bytes(),
            &self.group.0,
            &id.edition.0.to_be_bytes(),
            &id.index.to_be_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Edition;

    const ID: PageId = PageId {
        edition: Edition(3),
        index: 4,
    };

    fn key(byte: u8, part: Part) -> PageKey {
        PageKey::new(SymmetricKey([byte; 32]), part, GroupId([1; 16]))
    }

    fn open(key: &PageKey, id: PageId, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        key.open_into(id, sealed, &mut content).ok()?;
        Some(content)
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let word = |n: usize| hash("noise", &n.to_be_bytes());
        (0..bytes.div_ceil(32)).flat_map(word).take(bytes).collect()
    }

    #[test]
    fn a_page_opens_in_its_place_only() {
        let roster = key(2, Part::Roster);
        let sealed = roster.seal(ID, b"content", [0; 12]);
        assert_eq!(open(&roster, ID, &sealed), Some(b"content".to_vec()));
        for id in [
            PageId { index: 5, ..ID },
            PageId {
                edition: Edition(4),
                ..ID
            },
        ] {
            assert_eq!(open(&roster, id, &sealed), None);
        }
        assert_eq!(open(&key(2, Part::State), ID, &sealed), None);
        assert_eq!(open(&key(3, Part::Roster), ID, &sealed), None);
    }

    #[test]
    fn lengths_within_a_bucket_look_alike() {
        let length = |content: usize| {
            let sealed = key(2, Part::State).seal(ID, &vec![1; content], [0; 12]);
            sealed.len()
        };
        assert_eq!(length(0), length(252));
        assert_ne!(length(252), length(253));
    }

    #[test]
    fn the_longest_page_fits_a_row() {
        let sealed = key(2, Part::State).seal(ID, &vec![1; PAGE_BYTES_MAX], [0; 12]);
        assert!(sealed.len() <= store::VALUE_BYTES_MAX);
    }

    /// [DS-STATE-4]
    #[test]
    fn an_insertion_moves_few_cuts() {
        let before = noise(400_000);
        let mut after = before.clone();
        after.splice(200_000..200_000, [7; 33]);
        let pieces = cut(&before, 4_096);
        assert_eq!(pieces.concat(), before);
        let moved = cut(&after, 4_096);
        assert_eq!(moved.concat(), after);
        let new = moved.iter().filter(|piece| !pieces.contains(piece)).count();
        assert!(new <= 3, "{new} pieces of {} are new", moved.len());
    }

    #[test]
    fn the_largest_group_fits_one_transaction() {
        let (roster, state) = (noise(800_000), noise(6_000_000));
        let pages = |part: Part, content: &[u8]| {
            let average = part.average(content.len(), PAGE_BYTES_MIN);
            cut(content, average).len()
        };
        let rows = pages(Part::Roster, &roster) + pages(Part::State, &state);
        assert!(rows < store::COMMIT_ROWS_MAX - 128, "{rows} rows");
    }

    #[test]
    fn the_length_of_pages_changes_seldom() {
        let at = |bytes, present| Part::State.average(bytes, present);
        assert_eq!(at(1_000_000, PAGE_BYTES_MIN), 4_096);
        assert_eq!(at(500_000, 4_096), 4_096);
        assert_eq!(at(100_000, 16_384), PAGE_BYTES_MIN);
    }
}
