//! Instances as EC2 lists them, and what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter as Ec2Filter, Instance, InstanceLifecycleType, InstanceNetworkInterface, Placement};
use jiff::Timestamp;
use tokio::sync::watch;

use super::connect::Aws;
use super::words::reason;
use crate::cloud::OfferingName;
use crate::cloud::ec2::Filter;
use crate::cloud::ec2::listing::{FoundInstance, InstanceState, provider_id};
use crate::cloud::ec2::tags::{NODE_CLAIM, Tags};

const INSTANCES_OF_PAGE: i32 = 1_000;
/// For so long a list may not have an instance that was launched.
const YOUNG: Duration = Duration::from_secs(5 * 60);

/// As the SDK sends filters.
pub(super) fn filters(of: &[Filter]) -> Vec<Ec2Filter> {
    let filter = |of: &Filter| Ec2Filter::builder().name(&of.name).set_values(Some(of.values.clone())).build();
    of.iter().map(filter).collect()
}

/// The instances that all filters let through. Those that EC2 does not say enough of are left out.
///
/// # Errors
/// Why EC2 does not say.
pub(super) async fn describe(aws: &Aws, of: &[Filter]) -> Result<Vec<FoundInstance>, String> {
    let call = aws.ec2.describe_instances().set_filters(Some(filters(of))).max_results(INSTANCES_OF_PAGE);
    let mut pages = call.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(reservation) = pages.try_next().await.map_err(|error| reason("DescribeInstances", &error))? {
        found.extend(reservation.instances().iter().filter_map(instance));
    }
    Ok(found)
}

fn instance(of: &Instance) -> Option<FoundInstance> {
    let only = of.capacity_reservation_specification().and_then(|of| of.capacity_reservation_preference());
    let is_reserved = only.is_some_and(|of| of.as_str() == "capacity-reservations-only");
    Some(FoundInstance {
        id: of.instance_id()?.to_owned(),
        zone: of.placement()?.availability_zone()?.to_owned(),
        state: InstanceState::parse(of.state()?.name()?.as_str())?,
        launched_at: Timestamp::from_second(of.launch_time()?.secs()).ok()?,
        instance_type: of.instance_type()?.as_str().to_owned(),
        image_id: of.image_id()?.to_owned(),
        subnet_id: of.subnet_id().map(str::to_owned),
        security_groups: security_groups(of),
        is_spot: of.instance_lifecycle() == Some(&InstanceLifecycleType::Spot)
            || of.spot_instance_request_id().is_some_and(|id| !id.is_empty()),
        reservation: of.capacity_reservation_id().filter(|_| is_reserved).map(str::to_owned),
        placement_group: of.placement().and_then(Placement::group_id).filter(|id| !id.is_empty()).map(str::to_owned),
        partition: of.placement().and_then(Placement::partition_number),
        tags: of.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect(),
    })
}

/// Those of the primary interface: others may be attached later with groups of their own, as the VPC CNI does.
fn security_groups(of: &Instance) -> BTreeSet<String> {
    let is_primary = |interface: &&InstanceNetworkInterface| {
        let attached = interface.attachment();
        attached.is_some_and(|of| of.device_index() == Some(0) && of.network_card_index().unwrap_or(0) == 0)
    };
    let primary = of.network_interfaces().iter().find(is_primary);
    let groups = primary.map_or(of.security_groups(), InstanceNetworkInterface::groups);
    groups.iter().filter_map(|group| group.group_id().map(str::to_owned)).collect()
}

/// What messages about an instance need to know of it.
#[derive(Debug, Clone)]
pub(super) struct KnownInstance {
    pub provider_id: Arc<str>,
    /// How it was bought.
    pub offering: OfferingName,
    /// Those that it has, or was launched with.
    pub tags: Tags,
    /// By this process.
    pub launched: Option<Instant>,
}

/// The instances of this cluster, as they were listed or launched last.
#[derive(Debug, Default)]
pub(super) struct KnownInstances {
    all: Mutex<BTreeMap<String, KnownInstance>>,
    /// Whether all were listed since this process leads, not only those added that were launched here.
    is_complete: watch::Sender<bool>,
}

