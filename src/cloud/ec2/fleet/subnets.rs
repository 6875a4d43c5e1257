//! Which subnet of a zone instances are launched into: the one with the most free addresses, those that are on their way to be used
//! taken off.
//!
//! Source: karpenter-provider-aws `pkg/providers/subnet` (karpenter-aws 3, step 5).

use std::collections::BTreeMap;

use super::FleetRequest;
use crate::api::ec2_node_class::Subnet;

/// A subnet that instances may be launched into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSpace {
    /// `subnet-...`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Free addresses.
    pub free: i64,
}

/// What is known of free addresses: as EC2 said last, less those of launches since.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    free: BTreeMap<String, i64>,
    taken: BTreeMap<String, i64>,
}

impl Addresses {
    /// What DescribeSubnets has just said: by subnet, its free addresses. What launches took before counts no more.
    pub fn learn(&mut self, free: BTreeMap<String, i64>) {
        self.taken.retain(|subnet, _| !free.contains_key(subnet));
        self.free.extend(free);
    }

    /// A launch is under way: each of its instances may take so many addresses of each subnet that it may land in.
    pub fn take(&mut self, request: &FleetRequest, addresses_each: i64) {
        let all = addresses_each.saturating_mul(i64::from(request.instances));
        for subnet in request.subnets() {
            *self.taken.entry(subnet.to_owned()).or_default() += all;
        }
    }

    /// Where its instances have landed: by subnet, how many. The other subnets have their addresses again.
    pub fn settle(&mut self, request: &FleetRequest, addresses_each: i64, landed: &BTreeMap<String, i64>) {
        for subnet in request.subnets() {
            let here = landed.get(subnet).copied().unwrap_or(0);
            let back = addresses_each.saturating_mul(i64::from(request.instances) - here);
            if let Some(taken) = self.taken.get_mut(subnet) {
                *taken = (*taken - back).max(0);
            }
        }
    }

    /// EC2 says that a subnet has no address left.
    pub fn exhaust(&mut self, subnet: &str) {
        self.free.insert(subnet.to_owned(), 0);
        self.taken.remove(subnet);
    }

    /// The subnets of a class with what they have left; one of which nothing is known counts as having none taken.
    #[must_use]
    pub fn of(&self, subnets: &[Subnet]) -> Vec<SubnetSpace> {
        let space = |subnet: &Subnet| {
            let taken = self.taken.get(&subnet.id).copied().unwrap_or(0);
            let free = self.free.get(&subnet.id).copied().unwrap_or(0);
            SubnetSpace { id: subnet.id.clone(), zone: subnet.zone.clone(), free: free - taken }
        };
        subnets.iter().map(space).collect()
    }
}

/// By zone the subnet with the most free addresses; of equals the first by id.
pub(super) fn roomiest(spaces: &[SubnetSpace]) -> BTreeMap<&str, &SubnetSpace> {
    let mut found: BTreeMap<&str, &SubnetSpace> = BTreeMap::new();
    for space in spaces {
        let place = found.entry(&space.zone).or_insert(space);
        if (space.free, std::cmp::Reverse(&space.id)) > (place.free, std::cmp::Reverse(&place.id)) {
            *place = space;
        }
    }
    found
}
