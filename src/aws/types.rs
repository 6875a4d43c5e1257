//! Types, the zones that offer them, and the ids of zones, as the account sees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_ec2::types::{
    ArchitectureType, EbsOptimizedSupport, EfaInfo, EphemeralNvmeSupport, Filter, GpuDeviceMemoryInfo,
    InstanceStorageInfo, InstanceTypeInfo, LocationType, NetworkCardInfo, NeuronInfo, PlacementGroupInfo,
};

use super::connect::Aws;
use super::words::{code, reason};
use crate::catalog::ec2::{DescribedDevice, DescribedType, Ec2Facts};
use crate::catalog::market::Offered;
use crate::catalog::node_class::Zone;

/// Types of a page of DescribeInstanceTypes, as many as EC2 allows.
const TYPES_OF_PAGE: i32 = 100;
const OFFERINGS_OF_PAGE: i32 = 1_000;

/// Every type that is virtualized in hardware and runs on x86_64 or arm64, as the reference filters them.
///
/// # Errors
/// Why EC2 does not say.
pub async fn types(aws: &Aws) -> Result<Ec2Facts, String> {
    let filters = [
        Filter::builder().name("supported-virtualization-type").values("hvm").build(),
        Filter::builder().name("processor-info.supported-architecture").values("x86_64").values("arm64").build(),
    ];
    let call = aws.ec2.describe_instance_types().set_filters(Some(filters.to_vec())).max_results(TYPES_OF_PAGE);
    let mut pages = call.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(info) = pages.try_next().await.map_err(|error| reason("DescribeInstanceTypes", &error))? {
        found.extend(described(&info));
    }
    if found.is_empty() {
        return Err("DescribeInstanceTypes: expected at least one type, found none".to_owned());
    }
    let (facts, unread) = Ec2Facts::of_described(&found);
    for reason in unread {
        tracing::warn!(controller = "providers.instancetype", "instance type {reason}");
    }
    Ok(facts)
}

/// Where each type is offered.
///
/// # Errors
/// Why EC2 does not say.
pub async fn offered(aws: &Aws) -> Result<Offered, String> {
    let call = aws.ec2.describe_instance_type_offerings();
    let call = call.location_type(LocationType::AvailabilityZone).max_results(OFFERINGS_OF_PAGE);
    let mut pages = call.into_paginator().items().send();
    let mut found = Offered::new();
    while let Some(offering) =
        pages.try_next().await.map_err(|error| reason("DescribeInstanceTypeOfferings", &error))?
    {
        if let (Some(kind), Some(zone)) = (offering.instance_type(), offering.location()) {
            found.entry(Arc::from(kind.as_str())).or_default().insert(Arc::from(zone));
        }
    }
    if found.is_empty() {
        return Err("DescribeInstanceTypeOfferings: expected at least one offering, found none".to_owned());
    }
    Ok(found)
}

/// The zones of the region that the account may use, by name. The reference's policy does not let them be asked for: those where
/// something is offered are they, too, but for their ids.
///
/// # Errors
/// Why EC2 does not say.
pub async fn zones(aws: &Aws, offered: &Offered) -> Result<Vec<Zone>, String> {
    let answer = match aws.ec2.describe_availability_zones().send().await {
        Err(error) if code(&error) == Some("UnauthorizedOperation") => {
            tracing::warn!(
                controller = "providers.instancetype",
                "the right ec2:DescribeAvailabilityZones is missing: ids of zones are not known before a node class has subnets there"
            );
            let names: BTreeSet<&Arc<str>> = offered.values().flatten().collect();
            return Ok(names.into_iter().map(|name| Zone { name: name.clone(), id: None }).collect());
        }
        answer => answer.map_err(|error| reason("DescribeAvailabilityZones", &error))?,
    };
    let zone = |zone: &aws_sdk_ec2::types::AvailabilityZone| {
        Some(Zone { name: Arc::from(zone.zone_name()?), id: zone.zone_id().map(Arc::from) })
    };
    let mut found: Vec<Zone> = answer.availability_zones().iter().filter_map(zone).collect();
    if found.is_empty() {
        return Err("DescribeAvailabilityZones: expected at least one zone, found none".to_owned());
    }
    found.sort();
    Ok(found)
}

