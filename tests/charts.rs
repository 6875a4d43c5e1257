//! The charts as people use them: their values, what helm does with them, alerts and dashboards.

#[cfg(feature = "live")]
pub mod installing;
#[cfg(feature = "live")]
mod moving;
#[cfg(feature = "live")]
mod queries;
mod values;

use std::path::{Path, PathBuf};

fn chart(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts").join(name)
}
