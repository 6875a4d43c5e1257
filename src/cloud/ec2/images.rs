//! Which machine images a class means, and which of those found serve which types.
//!
//! Source: karpenter-provider-aws `pkg/providers/amifamily/ami.go` (karpenter-aws 1.2).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeSelectorRequirement;

use super::families::{self, Alias, AliasError, Parameter, Variant, require};
use super::{Filter, KubernetesVersion};
use crate::api::ec2_node_class::{AMI, AMIFamily, EC2NodeClassSpec};
use crate::api::labels;
use crate::catalog::InstanceType;
use crate::catalog::node_class::images::ImageFacts;
use crate::catalog::node_class::{self, AmiFamily};

/// What has to be asked of SSM before images can be described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// The images of an alias; each parameter that there is has the id of one.
    Alias(Alias, Vec<Parameter>),
    /// Parameters of the user's, by name; one that is not there, or has another value than `ami-...`, is skipped.
    Terms {
        /// The names.
        parameters: Vec<String>,
    },
}

/// What a class means.
///
/// # Errors
/// Its alias cannot be read, or has no images for this version of Kubernetes (reason `UnsupportedAlias`).
pub fn sought(spec: &EC2NodeClassSpec, version: KubernetesVersion) -> Result<Sought, AliasError> {
    if let Some(alias) = Alias::of_class(spec, version)? {
        let parameters = families::parameters(&alias, version);
        return Ok(Sought::Alias(alias, parameters));
    }
    let parameters = spec.ami_selector_terms.iter().filter_map(|term| term.ssm_parameter.clone()).collect();
    Ok(Sought::Terms { parameters })
}

/// A call of DescribeImages. Deprecated images are included, and `state` is `available`, as the filters say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// Accounts, `self`, `amazon` or `aws-marketplace`; empty: anybody's.
    pub owners: Vec<String>,
    /// All must match.
    pub filters: Vec<Filter>,
}

/// The images that a class means, once the values of its parameters are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageQueries {
    /// Together they find them all.
    pub queries: Vec<ImageQuery>,
    /// What an image is for, by id, where its alias says so.
    variants: BTreeMap<String, Vec<Variant>>,
    /// The images are of a family of Windows.
    windows: Option<AMIFamily>,
}

/// From values of parameters by name to calls of DescribeImages; none where nothing was found.
#[must_use]
pub fn queries(spec: &EC2NodeClassSpec, sought: &Sought, values: &BTreeMap<String, String>) -> ImageQueries {
    match sought {
        Sought::Alias(alias, parameters) => {
            let mut variants: BTreeMap<String, Vec<Variant>> = BTreeMap::new();
            for parameter in parameters {
                if let Some(id) = values.get(&parameter.name) {
                    variants.entry(id.clone()).or_default().extend(&parameter.variants);
                }
            }
            let windows = Some(alias.family).filter(|family| families::is_windows(*family));
            ImageQueries { queries: of_ids(variants.keys().cloned().collect()), variants, windows }
        }
        Sought::Terms { .. } => of_terms(spec, values),
    }
}

fn of_terms(spec: &EC2NodeClassSpec, values: &BTreeMap<String, String>) -> ImageQueries {
    let mut ids: BTreeSet<String> = BTreeSet::new();
    let mut queries = Vec::new();
    for term in &spec.ami_selector_terms {
        if let Some(id) = &term.id {
            ids.insert(id.clone());
        } else if let Some(parameter) = &term.ssm_parameter {
            ids.extend(values.get(parameter).filter(|id| id.starts_with("ami-")).cloned());
        } else {
            let mut filters = vec![available()];
            filters.extend(term.name.as_ref().map(|name| Filter::new("name", [name.as_str()])));
            filters.extend(Filter::of_tags(&term.tags));
            // a name is easily taken by anybody
            let by_name = || ["self", "amazon"].map(str::to_owned).to_vec();
            let unowned = if term.name.is_some() { by_name() } else { Vec::new() };
            queries.push(ImageQuery { owners: term.owner.clone().map_or(unowned, |owner| vec![owner]), filters });
        }
    }
    let mut all = of_ids(ids);
    all.extend(queries);
    ImageQueries { queries: all, ..ImageQueries::default() }
}

