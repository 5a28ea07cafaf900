//! What servers were caught at.

use client_core::EvidenceEntry;
pub use protocol::evidence::Accused;

use crate::error::Error;
use crate::hearth::Hearth;

impl Hearth {
    /// Everything that servers were caught at, oldest first: each piece stands by itself, and
    /// [`crate::check_evidence`] tells whom it accuses.
    ///
    /// # Errors
    /// The home's fault.
    pub async fn evidence(&self) -> Result<Vec<EvidenceEntry>, Error> {
        self.client().core(|core| core.evidence()).await
    }
}
