//! What selectors find: subnets, security groups, images, capacity reservations and the placement group of a class.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{CapacityReservation, CapacityReservationType, Image, PlacementGroup, SubnetState};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

use super::observed::Need;
use super::parameters::{Missing, PINNED};
use crate::api::ec2_node_class::AMI;
use crate::api::ec2_node_class::{EC2NodeClassSpec, InstanceMatchCriteria, ReservationType, SecurityGroup};
use crate::aws::connect::Aws;
use crate::aws::instances::filters;
use crate::aws::words::{code, reason};
use crate::catalog::node_class::PlacementGroupFacts;
use crate::cloud::ec2::class_status::{FoundReservation, FoundSubnet, Part};
use crate::cloud::ec2::images::{self, FoundImage, ImageQuery, Sought};
use crate::cloud::ec2::selectors;

const IMAGES_OF_PAGE: i32 = 1_000;
/// Parameters that are asked for at once.
const CONCURRENT: usize = 10;

pub(super) async fn subnets(aws: &Aws, spec: &EC2NodeClassSpec) -> Part<Vec<FoundSubnet>> {
    let mut found = Vec::new();
    for query in selectors::subnets(spec) {
        let mut pages = aws.ec2.describe_subnets().set_filters(Some(filters(&query))).into_paginator().items().send();
        loop {
            match pages.try_next().await {
                Ok(Some(subnet)) if subnet.state() == Some(&SubnetState::Pending) => {}
                Ok(Some(subnet)) => {
                    found.extend(subnet.subnet_id().zip(subnet.availability_zone()).map(|(id, zone)| FoundSubnet {
                        id: id.to_owned(),
                        zone: zone.to_owned(),
                        zone_id: subnet.availability_zone_id().map(str::to_owned),
                        free_addresses: subnet.available_ip_address_count().unwrap_or(0).into(),
                    }));
                }
                Ok(None) => break,
                Err(error) if is_missing(code(&error)) => break,
                Err(error) => return Part::Failed(reason("DescribeSubnets", &error)),
            }
        }
    }
    Part::Found(found)
}

pub(super) async fn security_groups(aws: &Aws, spec: &EC2NodeClassSpec) -> Part<Vec<SecurityGroup>> {
    let mut found = Vec::new();
    for query in selectors::security_groups(spec) {
        let call = aws.ec2.describe_security_groups().set_filters(Some(filters(&query)));
        let mut pages = call.into_paginator().items().send();
        loop {
            match pages.try_next().await {
                Ok(Some(group)) => found.extend(
                    group
                        .group_id()
                        .map(|id| SecurityGroup { id: id.to_owned(), name: group.group_name().map(str::to_owned) }),
                ),
                Ok(None) => break,
                Err(error) if is_missing(code(&error)) => break,
                Err(error) => return Part::Failed(reason("DescribeSecurityGroups", &error)),
            }
        }
    }
    Part::Found(found)
}

/// What was named is not there: that is an answer.
fn is_missing(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        code.contains("NotFound") || code.starts_with("InvalidPlacementGroup") && code.ends_with(".Unknown")
    })
}

/// Values of parameters first, then what the images are.
pub(super) async fn images(need: Need<'_>, spec: &EC2NodeClassSpec, now: Timestamp) -> Part<Vec<AMI>> {
    let Need { aws, cluster, settings, .. } = need;
    let sought = match images::sought(spec, cluster.version) {
        Ok(sought) => sought,
        Err(error) => return Part::Refused("UnsupportedAlias", error.to_string()),
    };
    let kept = |is_mutable: bool| if is_mutable { settings.images_every } else { PINNED };
    let names: Vec<(String, Duration)> = match &sought {
        Sought::Alias(_, all) => all.iter().map(|of| (of.name.clone(), kept(of.is_mutable))).collect(),
        Sought::Terms { parameters } => parameters.iter().map(|name| (name.clone(), kept(true))).collect(),
    };
    // of several terms those that may be read count
    let may_be_refused = matches!(sought, Sought::Terms { .. });
    let values =
        futures::stream::iter(names).map(|of| parameter(need, of, may_be_refused)).buffer_unordered(CONCURRENT);
    let values: Vec<Option<(String, String)>> = match values.try_collect().await {
        Ok(values) => values,
        Err(reason) => return Part::Failed(reason),
    };
    let values: BTreeMap<String, String> = values.into_iter().flatten().collect();
    let queries = images::queries(spec, &sought, &values);
    let mut found = Vec::new();
    for query in &queries.queries {
        match describe(aws, query).await {
            Ok(images) => found.extend(images),
            Err(reason) => return Part::Failed(reason),
        }
    }
    Part::Found(queries.choose(&found, now))
}

/// `None`: there is no such parameter, or, where that may be, it may not be read.
async fn parameter(
    Need { aws, parameters, .. }: Need<'_>,
    (name, kept): (String, Duration),
    may_be_refused: bool,
) -> Result<Option<(String, String)>, String> {
    let now = Instant::now();
    if let Some(known) = parameters.get(&name, now) {
        return Ok(known.ok().map(|value| (name, value)));
    }
    match aws.ssm.get_parameter().name(&name).send().await {
        Ok(answer) => {
            let value = answer.parameter().and_then(|found| found.value()).map(str::to_owned);
            parameters.learn(&name, value.clone().ok_or(Missing), kept, now);
            Ok(value.map(|value| (name, value)))
        }
        Err(error) if is_missing(code(&error)) => {
            parameters.learn(&name, Err(Missing), kept, now);
            Ok(None)
        }
        Err(error) if may_be_refused && code(&error).is_some_and(|code| code.starts_with("AccessDenied")) => {
            warn!(controller = "nodeclass", name, "{}", reason("GetParameter", &error));
            Ok(None)
        }
        Err(error) => Err(reason("GetParameter", &error)),
    }
}

