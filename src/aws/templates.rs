//! Launch templates: made where they are missing, and deleted where nobody needs them.

mod request;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::types::{LaunchTemplate as Ec2LaunchTemplate, ResourceType};
use jiff::Timestamp;
use tokio::sync::OnceCell;

pub(super) use request::{tag_specification, tags, volume_type};

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

/// Those that this process uses, by name.
#[derive(Debug, Default)]
pub(super) struct Templates(Mutex<BTreeMap<String, Used>>);

#[derive(Debug)]
struct Used {
    last: Timestamp,
    /// Set once it is there: whoever needs it meanwhile waits for whoever makes it.
    is_there: Arc<OnceCell<()>>,
}

impl Templates {
    /// Sees to it that a launch template is there. One that another process has made is as good: its name is its content.
    ///
    /// # Errors
    /// What EC2 says.
    pub async fn ensure(&self, aws: &Aws, template: &LaunchTemplate, now: Timestamp) -> Result<(), AwsError> {
        let is_there = self.note(&template.name, now);
        let made = is_there.get_or_try_init(|| Self::create(aws, template)).await.copied();
        if made.is_err() {
            self.forget(&template.name);
        }
        made
    }

    async fn create(aws: &Aws, template: &LaunchTemplate) -> Result<(), AwsError> {
        let own = tag_specification(ResourceType::LaunchTemplate, &template.content.own_tags);
        let call = aws.ec2.create_launch_template().launch_template_name(&template.name).tag_specifications(own);
        match call.launch_template_data(request::data(&template.content)).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some(EXISTS) => Ok(()),
            Err(error) => Err(super::words::error("CreateLaunchTemplate", &error)),
        }
    }

    /// It is used now; whether it is there.
    fn note(&self, name: &str, now: Timestamp) -> Arc<OnceCell<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(name.to_owned()).or_insert_with(|| Used { last: now, is_there: Arc::default() });
        used.last = now;
        used.is_there.clone()
    }

    /// When each was used last, by name.
    fn last_used(&self) -> BTreeMap<String, Timestamp> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, used)| (name.clone(), used.last)).collect()
    }

    /// EC2 says that it is not there.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Deletes those that nobody needs: of classes that are gone, or long unused. How many there were. One that cannot be deleted keeps no
    /// other.
    ///
    /// # Errors
    /// Why they cannot be listed, or which cannot be deleted, and why.
    pub async fn tidy(
        &self,
        aws: &Aws,
        cluster: &ClusterFacts,
        classes: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<usize, String> {
        let known = list(aws, cluster).await?;
        let used = self.last_used();
        let stale = stale(&known, &used, classes, cluster, now);
        let mut failures: Vec<String> = Vec::new();
        for template in &stale {
            self.forget(&template.name);
            match aws.ec2.delete_launch_template().launch_template_id(&template.id).send().await {
                Err(error) if !code(&error).is_some_and(|code| GONE.contains(&code)) => {
                    failures.push(format!(
                        "launch template {}: {}",
                        template.name,
                        reason("DeleteLaunchTemplate", &error)
                    ));
                }
                _ => tracing::debug!(controller = "launchtemplate", name = template.name, "deleted launch template"),
            }
        }
        if failures.is_empty() { Ok(stale.len()) } else { Err(failures.join("; ")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_template_is_there_once_it_is_made_and_until_it_is_forgotten() {
        let templates = Templates::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = templates.note("a", at(1));
        assert!(!first.initialized(), "it is used, and not there yet");
        let second = templates.note("a", at(2));
        first.set(()).unwrap();
        assert!(second.initialized(), "both wait for the same");
        assert_eq!(templates.last_used(), BTreeMap::from([("a".to_owned(), at(2))]));
        templates.forget("a");
        assert!(!templates.note("a", at(3)).initialized());
    }
}
