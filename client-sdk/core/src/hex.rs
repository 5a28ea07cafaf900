//! Identifiers as people and scripts see them.

use std::fmt::Write;

use protocol::id::{GroupId, UserAddress};

/// Lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string succeeds.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

/// The reverse for 16 bytes.
pub(crate) fn decode(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

/// `<user id in hex>@<domain>`.
pub(crate) fn address(user: &UserAddress) -> String {
    format!("{}@{}", encode(&user.id.0), user.domain)
}

/// A group's id as events show it.
#[must_use]
pub fn group_hex(group: &GroupId) -> String {
    encode(&group.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways() {
        let bytes = [0, 1, 0xab, 0xff, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xf0];
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
        assert_eq!(decode("00"), None);
        assert_eq!(decode(&"g".repeat(32)), None);
    }
}
