//! The API that users write: one file for each kind, and every well-known name.

pub mod labels;
