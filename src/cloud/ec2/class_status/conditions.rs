//! The conditions of a class.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Observed, Part, Validation, check_spec};
use crate::api::ec2_node_class::{AMIFamily, EC2NodeClass, EC2NodeClassStatus};

const READY: &str = "Ready";
const SUBNETS: &str = "SubnetsReady";
const SECURITY_GROUPS: &str = "SecurityGroupsReady";
const AMIS: &str = "AMIsReady";
const INSTANCE_PROFILE: &str = "InstanceProfileReady";
const PLACEMENT_GROUP: &str = "PlacementGroupReady";
const CAPACITY_RESERVATIONS: &str = "CapacityReservationsReady";
const VALIDATION: &str = "ValidationSucceeded";

/// One condition as it is to be.
struct Wanted {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Wanted {
    fn is_true(kind: &'static str) -> Self {
        Self { kind, status: "True", reason: kind.to_owned(), message: String::new() }
    }

    fn is_false(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: "False", reason: reason.to_owned(), message: message.into() }
    }

    fn unknown(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, status: "Unknown", reason: reason.to_owned(), message: message.into() }
    }

    /// Of a part: true where something was found, else as the part says.
    fn of<T>(kind: &'static str, part: &Part<T>, is_there: impl Fn(&T) -> bool, missing: (&str, &str)) -> Self {
        match part {
            Part::Found(found) if is_there(found) => Self::is_true(kind),
            Part::Found(_) => Self::is_false(kind, missing.0, missing.1),
            Part::Refused(reason, message) => Self::is_false(kind, reason, message.as_str()),
            Part::Failed(error) => Self::unknown(kind, "LookupFailed", error.as_str()),
            Part::Unknown => Self::unknown(kind, "AwaitingReconciliation", "not looked up yet"),
        }
    }
}

/// All of them by type; times of transitions stay where a status stays. What could not be looked up stays as it was, if it was looked
/// up for this spec.
pub(super) fn conditions(
    class: &EC2NodeClass,
    observed: &Observed,
    status: &EC2NodeClassStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let generation = class.metadata.generation;
    let known = &status.conditions;
    let mut wanted = parts(class, observed);
    for part in &mut wanted {
        let before = known.iter().find(|known| known.type_ == part.kind && known.observed_generation == generation);
        if let (Some(before), "LookupFailed") = (before, part.reason.as_str())
            && let Some(status) = ["True", "False"].into_iter().find(|status| *status == before.status)
        {
            *part = Wanted { kind: part.kind, status, reason: before.reason.clone(), message: before.message.clone() };
        }
    }
    // validation is of what was found: with anything missing there is nothing to try
    let all = ["False", "Unknown"].into_iter();
    let incomplete = all.clone().find(|status| wanted.iter().any(|part| part.status == *status));
    let validation = validation(class, observed, incomplete, known.iter().find(|known| known.type_ == VALIDATION));
    wanted.push(validation);
    wanted.push(summed_up(&wanted));
    wanted.sort_by_key(|part| part.kind);
    let others = known.iter().filter(|known| !is_ours(&known.type_)).cloned();
    let ours = wanted.into_iter().map(|part| {
        let same = known.iter().find(|known| known.type_ == part.kind && known.status == part.status);
        Condition {
            type_: part.kind.to_owned(),
            status: part.status.to_owned(),
            reason: part.reason,
            message: part.message,
            observed_generation: generation,
            last_transition_time: same.map_or(Time(now), |known| known.last_transition_time.clone()),
        }
    });
    let mut all: Vec<Condition> = ours.chain(others).collect();
    all.sort_by(|a, b| a.type_.cmp(&b.type_));
    all
}

fn is_ours(kind: &str) -> bool {
    let all =
        [READY, SUBNETS, SECURITY_GROUPS, AMIS, INSTANCE_PROFILE, PLACEMENT_GROUP, CAPACITY_RESERVATIONS, VALIDATION];
    all.contains(&kind)
}