fn available() -> Filter {
    Filter::new("state", ["available"])
}

fn of_ids(ids: BTreeSet<String>) -> Vec<ImageQuery> {
    if ids.is_empty() {
        return Vec::new();
    }
    vec![ImageQuery { owners: Vec::new(), filters: vec![available(), Filter::new("image-id", ids)] }]
}

/// An image as DescribeImages shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// `ami-...`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `x86_64` or `arm64`; others are no use.
    pub architecture: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// From when on it is deprecated, if it is to be.
    pub deprecated: Option<Timestamp>,
}

impl ImageQueries {
    /// What the status of the class says of the images that were found: for each architecture and variant the best one, the newest
    /// first.
    #[must_use]
    pub fn choose(&self, found: &[FoundImage], now: Timestamp) -> Vec<AMI> {
        // by what they are for, as text
        let mut best: BTreeMap<String, Candidate<'_>> = BTreeMap::new();
        for image in found {
            for requirements in self.requirements(image) {
                let place = best.entry(format!("{requirements:?}")).or_insert_with(|| (image, requirements.clone()));
                if rank(image, now) > rank(place.0, now) {
                    *place = (image, requirements);
                }
            }
        }
        let mut chosen: Vec<Candidate<'_>> = best.into_values().collect();
        chosen.sort_by(|(a, _), (b, _)| (b.created, &a.id).cmp(&(a.created, &b.id)));
        let ami = |(image, requirements): Candidate<'_>| AMI {
            id: image.id.clone(),
            name: Some(image.name.clone()).filter(|name| !name.is_empty()),
            deprecated: image.is_deprecated(now).then_some(true),
            requirements,
        };
        chosen.into_iter().map(ami).collect()
    }

    /// One set for each variant of an image; none where no type has its architecture.
    fn requirements(&self, image: &FoundImage) -> Vec<Vec<NodeSelectorRequirement>> {
        let arch = match image.architecture.as_str() {
            "x86_64" => "amd64",
            "arm64" => "arm64",
            _ => return Vec::new(),
        };
        let arch = require(labels::ARCH, "In", &[arch]);
        if let Some(build) = self.windows.and_then(windows_build) {
            let of_windows = [require(labels::OS, "In", &["windows"]), require(labels::WINDOWS_BUILD, "In", &[build])];
            return vec![[arch].into_iter().chain(of_windows).collect()];
        }
        match self.variants.get(&image.id) {
            None => vec![vec![arch]],
            Some(variants) => {
                let of = |variant: &Variant| [arch.clone()].into_iter().chain(variant.requirements()).collect();
                variants.iter().map(of).collect()
            }
        }
    }
}

fn windows_build(family: AMIFamily) -> Option<&'static str> {
    AmiFamily::parse(&format!("{family:?}"))?.windows_build()
}

impl FoundImage {
    fn is_deprecated(&self, now: Timestamp) -> bool {
        self.deprecated.is_some_and(|at| at <= now)
    }
}

/// An image and one of the kinds of nodes that it is for.
type Candidate<'i> = (&'i FoundImage, Vec<NodeSelectorRequirement>);

/// The best is the highest.
fn rank(image: &FoundImage, now: Timestamp) -> (bool, Option<Timestamp>, &str, &str) {
    (!image.is_deprecated(now), image.created, &image.name, &image.id)
}

/// The image that a type is launched with, by its id.
#[must_use]
pub fn of_type(images: &[AMI], kind: &InstanceType) -> Option<Arc<str>> {
    let images: Vec<ImageFacts> = images.iter().map(ImageFacts::from).collect();
    node_class::images::of_type(&images, &kind.requirements).map(|image| image.id.clone())
}

#[cfg(test)]
mod tests;