impl KnownInstances {
    /// All that there are.
    pub fn list(&self, found: &[FoundInstance]) {
        let mut all = self.all();
        // what was launched a moment ago may not be listed yet
        all.retain(|_, of| of.launched.is_some_and(|at| at.elapsed() < YOUNG));
        all.extend(found.iter().map(|of| (of.id.clone(), KnownInstance::of(of))));
        self.is_complete.send_replace(true);
    }

    /// One more.
    pub fn add(&self, id: &str, instance: KnownInstance) {
        self.all().insert(id.to_owned(), instance);
    }

    /// Waits until all were listed: before that nobody can say whose an instance is.
    pub async fn complete(&self) {
        let mut told = self.is_complete.subscribe();
        let _ = told.wait_for(|is_complete| *is_complete).await; // who tells is there for as long as this is
    }

    /// Another process launches instances now.
    pub fn be_incomplete(&self) {
        self.is_complete.send_replace(false);
    }

    /// `None`: it is not one of ours.
    pub fn get(&self, id: &str) -> Option<KnownInstance> {
        self.all().get(id).cloned()
    }

    /// Those without the name of their claim, with their tags.
    pub fn untagged(&self) -> Vec<(String, Tags)> {
        let all = self.all();
        let untagged = all.iter().filter(|(_, of)| !of.tags.contains_key(NODE_CLAIM));
        untagged.map(|(id, of)| (id.clone(), of.tags.clone())).collect()
    }

    /// It has these tags, too, now.
    pub fn tagged(&self, id: &str, more: Tags) {
        if let Some(of) = self.all().get_mut(id) {
            of.tags.extend(more);
        }
    }

    /// By their ids.
    pub fn ids(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, KnownInstance>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownInstance {
    pub fn of(found: &FoundInstance) -> Self {
        let offering = OfferingName {
            instance_type: Arc::from(found.instance_type.as_str()),
            zone: Arc::from(found.zone.as_str()),
            capacity_type: found.capacity_type(),
            reservation: found.reservation.as_deref().map(Arc::from),
            class: None,
        };
        Self { provider_id: provider_id(&found.zone, &found.id), offering, tags: found.tags.clone(), launched: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CapacityType;
    use aws_sdk_ec2::types::{GroupIdentifier, InstanceNetworkInterfaceAttachment};
    use futures::FutureExt as _;

    #[test]
    fn the_groups_of_an_instance_are_those_of_its_primary_interface() {
        let group = |id: &str| GroupIdentifier::builder().group_id(id).build();
        let interface = |card: i32, device: i32, groups: &[&str]| {
            let attached =
                InstanceNetworkInterfaceAttachment::builder().network_card_index(card).device_index(device).build();
            let groups = groups.iter().map(|id| group(id)).collect();
            InstanceNetworkInterface::builder().attachment(attached).set_groups(Some(groups)).build()
        };
        let groups = |instance: &Instance| security_groups(instance).into_iter().collect::<Vec<_>>();
        let grown = Instance::builder()
            .network_interfaces(interface(0, 1, &["sg-pods"]))
            .network_interfaces(interface(1, 0, &["sg-card"]))
            .network_interfaces(interface(0, 0, &["sg-b", "sg-a"]))
            .build();
        assert_eq!(groups(&grown), ["sg-a", "sg-b"], "not those of interfaces that were attached later");
        let bare = Instance::builder().security_groups(group("sg-a")).build();
        assert_eq!(groups(&bare), ["sg-a"]);
    }

    #[test]
    fn what_was_launched_here_is_not_all_that_there_is() {
        let known = KnownInstances::default();
        let offering = OfferingName {
            instance_type: "m5.large".into(),
            zone: "a".into(),
            capacity_type: CapacityType::OnDemand,
            reservation: None,
            class: None,
        };
        let (tags, launched) = (Tags::new(), Some(Instant::now()));
        known.add("i-1", KnownInstance { provider_id: provider_id("a", "i-1"), offering, tags, launched });
        assert!(known.complete().now_or_never().is_none(), "there may be others");
        known.list(&[]);
        assert!(known.complete().now_or_never().is_some());
        assert!(known.get("i-1").is_some(), "it may not be listed yet");
        known.be_incomplete();
        assert!(known.complete().now_or_never().is_none(), "another process may have launched some");
    }
}