/// `None` where EC2 does not say how much of it there is.
fn described(info: &InstanceTypeInfo) -> Option<DescribedType> {
    let processor = info.processor_info()?;
    let architectures = processor.supported_architectures();
    let known = [ArchitectureType::X8664, ArchitectureType::Arm64];
    let architecture = architectures.iter().find(|of| known.contains(of))?.as_str().to_owned();
    let network = info.network_info()?;
    let card = usize::try_from(network.default_network_card_index().unwrap_or(0)).unwrap_or(0);
    let card = network.network_cards().get(card);
    let interfaces =
        card.and_then(NetworkCardInfo::maximum_network_interfaces).or(network.maximum_network_interfaces())?;
    let baselines = network.network_cards().iter().filter_map(NetworkCardInfo::baseline_bandwidth_in_gbps);
    let gbps: f64 = baselines.sum();
    let storage = info.instance_storage_info();
    let is_nvme = storage.is_some_and(|of| of.nvme_support() != Some(&EphemeralNvmeSupport::Unsupported));
    let ebs = info.ebs_info().filter(|ebs| ebs.ebs_optimized_support() == Some(&EbsOptimizedSupport::Default));
    Some(DescribedType {
        name: info.instance_type()?.as_str().to_owned(),
        architecture,
        vcpus: info.v_cpu_info()?.default_v_cpus()?.into(),
        memory_mib: info.memory_info()?.size_in_mib()?,
        cpu_manufacturer: processor.manufacturer().unwrap_or_default().to_owned(),
        clock_ghz: processor.sustained_clock_speed_in_ghz(),
        ebs_mbps: ebs.and_then(|ebs| ebs.ebs_optimized_info()?.maximum_bandwidth_in_mbps()).map(i64::from),
        network_mbps: (gbps > 0.0).then(|| whole_mbps(gbps)),
        encryption_in_transit: network.encryption_in_transit_supported().unwrap_or(false),
        hypervisor: info.hypervisor().map(|of| of.as_str().to_owned()).unwrap_or_default(),
        local_nvme_gb: storage.filter(|_| is_nvme).and_then(InstanceStorageInfo::total_size_in_gb),
        gpu: gpu(info),
        accelerator: accelerator(info),
        neuron_cores: neuron_cores(info),
        efa_interfaces: network.efa_info().and_then(EfaInfo::maximum_efa_interfaces).map(i64::from),
        network_cards: network.maximum_network_cards().unwrap_or(1).into(),
        interfaces: interfaces.into(),
        ipv4_per_interface: network.ipv4_addresses_per_interface()?.into(),
        placement_strategies: info.placement_group_info().map(strategies).unwrap_or_default(),
        usage_classes: info.supported_usage_classes().iter().map(|class| class.as_str().to_owned()).collect(),
    })
}

fn strategies(of: &PlacementGroupInfo) -> Vec<String> {
    of.supported_strategies().iter().map(|strategy| strategy.as_str().to_owned()).collect()
}

fn whole_mbps(gbps: f64) -> i64 {
    format!("{:.0}", gbps * 1_000.0).parse().unwrap_or(0) // the text of a finite number without decimals
}

fn gpu(info: &InstanceTypeInfo) -> Option<DescribedDevice> {
    let [gpu] = info.gpu_info()?.gpus() else { return None };
    Some(DescribedDevice {
        name: gpu.name().unwrap_or_default().to_owned(),
        manufacturer: gpu.manufacturer().unwrap_or_default().to_owned(),
        count: gpu.count()?.into(),
        memory_mib: gpu.memory_info().and_then(GpuDeviceMemoryInfo::size_in_mib).map(i64::from),
    })
}

/// Neuron devices are made by AWS; EC2 does not say so.
fn accelerator(info: &InstanceTypeInfo) -> Option<DescribedDevice> {
    let device = |name: Option<&str>, manufacturer: &str, count: i32| DescribedDevice {
        name: name.unwrap_or_default().to_owned(),
        manufacturer: manufacturer.to_owned(),
        count: count.into(),
        memory_mib: None,
    };
    if let Some([neuron]) = info.neuron_info().map(NeuronInfo::neuron_devices) {
        return Some(device(neuron.name(), "aws", neuron.count()?));
    }
    let [other] = info.inference_accelerator_info()?.accelerators() else { return None };
    Some(device(other.name(), other.manufacturer().unwrap_or_default(), other.count()?))
}

/// Of all devices; `DescribeInstanceTypes` says how many one has.
fn neuron_cores(info: &InstanceTypeInfo) -> Option<i64> {
    let device = info.neuron_info()?.neuron_devices().first()?;
    Some(i64::from(device.count()?) * i64::from(device.core_info()?.count()?))
}
