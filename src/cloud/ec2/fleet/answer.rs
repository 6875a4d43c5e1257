//! What CreateFleet has answered, claim by claim.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::batch::Batch;
use super::request::{FleetRequest, Templated};
use crate::catalog::{CapacityType, InstanceType, Offering};
use crate::cloud::ec2::errors::{AwsError, Class, Scope};
use crate::cloud::ec2::{NodeTemplate, listing};
use crate::cloud::{Answer, Instance, LaunchError, OfferingName};

const EFA: &str = "vpc.amazonaws.com/efa";

/// The answer of CreateFleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetResponse {
    /// What was launched.
    pub instances: Vec<Created>,
    /// Pools of capacity that could not be used, also where others could.
    pub errors: Vec<Failure>,
}

/// Instances of one pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    /// `i-...`.
    pub ids: Vec<String>,
    /// Their type.
    pub instance_type: String,
    /// `LaunchTemplateAndOverrides.Overrides.SubnetId`.
    pub subnet_id: Option<String>,
    /// `...AvailabilityZone`.
    pub zone: Option<String>,
    /// `...LaunchTemplateSpecification.LaunchTemplateName`.
    pub template: Option<String>,
}

/// A pool that could not be used; what is `None` is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub error: AwsError,
    /// The type.
    pub instance_type: Option<String>,
    /// The subnet.
    pub subnet_id: Option<String>,
    /// The zone.
    pub zone: Option<String>,
    /// The name of the launch template.
    pub template: Option<String>,
}

/// What a response comes to.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// One for each claim.
    pub answers: Vec<Answer>,
    /// Offerings that could not be had, whether the fleet was filled or not: for [`Answer::Unavailable`].
    pub unavailable: Vec<OfferingName>,
    /// Subnets without free addresses: for [`super::Addresses::exhaust`].
    pub exhausted: BTreeSet<String>,
    /// Subnets and how many instances have landed there: for [`super::Addresses::settle`].
    pub landed: BTreeMap<String, i64>,
    /// Instances that no claim is left for, or that are of no type that was asked for: they are to be ended.
    pub surplus: Vec<String>,
}

/// The response, claim by claim: instances by id go to claims by uid. A claim that gets none is told why the pools failed.
///
/// `others`: of each zone of the class the subnets that have addresses; a zone is full once all of its subnets are.
#[must_use]
pub fn answers(
    batch: &Batch,
    request: &FleetRequest,
    templates: &[Templated],
    response: &FleetResponse,
    subnets: &[super::SubnetSpace],
) -> Answers {
    let mut found = Answers::default();
    let mut instances: Vec<(String, Instance)> = Vec::new();
    for created in &response.instances {
        let bought = bought(batch, request, templates, created);
        for id in &created.ids {
            match bought {
                Some((kind, offering, image, subnet)) => {
                    *found.landed.entry(subnet.to_owned()).or_default() += 1;
                    instances.push((id.clone(), instance(&batch.template, id, kind, offering, image)));
                }
                None => found.surplus.push(id.clone()),
            }
        }
    }
    instances.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.exhausted = exhausted(request, response);
    found.unavailable = unavailable(batch, request, response, subnets, &found.exhausted);
    let mut left = instances.into_iter();
    for claim in &batch.claims {
        let result = match left.next() {
            Some((_, instance)) => Ok(Box::new(instance)),
            None => Err(why(batch, response, &found.unavailable)),
        };
        found.answers.push(Answer::Launched { claim: claim.uid.clone(), result });
    }
    found.surplus.extend(left.map(|(id, _)| id));
    found
}

/// The answers where CreateFleet itself has failed: nothing was launched, and nothing is known of any pool but what the error says.
#[must_use]
pub fn refused(batch: &Batch, error: &AwsError) -> Answers {
    let unavailable = match error.class().scope() {
        Some(Scope::Spot) => all_spot(batch),
        Some(_) => all_asked(batch, error.class()),
        None => Vec::new(),
    };
    let result = if error.class().scope().is_some() {
        LaunchError::InsufficientCapacity(unavailable.clone())
    } else {
        LaunchError::Other(error.launch_message())
    };
    Answers { answers: batch.refused(&result), unavailable, ..Answers::default() }
}

type Bought<'b> = (&'b InstanceType, &'b Offering, &'b str, &'b str);

/// Which option instances are of: by type, place and launch template.
fn bought<'b>(
    batch: &'b Batch,
    request: &'b FleetRequest,
    templates: &'b [Templated],
    created: &Created,
) -> Option<Bought<'b>> {
    let agrees = |said: &Option<String>, ours: &str| said.as_deref().is_none_or(|said| said == ours);
    let (name, over) = request.overrides().find(|(name, over)| {
        over.instance_type == created.instance_type
            && agrees(&created.template, name)
            && agrees(&created.subnet_id, &over.subnet_id)
            && agrees(&created.zone, &over.zone)
    })?;
    let templated = templates.iter().find(|of| of.template.name == name)?;
    let &(kind, offering) = batch.options.get(over.option)?;
    let kind = &batch.types[kind];
    Some((kind, &kind.offerings[offering], &templated.group.image_id, &over.subnet_id))
}

/// An instance of an option, with what it really has.
pub(super) fn instance(
    template: &NodeTemplate,
    id: &str,
    kind: &InstanceType,
    offering: &Offering,
    image: &str,
) -> Instance {
    let mut kind = kind.clone();
    if !template.wants_efa && template.class.spec.network_interfaces.is_empty() {
        for amounts in [&mut kind.capacity, &mut kind.allocatable] {
            *amounts = amounts
                .iter()
                .filter(|(name, _)| &***name != EFA)
                .map(|(name, amount)| (name.clone(), amount))
                .collect();
        }
    }
    Instance {
        provider_id: listing::provider_id(&offering.zone, id),
        image_id: Some(image.into()),
        kind,
        offering: offering.clone(),
    }
}

