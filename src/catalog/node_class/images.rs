//! The machine images of a class, as its status names them: which one a type is launched with.

use std::sync::Arc;

use k8s_openapi::api::core::v1::NodeSelectorRequirement;

use crate::api::ec2_node_class::AMI;
use crate::requirements::{Requirement, Requirements};

/// An image and the nodes that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// `ami-...`.
    pub id: Arc<str>,
    /// What the labels of its nodes satisfy.
    pub requirements: Requirements,
}

impl From<&AMI> for ImageFacts {
    fn from(image: &AMI) -> Self {
        let requirements = image.requirements.iter().filter_map(requirement).collect();
        Self { id: Arc::from(image.id.as_str()), requirements }
    }
}

/// `None` for operators that nobody writes into a status.
fn requirement(of: &NodeSelectorRequirement) -> Option<(&str, Requirement)> {
    let values = || of.values.iter().flatten().map(String::as_str);
    let requirement = match of.operator.as_str() {
        "In" => Requirement::one_of(values()),
        "NotIn" => Requirement::none_of(values()),
        "Exists" => Requirement::exists(),
        "DoesNotExist" => Requirement::does_not_exist(),
        _ => return None,
    };
    Some((of.key.as_str(), requirement))
}

/// The image that nodes of a type are launched with: the first in the order of the status that serves it.
#[must_use]
pub fn of_type<'i>(images: &'i [ImageFacts], requirements: &Requirements) -> Option<&'i ImageFacts> {
    images.iter().find(|image| requirements.intersects(&image.requirements).is_ok())
}
