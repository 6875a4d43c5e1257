//! Zonal shifts of the cluster, asked of ARC every half minute.
//!
//! Source: the reference's `arczonalshift` (karpenter-aws 5): GetManagedResource with the ARN of the cluster.

use std::sync::Arc;

use aws_sdk_arczonalshift::types::{AppliedStatus, ZonalShiftInResource};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::connect::Aws;
use super::facts;
use super::words::{code, reason};
use crate::cloud::ec2::zonal_shift::ZonalShift;

/// The cluster as ARC knows it.
#[derive(Debug)]
pub(super) struct Resource {
    /// `CLUSTER_NAME`.
    pub cluster: Arc<str>,
    /// EKS says it, once.
    arn: OnceCell<String>,
}

impl Resource {
    pub fn of(cluster: Arc<str>) -> Self {
        Self { cluster, arn: OnceCell::new() }
    }

    /// Its zonal shifts; `None`: the cluster is not registered with ARC, which may change.
    ///
    /// # Errors
    /// Why ARC, or EKS, does not say.
    pub async fn shifts(&self, aws: &Aws) -> Result<Option<Vec<ZonalShift>>, String> {
        let arn = self.arn.get_or_try_init(|| arn_of(aws, &self.cluster)).await?;
        let answer = match aws.arc_zonal_shift.get_managed_resource().resource_identifier(arn).send().await {
            Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => {
                let reason = reason("GetManagedResource", &error);
                // ARC refuses what is not registered as it refuses what is not allowed
                return if reason.contains("is not a managed resource") { Ok(None) } else { Err(reason) };
            }
            Ok(answer) => answer,
        };
        Ok(Some(answer.zonal_shifts().iter().filter_map(shift).collect()))
    }
}

async fn arn_of(aws: &Aws, cluster: &str) -> Result<String, String> {
    let found = facts::describe(aws, cluster).await?;
    found.arn.ok_or_else(|| "DescribeCluster: expected the ARN of the cluster, found none".to_owned())
}

fn shift(of: &ZonalShiftInResource) -> Option<ZonalShift> {
    Some(ZonalShift {
        away_from: Arc::from(of.away_from()),
        expires: Timestamp::new(of.expiry_time().secs(), 0).ok()?,
        is_applied: *of.applied_status() == AppliedStatus::Applied,
    })
}