fn parts(class: &EC2NodeClass, observed: &Observed) -> Vec<Wanted> {
    let spec = &class.spec;
    let mut wanted = vec![
        Wanted::of(
            SUBNETS,
            &observed.subnets,
            |found| !found.is_empty(),
            ("SubnetsNotFound", "subnetSelectorTerms did not match any subnet"),
        ),
        Wanted::of(
            SECURITY_GROUPS,
            &observed.security_groups,
            |found| !found.is_empty(),
            ("SecurityGroupsNotFound", "securityGroupSelectorTerms did not match any security group"),
        ),
        match &observed.images {
            Part::Found(images) if !images.is_empty() && needs_cidr(class) && !observed.has_service_cidr => {
                Wanted::is_false(
                    AMIS,
                    "ClusterCIDRResolutionFailed",
                    "the Service CIDR of the cluster, which AL2023 needs, is not known (eks:DescribeCluster)",
                )
            }
            images => Wanted::of(
                AMIS,
                images,
                |found| !found.is_empty(),
                ("AMINotFound", "amiSelectorTerms did not match any image that instance types can run"),
            ),
        },
        Wanted::of(
            INSTANCE_PROFILE,
            &observed.instance_profile,
            |name| !name.is_empty(),
            ("InstanceProfileNotFound", "there is no such instance profile"),
        ),
        match spec.placement_group_selector {
            None => Wanted::is_true(PLACEMENT_GROUP),
            Some(_) => Wanted::of(
                PLACEMENT_GROUP,
                &observed.placement_group,
                Option::is_some,
                (
                    "PlacementGroupNotFound",
                    "placementGroupSelector did not match any placement group that is available",
                ),
            ),
        },
    ];
    if observed.reserved_capacity {
        // a class without reservations is as ready as one with some
        wanted.push(match (&observed.reservations, spec.capacity_reservation_selector_terms.is_empty()) {
            (_, true) => Wanted::is_true(CAPACITY_RESERVATIONS),
            (part, false) => Wanted::of(CAPACITY_RESERVATIONS, part, |_| true, ("", "")),
        });
    }
    wanted
}

fn needs_cidr(class: &EC2NodeClass) -> bool {
    class.spec.resolved_ami_family() == AMIFamily::AL2023
}

/// `incomplete`: the status of the worst of the other conditions, where one is not true.
fn validation(
    class: &EC2NodeClass,
    observed: &Observed,
    incomplete: Option<&'static str>,
    known: Option<&Condition>,
) -> Wanted {
    if let Some(failure) = check_spec(class) {
        return Wanted::is_false(VALIDATION, failure.reason, failure.message);
    }
    if let Some(status) = incomplete {
        let waits = Wanted::unknown(VALIDATION, "DependenciesNotReady", "waits for the other conditions");
        return Wanted { status, ..waits };
    }
    let before = known.filter(|known| known.observed_generation == class.metadata.generation);
    match &observed.validation {
        Validation::Succeeded => Wanted::is_true(VALIDATION),
        Validation::Failed(failure) => Wanted::is_false(VALIDATION, failure.reason, failure.message.as_str()),
        Validation::Pending | Validation::Unknown(_) if before.is_some_and(|known| known.status == "True") => {
            Wanted::is_true(VALIDATION)
        }
        Validation::Pending => Wanted::unknown(VALIDATION, "AwaitingReconciliation", "not tried yet"),
        Validation::Unknown(error) => Wanted::unknown(VALIDATION, "LookupFailed", error.as_str()),
    }
}

/// False where a part is, else unknown where one is.
fn summed_up(parts: &[Wanted]) -> Wanted {
    let named = |status: &str| -> Vec<String> {
        let of = parts.iter().filter(|part| part.status == status);
        of.map(|part| format!("{}={status}", part.kind)).collect()
    };
    let (broken, open) = (named("False"), named("Unknown"));
    match (broken.is_empty(), open.is_empty()) {
        (true, true) => Wanted::is_true(READY),
        (false, _) => Wanted::is_false(READY, "UnhealthyDependents", broken.join(", ")),
        (true, false) => Wanted::unknown(READY, "ReconcilingDependents", open.join(", ")),
    }
}
