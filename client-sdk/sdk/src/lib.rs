//! hearth-sdk
