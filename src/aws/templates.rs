//! Launch templates: made where they are missing, and deleted where nobody needs them.

mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_sdk_ec2::types::{LaunchTemplate as Ec2LaunchTemplate, ResourceType};
use jiff::Timestamp;

pub(super) use request::{data as launch_template_data, tag_specification, tags};

use super::connect::Aws;
use super::instances::filters;
use super::words::{code, reason};
use crate::cloud::ec2::ClusterFacts;
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::launch_template::{Known, LaunchTemplate, stale};
use crate::cloud::ec2::tags::filters_of_launch_templates;

const TEMPLATES_OF_PAGE: i32 = 200;
const EXISTS: &str = "InvalidLaunchTemplateName.AlreadyExistsException";
const GONE: [&str; 2] = ["InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"];

/// When each was used last by this process, by name: those are there.
#[derive(Debug, Default)]
pub(super) struct Templates(Mutex<BTreeMap<String, Timestamp>>);

impl Templates {
    /// Sees to it that a launch template is there. One that another process has made is as good: its name is its content.
    ///
    /// # Errors
    /// What EC2 says.
    pub async fn ensure(&self, aws: &Aws, template: &LaunchTemplate, now: Timestamp) -> Result<(), AwsError> {
        if self.note(&template.name, now) {
            return Ok(());
        }
        let own = tag_specification(ResourceType::LaunchTemplate, &template.content.own_tags);
        let call = aws.ec2.create_launch_template().launch_template_name(&template.name).tag_specifications(own);
        match call.launch_template_data(request::data(&template.content)).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(EXISTS) => Ok(()),
            Err(error) => {
                self.forget(&template.name);
                Err(super::words::error("CreateLaunchTemplate", &error))
            }
        }
    }

    /// Whether it was known already.
    fn note(&self, name: &str, now: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), now).is_some()
    }

    /// EC2 says that it is not there.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Deletes those that nobody needs: of classes that are gone, or long unused. How many there were.
    ///
    /// # Errors
    /// Why they cannot be listed or deleted.
    pub async fn tidy(
        &self,
        aws: &Aws,
        cluster: &ClusterFacts,
        classes: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<usize, String> {
        let known = list(aws, cluster).await?;
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stale = stale(&known, &used, classes, cluster, now);
        for template in &stale {
            self.forget(&template.name);
            match aws.ec2.delete_launch_template().launch_template_id(&template.id).send().await {
                Err(error) if !code(&error).is_some_and(|code| GONE.contains(&code)) => {
                    return Err(reason("DeleteLaunchTemplate", &error));
                }
                _ => tracing::debug!(controller = "launchtemplate", name = template.name, "deleted launch template"),
            }
        }
        Ok(stale.len())
    }
}

async fn list(aws: &Aws, cluster: &ClusterFacts) -> Result<Vec<Known>, String> {
    let call = aws.ec2.describe_launch_templates().set_filters(Some(filters(&filters_of_launch_templates(cluster))));
    let mut pages = call.max_results(TEMPLATES_OF_PAGE).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(template) = pages.try_next().await.map_err(|error| reason("DescribeLaunchTemplates", &error))? {
        found.extend(known(&template));
    }
    Ok(found)
}

fn known(of: &Ec2LaunchTemplate) -> Option<Known> {
    Some(Known {
        id: of.launch_template_id()?.to_owned(),
        name: of.launch_template_name()?.to_owned(),
        tags: of.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect(),
        created: Timestamp::from_second(of.create_time()?.secs()).ok()?,
    })
}
