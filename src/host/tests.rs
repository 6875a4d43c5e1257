//! Properties of the whole pipeline over random worlds in which all rules are mixed.

mod dice;
mod carried;
mod features;
mod integer;
mod oracle;
mod properties;
mod purchases;
mod tiny;
pub(crate) mod worlds;
