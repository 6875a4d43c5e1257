//! Launch templates: what instances are made with. They are shared by all nodes of a NodePool that are alike, are called by a hash
//! of their content, and are never changed.
//!
//! Source: karpenter-provider-aws `pkg/providers/launchtemplate` (karpenter-aws 3, step 6).

mod content;
mod groups;
mod interfaces;
mod stale;

pub use content::{
    CapacityReservation, Content, ImdsOptions, Market, Placement, Switchable, TagSpecification, Volume, VolumeMapping,
};
pub use groups::{Group, Reserved, groups};
pub use interfaces::{ConnectionTrackingTimeouts, Interface};
pub use stale::{KEPT_UNUSED, Known, stale};

use sha2::{Digest as _, Sha256};

use super::user_data::UserDataError;
use super::{ClusterFacts, NodeTemplate};

/// What names of launch templates begin with.
pub const PREFIX: &str = "karpenter.k8s.aws/";

/// A launch template that is to be there before a fleet is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchTemplate {
    /// [`PREFIX`] and a hash of everything else as a decimal number.
    pub name: String,
    /// What it says.
    pub content: Content,
}

impl LaunchTemplate {
    /// That of a group of types.
    ///
    /// # Errors
    /// The user data of the class cannot be made.
    pub fn of(cluster: &ClusterFacts, template: &NodeTemplate, group: &Group) -> Result<Self, UserDataError> {
        let content = Content::of(cluster, template, group)?;
        Ok(Self { name: name(&content), content })
    }
}

fn name(content: &Content) -> String {
    let written = serde_json::to_vec(content).expect("the content has texts as keys");
    let digest = Sha256::digest(written);
    let first: [u8; 8] = digest[..8].try_into().expect("a digest has 32 bytes");
    format!("{PREFIX}{}", u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests;
