//! Where an object came from, and what is wrong with it: one error for each malformed object.

use std::fmt;
use std::sync::Arc;

/// The place of an object in the input.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file as it was given, `-` for stdin.
    pub file: Arc<str>,
    /// From 1; `None` where the file holds one document.
    pub document: Option<u32>,
    /// From 1; the place in a `List`.
    pub item: Option<u32>,
    /// Where the file is no YAML or JSON; then said alone.
    pub place: Option<Place>,
}

/// A place in a file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(Place { line, column }) = self.place {
            return write!(f, ":{line}:{column}");
        }
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(item) = self.item {
            write!(f, ", item {item}")?;
        }
        Ok(())
    }
}

/// A file or an object that could not be read; everything else was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct InputError {
    pub origin: Origin,
    /// Kind, namespace and name, as far as they are known: `Pod default/web`.
    pub object: Option<String>,
    /// The path of the field: `spec.containers[0].resources.requests.cpu`.
    pub field: Option<String>,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A field whose value cannot be used; the path grows outwards as the error passes through [`FieldResult::within`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    pub path: String,
    pub message: String,
}

impl FieldError {
    pub fn new(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { path: path.into(), message: message.to_string() }
    }

    fn within(self, parent: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{parent}{separator}{}", self.path), message: self.message }
    }
}

pub(super) trait FieldResult<T> {
    /// Puts the name of the enclosing field in front of the path.
    fn within(self, parent: &str) -> Result<T, FieldError>;
    /// The same for an element of a list.
    fn within_item(self, list: &str, index: usize) -> Result<T, FieldError>;
}

impl<T> FieldResult<T> for Result<T, FieldError> {
    fn within(self, parent: &str) -> Self {
        self.map_err(|error| error.within(parent))
    }

    fn within_item(self, list: &str, index: usize) -> Self {
        self.map_err(|error| error.within(&format!("{list}[{index}]")))
    }
}
