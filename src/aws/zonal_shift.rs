//! Zonal shifts of the cluster, asked of ARC every half minute.
//!
//! Source: the reference's `arczonalshift` (karpenter-aws 5): GetManagedResource with the ARN of the cluster.

use std::sync::Arc;

use aws_sdk_arczonalshift::operation::get_managed_resource::GetManagedResourceOutput;
use aws_sdk_arczonalshift::types::{AppliedStatus, AutoshiftAppliedStatus};
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

    /// Its zonal shifts and autoshifts; `None`: the cluster is not registered with ARC, which may change.
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
        Ok(Some(shifts(&answer)))
    }
}

async fn arn_of(aws: &Aws, cluster: &str) -> Result<String, String> {
    let found = facts::describe(aws, cluster).await?;
    found.arn.ok_or_else(|| "DescribeCluster: expected the ARN of the cluster, found none".to_owned())
}

fn shifts(of: &GetManagedResourceOutput) -> Vec<ZonalShift> {
    let begun_by_users = of.zonal_shifts().iter().map(|of| ZonalShift {
        away_from: Arc::from(of.away_from()),
        expires: Timestamp::new(of.expiry_time().secs(), 0).ok(),
        is_applied: *of.applied_status() == AppliedStatus::Applied,
    });
    let begun_by_aws = of.autoshifts().iter().map(|of| ZonalShift {
        away_from: Arc::from(of.away_from()),
        expires: None,
        is_applied: *of.applied_status() == AutoshiftAppliedStatus::Applied,
    });
    begun_by_users.chain(begun_by_aws).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_arczonalshift::types::AutoshiftInResource;
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn an_autoshift_counts_for_as_long_as_it_is_listed() {
        let autoshift = |zone: &str, status| {
            let of = AutoshiftInResource::builder().away_from(zone).applied_status(status);
            of.start_time(DateTime::from_secs(0)).build().unwrap()
        };
        let answer = GetManagedResourceOutput::builder()
            .applied_weights("use1-az1", 0.0)
            .set_zonal_shifts(Some(Vec::new()))
            .autoshifts(autoshift("use1-az1", AutoshiftAppliedStatus::Applied))
            .autoshifts(autoshift("use1-az2", AutoshiftAppliedStatus::NotApplied))
            .build()
            .unwrap();
        let shift = |zone: &str, is_applied| ZonalShift { away_from: zone.into(), expires: None, is_applied };
        assert_eq!(shifts(&answer), [shift("use1-az1", true), shift("use1-az2", false)]);
    }
}
