//! How MLS state is written into the database.
//!
//! Postcard: a quarter of JSON's bytes and time. One type of openmls, the join configuration,
//! asks its decoder to find out by itself what comes (`deserialize_any`), which postcard cannot;
//! it is written as JSON. The first byte says which.

use std::any::type_name;
use std::fmt;

use openmls_sqlite_storage::Codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

const POSTCARD: u8 = 1;
const JSON: u8 = 2;
/// Types that need a self-describing format.
const SELF_DESCRIBING: &str = "MlsGroupJoinConfig";

#[derive(Debug, Default)]
pub(crate) struct MlsCodec;

/// Bytes that are not ours, or a value that cannot be written.
#[derive(Debug)]
pub(crate) enum CodecError {
    Postcard(postcard::Error),
    Json(serde_json::Error),
    Format,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MLS state cannot be coded")
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Postcard(error) => Some(error),
            Self::Json(error) => Some(error),
            Self::Format => None,
        }
    }
}

impl Codec for MlsCodec {
    type Error = CodecError;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
        if type_name::<T>().contains(SELF_DESCRIBING) {
            let mut bytes = vec![JSON];
            serde_json::to_writer(&mut bytes, value).map_err(CodecError::Json)?;
            return Ok(bytes);
        }
        postcard::to_extend(value, vec![POSTCARD]).map_err(CodecError::Postcard)
    }

    fn from_slice<T: DeserializeOwned>(slice: &[u8]) -> Result<T, CodecError> {
        match slice.split_first() {
            Some((&POSTCARD, bytes)) => postcard::from_bytes(bytes).map_err(CodecError::Postcard),
            Some((&JSON, bytes)) => serde_json::from_slice(bytes).map_err(CodecError::Json),
            _ => Err(CodecError::Format),
        }
    }
}
