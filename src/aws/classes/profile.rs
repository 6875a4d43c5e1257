//! Instance profiles: made for the role of a class, and deleted with it, or once nobody needs them.
//!
//! Source: karpenter-provider-aws `pkg/providers/instanceprofile` (karpenter-aws 3.4).

use std::collections::BTreeSet;

use aws_sdk_iam::types::{InstanceProfile, Tag};
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use jiff::Timestamp;

use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_claim::NodeClaim;
use crate::aws::connect::Aws;
use crate::aws::words::{code, reason};
use crate::cloud::ec2::class_status::Part;
use crate::cloud::ec2::instance_profile::Known;
use crate::cloud::ec2::{ClusterFacts, instance_profile};

const MISSING: &str = "NoSuchEntity";
const NOT_FOUND: &str = "InstanceProfileNotFound";
/// Somebody else was faster: as good.
const EXISTS: &str = "EntityAlreadyExists";
/// Of a role that is added: the profile has one already, the only one that it may have.
const FULL: &str = "LimitExceeded";

/// The profile of a class: that of the user, of which IAM is not asked, as the controller needs no right there; or the one that is made
/// for its role.
pub(super) async fn ensure(aws: &Aws, class: &EC2NodeClass, cluster: &ClusterFacts) -> Part<String> {
    let spec = &class.spec;
    match (&spec.instance_profile, &spec.role) {
        (Some(name), _) => Part::Found(name.clone()),
        (None, Some(role)) => of_role(aws, class, cluster, role).await,
        (None, None) => {
            Part::Refused(NOT_FOUND, "expected spec.role or spec.instanceProfile, found neither".to_owned())
        }
    }
}

async fn of_role(aws: &Aws, class: &EC2NodeClass, cluster: &ClusterFacts, role: &str) -> Part<String> {
    let name = instance_profile::name(cluster, class, role);
    let wanted = instance_profile::role_name(role);
    let known = match get(aws, &name).await {
        Ok(known) => known,
        Err(reason) => return Part::Failed(reason),
    };
    if known.is_none() {
        let all = instance_profile::tags(cluster, class);
        let tags: Result<Vec<Tag>, _> =
            all.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let tags = match tags {
            Ok(tags) => tags,
            Err(error) => return Part::Failed(format!("CreateInstanceProfile: {error}")),
        };
        let call = aws.iam.create_instance_profile().instance_profile_name(&name).set_tags(Some(tags));
        match call.path(instance_profile::path(cluster, class)).send().await {
            Err(error) if code(&error) != Some(EXISTS) => {
                return Part::Failed(reason("CreateInstanceProfile", &error));
            }
            _ => tracing::info!(controller = "nodeclass", profile = name, "created instance profile"),
        }
    }
    let has_role = known.is_some_and(|known| known.roles().iter().any(|role| role.role_name() == wanted));
    if !has_role {
        match aws.iam.add_role_to_instance_profile().instance_profile_name(&name).role_name(wanted).send().await {
            // else it is the profile, which was made a moment ago, that IAM does not know of everywhere yet
            Err(error) if code(&error) == Some(MISSING) && names_role(error.message()) => {
                return Part::Refused(NOT_FOUND, format!("there is no role {wanted}"));
            }
            Err(error) if !code(&error).is_some_and(|code| [EXISTS, FULL].contains(&code)) => {
                return Part::Failed(reason("AddRoleToInstanceProfile", &error));
            }
            _ => {}
        }
    }
    Part::Found(name)
}

/// Of what IAM says that it cannot be found: "The role with name NAME cannot be found.", "Instance Profile NAME cannot be found."
fn names_role(message: Option<&str>) -> bool {
    !message.is_some_and(|message| message.to_ascii_lowercase().starts_with("instance profile"))
}

async fn get(aws: &Aws, name: &str) -> Result<Option<InstanceProfile>, String> {
    match aws.iam.get_instance_profile().instance_profile_name(name).send().await {
        Ok(answer) => Ok(answer.instance_profile().cloned()),
        Err(error) if code(&error) == Some(MISSING) => Ok(None),
        Err(error) => Err(reason("GetInstanceProfile", &error)),
    }
}

/// Deletes all profiles that were made for a class, also one that Karpenter made before they had paths.
///
/// # Errors
/// Why one could not be deleted.
pub(super) async fn delete_all(aws: &Aws, class: &EC2NodeClass, cluster: &ClusterFacts) -> Result<(), String> {
    for profile in list(aws, &instance_profile::path(cluster, class)).await? {
        delete(aws, &profile).await?;
    }
    if let Some(old) = get(aws, &instance_profile::legacy_name(cluster, class)).await? {
        let tags = old.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        if instance_profile::is_of_class(&tags, cluster, class) {
            delete(aws, &old).await?;
        }
    }
    Ok(())
}

/// Deletes those of the cluster that nobody needs: of an earlier role of a class, or of a class that is gone. How many there were. One that
/// cannot be deleted keeps no other.
///
/// # Errors
/// Why they could not be listed, or which could not be deleted, and why.
pub async fn tidy_profiles(
    aws: &Aws,
    cluster: &ClusterFacts,
    classes: &[EC2NodeClass],
    claims: &[NodeClaim],
    now: Timestamp,
) -> Result<usize, String> {
    let found = list(aws, &instance_profile::path_prefix(cluster)).await?;
    let known: Vec<Known> = found.iter().filter_map(known).collect();
    let stale: BTreeSet<&str> =
        instance_profile::stale(&known, classes, claims, cluster, now).iter().map(|of| of.name.as_str()).collect();
    let mut failures: Vec<String> = Vec::new();
    for profile in found.iter().filter(|of| stale.contains(of.instance_profile_name())) {
        if let Err(reason) = delete(aws, profile).await {
            failures.push(format!("instance profile {}: {reason}", profile.instance_profile_name()));
        }
    }
    if failures.is_empty() { Ok(stale.len()) } else { Err(failures.join("; ")) }
}

fn known(of: &InstanceProfile) -> Option<Known> {
    let created = Timestamp::from_second(of.create_date().secs()).ok()?;
    Some(Known { name: of.instance_profile_name().to_owned(), path: of.path().to_owned(), created })
}

async fn list(aws: &Aws, path_prefix: &str) -> Result<Vec<InstanceProfile>, String> {
    let mut pages = aws.iam.list_instance_profiles().path_prefix(path_prefix).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(profile) = pages.try_next().await.map_err(|error| reason("ListInstanceProfiles", &error))? {
        found.push(profile);
    }
    Ok(found)
}

/// Without its roles, which IAM asks for.
async fn delete(aws: &Aws, profile: &InstanceProfile) -> Result<(), String> {
    let name = profile.instance_profile_name();
    for role in profile.roles() {
        let call = aws.iam.remove_role_from_instance_profile().instance_profile_name(name);
        match call.role_name(role.role_name()).send().await {
            Err(error) if code(&error) != Some(MISSING) => {
                return Err(reason("RemoveRoleFromInstanceProfile", &error));
            }
            _ => {}
        }
    }
    match aws.iam.delete_instance_profile().instance_profile_name(name).send().await {
        Err(error) if code(&error) != Some(MISSING) => return Err(reason("DeleteInstanceProfile", &error)),
        _ => tracing::info!(controller = "nodeclass", profile = name, "deleted instance profile"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iam_says_whether_it_is_the_role_that_is_missing() {
        assert!(names_role(Some("The role with name nodes cannot be found.")));
        assert!(!names_role(Some("Instance Profile role-of-nodes cannot be found.")));
        assert!(names_role(None));
    }
}
