//! A file of test vectors: cases with named inputs, bytes, and what must come of the bytes.

use std::fmt::{Debug, Write};
use std::rc::Rc;

use protocol::codec::encode;
use serde::{Serialize, Serializer};

/// A file.
#[derive(Clone, Serialize)]
pub(crate) struct Vector {
    #[serde(skip)]
    file: String,
    spec: String,
    about: &'static str,
    cases: Vec<Case>,
}

/// One case of a file.
#[derive(Clone, Serialize)]
pub(crate) struct Case {
    name: String,
    inputs: Fields,
    bytes: Hex,
    expect: &'static str,
    #[serde(skip)]
    replay: Rc<Replay>,
}

/// Takes the bytes of a case apart and puts them together again; fails with the error's name.
type Replay = dyn Fn(&[u8]) -> Result<Vec<u8>, String>;

/// Named inputs, in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, Hex)>);

#[derive(Clone)]
struct Hex(Vec<u8>);

impl Vector {
    /// Cases of the specification's section `spec`, to be stored as `<area>/<name>.json`.
    pub(crate) fn new(file: &str, spec: &str, about: &'static str, cases: Vec<Case>) -> Self {
        Self {
            file: format!("{file}.json"),
            spec: spec.to_owned(),
            about,
            cases,
        }
    }

    pub(crate) fn file(&self) -> String {
        self.file.clone()
    }

    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The file's text.
    pub(crate) fn render(&self) -> String {
        serde_json::to_string_pretty(self).unwrap() + "\n"
    }
}

impl Case {
    /// A case that succeeds.
    pub(crate) fn new(
        name: impl Into<String>,
        inputs: Fields,
        bytes: impl Into<Vec<u8>>,
        replay: impl Fn(&[u8]) -> Result<Vec<u8>, String> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            inputs,
            bytes: Hex(bytes.into()),
            expect: "ok",
            replay: Rc::new(replay),
        }
    }

    /// The same case, if it fails with the error of this name.
    pub(crate) fn failing(self, error: &'static str) -> Self {
        Self {
            expect: error,
            ..self
        }
    }

    /// A computation of fixed bytes from the inputs alone.
    pub(crate) fn computed(
        name: &str,
        inputs: Fields,
        compute: impl Fn() -> Vec<u8> + 'static,
    ) -> Self {
        Self::new(name, inputs, compute(), move |_| Ok(compute()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn replay(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        (self.replay)(bytes)
    }
}

impl Fields {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Add bytes as they are.
    pub(crate) fn bytes(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push((name.to_owned(), Hex(bytes.as_ref().to_vec())));
        self
    }

    /// Add a structure's encoding.
    pub(crate) fn encoded<T: tls_codec::Serialize>(self, name: &str, value: &T) -> Self {
        let bytes = encode(value);
        self.bytes(name, bytes)
    }

    /// Add the other fields behind these.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            write!(text, "{byte:02x}").unwrap();
        }
        serializer.serialize_str(&text)
    }
}

/// The bytes that a text of hexadecimal digits stands for.
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The name of an error, which its `Debug` text is for the errors of `protocol`.
pub(crate) fn name(error: impl Debug) -> String {
    format!("{error:?}")
}