fn exhausted(request: &FleetRequest, response: &FleetResponse) -> BTreeSet<String> {
    let full = response.errors.iter().filter(|failure| failure.error.class().scope() == Some(Scope::Subnet));
    full.flat_map(|failure| {
        let of_request =
            request.overrides().filter(|(_, over)| is_of(failure, over, None)).map(|(_, over)| over.subnet_id.clone());
        failure.subnet_id.clone().map_or_else(|| of_request.collect::<Vec<_>>(), |subnet| vec![subnet])
    })
    .collect()
}

/// Whether a failure is of a pool; what it does not say agrees with everything.
fn is_of(failure: &Failure, over: &super::Override, template: Option<&str>) -> bool {
    let agrees = |said: &Option<String>, ours: &str| said.as_deref().is_none_or(|said| said == ours);
    agrees(&failure.instance_type, &over.instance_type)
        && agrees(&failure.subnet_id, &over.subnet_id)
        && agrees(&failure.zone, &over.zone)
        && template.is_none_or(|template| agrees(&failure.template, template))
}

/// The class that alone cannot have what fails so: its subnets are full, or its placement group has no room.
fn class_of(batch: &Batch, failed: Class) -> Option<Arc<str>> {
    let class = &batch.template.class;
    let is_its_own = match failed {
        Class::InsufficientCapacity(Scope::Subnet | Scope::Zone) => true,
        Class::InsufficientCapacity(Scope::Offering) => class.spec.placement_group_selector.is_some(),
        _ => false,
    };
    class.metadata.name.as_deref().filter(|_| is_its_own).map(Arc::from)
}

fn unavailable(
    batch: &Batch,
    request: &FleetRequest,
    response: &FleetResponse,
    subnets: &[super::SubnetSpace],
    exhausted: &BTreeSet<String>,
) -> Vec<OfferingName> {
    let mut found: BTreeSet<OfferingName> = BTreeSet::new();
    let failures = response.errors.iter().filter_map(|failure| Some((failure, failure.error.class().scope()?)));
    let offerings = batch.offerings();
    for (failure, scope) in failures {
        let class = class_of(batch, failure.error.class());
        let name = |kind: &InstanceType, offering: &Offering| OfferingName {
            class: class.clone(),
            ..OfferingName::of(kind, offering)
        };
        let hit = || request.overrides().filter(|(template, over)| is_of(failure, over, Some(template)));
        let options = |also: &dyn Fn(&super::Override, &InstanceType, &Offering) -> bool| -> Vec<OfferingName> {
            let hit: Vec<&super::Override> = hit().map(|(_, over)| over).collect();
            let named = offerings.iter().enumerate().filter(|(place, (kind, offering))| {
                hit.iter().any(|over| over.option == *place || also(over, kind, offering))
            });
            named.map(|(_, (kind, offering))| name(kind, offering)).collect()
        };
        match scope {
            Scope::Offering | Scope::Request => found.extend(options(&|_, _, _| false)),
            Scope::Type => found.extend(options(&|over, kind, _| *over.instance_type == *kind.name)),
            Scope::Zone => found.extend(options(&|over, _, offering| *over.zone == *offering.zone)),
            Scope::Reservation => found.extend(options(&|over, _, offering| {
                offerings[over.option].1.reservation.as_ref().map(|of| &of.id)
                    == offering.reservation.as_ref().map(|of| &of.id)
            })),
            Scope::Spot => found.extend(all_spot(batch)),
            Scope::Subnet => {
                let is_full = |zone: &str| {
                    subnets.iter().filter(|of| of.zone == zone).all(|of| exhausted.contains(&of.id) || of.free <= 0)
                };
                let zones: BTreeSet<&str> =
                    hit().map(|(_, over)| over.zone.as_str()).filter(|zone| is_full(zone)).collect();
                let here = offerings.iter().filter(|(_, offering)| zones.contains(&*offering.zone));
                found.extend(here.map(|(kind, offering)| name(kind, offering)));
            }
        }
    }
    found.into_iter().collect()
}

/// All that was asked for, which has failed as a whole.
fn all_asked(batch: &Batch, failed: Class) -> Vec<OfferingName> {
    let class = class_of(batch, failed);
    let name = |(kind, offering)| OfferingName { class: class.clone(), ..OfferingName::of(kind, offering) };
    batch.offerings().into_iter().map(name).collect()
}

fn all_spot(batch: &Batch) -> Vec<OfferingName> {
    let of = |kind: &InstanceType| -> Vec<OfferingName> {
        let spot = kind.offerings.iter().filter(|offering| offering.capacity_type == CapacityType::Spot);
        spot.map(|offering| OfferingName::of(kind, offering)).collect()
    };
    batch.types.iter().flat_map(of).collect()
}

/// Why a claim has no instance: where every pool lacks capacity it goes and its pods are planned anew; what else has failed is
/// tried again.
fn why(batch: &Batch, response: &FleetResponse, unavailable: &[OfferingName]) -> LaunchError {
    let mut errors = response.errors.iter().map(|failure| &failure.error);
    // a full subnet is one too where its zone has another: the next request goes there
    let is_other = |error: &&AwsError| error.class().scope().is_none() || unavailable.is_empty();
    if let Some(error) = errors.find(is_other) {
        return LaunchError::Other(error.launch_message());
    }
    if unavailable.is_empty() {
        // nothing was said of any pool: all that was asked for cannot be had
        return LaunchError::InsufficientCapacity(all_asked(batch, Class::InsufficientCapacity(Scope::Offering)));
    }
    LaunchError::InsufficientCapacity(unavailable.to_vec())
}
