//! Small values that the shell keeps in the home, sealed with the rest.

use protocol::time::Timestamp;

use crate::error::Error;
use crate::home::Core;

/// Bytes of one value.
const VALUE_BYTES_MAX: usize = 64 * 1_024;

impl Core {
    /// A value of the shell's.
    ///
    /// # Errors
    /// The home's fault.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT value FROM settings WHERE name = ?1";
        self.view(|tx| tx.row(sql, [name], |row| row.get(0)))
    }

    /// Keep a value of the shell's under a name of its choice.
    ///
    /// # Errors
    /// `TooLong` past 64 KiB, or the home's fault.
    pub fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::TooLong);
        }
        self.transact(Timestamp(0), |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO settings VALUES (?1, ?2)",
                (name, value),
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_what_it_was_set_to_last() {
        let mut core = Core::open_in_memory().unwrap();
        assert_eq!(core.setting("server").unwrap(), None);
        core.set_setting("server", b"a").unwrap();
        core.set_setting("server", b"b").unwrap();
        assert_eq!(core.setting("server").unwrap(), Some(b"b".to_vec()));
        let long = vec![0; VALUE_BYTES_MAX + 1];
        assert!(matches!(
            core.set_setting("server", &long),
            Err(Error::TooLong)
        ));
    }
}