async fn describe(aws: &Aws, query: &ImageQuery) -> Result<Vec<FoundImage>, String> {
    let owners = (!query.owners.is_empty()).then(|| query.owners.clone());
    let call = aws.ec2.describe_images().set_owners(owners).set_filters(Some(filters(&query.filters)));
    let mut pages = call.include_deprecated(true).max_results(IMAGES_OF_PAGE).into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(image) = pages.try_next().await.map_err(|error| reason("DescribeImages", &error))? {
        found.extend(image_of(&image));
    }
    Ok(found)
}

fn image_of(of: &Image) -> Option<FoundImage> {
    let time = |text: Option<&str>| text.and_then(|text| text.parse::<Timestamp>().ok());
    Some(FoundImage {
        id: of.image_id()?.to_owned(),
        name: of.name().unwrap_or_default().to_owned(),
        architecture: of.architecture()?.as_str().to_owned(),
        created: time(of.creation_date()),
        deprecated: time(of.deprecation_time()),
    })
}

pub(super) async fn reservations(aws: &Aws, spec: &EC2NodeClassSpec) -> Part<Vec<FoundReservation>> {
    let mut found = Vec::new();
    for query in selectors::capacity_reservations(spec) {
        let ids = query.id.map(|id| vec![id]);
        let call = aws.ec2.describe_capacity_reservations().set_capacity_reservation_ids(ids);
        let mut pages = call.set_filters(Some(filters(&query.filters))).into_paginator().items().send();
        loop {
            match pages.try_next().await {
                Ok(Some(reservation)) => found.extend(reservation_of(&reservation)),
                Ok(None) => break,
                Err(error) if is_missing(code(&error)) => break,
                Err(error) => return Part::Failed(reason("DescribeCapacityReservations", &error)),
            }
        }
    }
    Part::Found(found)
}

/// Of an interruptible one nothing is free: CreateFleet of this SDK cannot ask for it.
fn reservation_of(of: &CapacityReservation) -> Option<FoundReservation> {
    let free = of.available_instance_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let is_interruptible = of.interruptible().unwrap_or(false);
    if is_interruptible {
        let id = of.capacity_reservation_id();
        warn!(controller = "nodeclass", id, "nothing is launched into an interruptible capacity reservation yet");
    }
    let criteria = match of.instance_match_criteria().map(aws_sdk_ec2::types::InstanceMatchCriteria::as_str) {
        Some("targeted") => InstanceMatchCriteria::Targeted,
        _ => InstanceMatchCriteria::Open,
    };
    let kind = match of.reservation_type().map(CapacityReservationType::as_str) {
        Some("capacity-block") => ReservationType::CapacityBlock,
        _ => ReservationType::Default,
    };
    Some(FoundReservation {
        id: of.capacity_reservation_id()?.to_owned(),
        zone: of.availability_zone()?.to_owned(),
        instance_type: of.instance_type()?.to_owned(),
        criteria,
        owner_id: of.owner_id().unwrap_or_default().to_owned(),
        ends: of.end_date().and_then(|end| Timestamp::from_second(end.secs()).ok()),
        kind,
        is_interruptible,
        is_active: of.state().is_some_and(|state| state.as_str() == "active"),
        free: if is_interruptible { 0 } else { free },
    })
}

/// The placement group, if it is there; of a class without one nobody asks.
pub(super) async fn placement_group(aws: &Aws, spec: &EC2NodeClassSpec) -> Part<Option<PlacementGroupFacts>> {
    let Some(query) = selectors::placement_group(spec) else { return Part::Unknown };
    let ids = query.id.map(|id| vec![id]);
    let call = aws.ec2.describe_placement_groups().set_group_ids(ids).set_filters(Some(filters(&query.filters)));
    match call.send().await {
        Ok(answer) => Part::Found(answer.placement_groups().first().and_then(group_of)),
        Err(error) if is_missing(code(&error)) => Part::Found(None),
        Err(error) => Part::Failed(reason("DescribePlacementGroups", &error)),
    }
}

fn group_of(of: &PlacementGroup) -> Option<PlacementGroupFacts> {
    let partitions = of.partition_count().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let strategy = of.strategy().map_or("", |strategy| strategy.as_str()).into();
    Some(PlacementGroupFacts { id: of.group_id()?.into(), strategy, partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_free_of_a_reservation_that_cannot_be_asked_for() {
        let free = |interruptible: bool| {
            let reservation = CapacityReservation::builder()
                .capacity_reservation_id("cr-1")
                .availability_zone("a")
                .instance_type("m5.large")
                .available_instance_count(3)
                .interruptible(interruptible)
                .build();
            reservation_of(&reservation).unwrap().free
        };
        assert_eq!((free(false), free(true)), (3, 0));
    }
}
