use serde_json::{Value, json};

use super::*;
use crate::api::ec2_node_class::{InstanceMatchCriteria, ReservationState, ReservationType};
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::fixtures::class;

const NOW: &str = "2026-01-02T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn observed() -> Observed {
    let subnet = |id: &str, zone: &str, free| FoundSubnet {
        id: id.to_owned(),
        zone: zone.to_owned(),
        zone_id: None,
        free_addresses: free,
    };
    let group = |id: &str| SecurityGroup { id: id.to_owned(), name: None };
    Observed {
        subnets: Part::Found(vec![subnet("subnet-b", "a", 5), subnet("subnet-a", "a", 5), subnet("subnet-c", "b", 9)]),
        security_groups: Part::Found(vec![group("sg-2"), group("sg-1"), group("sg-2")]),
        images: Part::Found(vec![AMI { id: "ami-1".to_owned(), ..AMI::default() }]),
        reservations: Part::Found(Vec::new()),
        instance_profile: Part::Found("profile".to_owned()),
        placement_group: Part::Unknown,
        validation: Validation::Succeeded,
        has_service_cidr: true,
        reserved_capacity: true,
    }
}

fn bare(spec: &Value) -> EC2NodeClass {
    let mut class = EC2NodeClass::clone(&class(spec, &json!({})));
    class.status = None;
    class
}

fn condition(status: &EC2NodeClassStatus, kind: &str) -> String {
    let of = status.conditions.iter().find(|of| of.type_ == kind).unwrap();
    format!("{}/{}/{}", of.status, of.reason, of.message)
}

#[test]
fn what_was_found_is_listed_in_the_order_of_the_reference_and_the_class_is_ready() {
    let status = status(&bare(&json!({})), &observed(), now());
    let ids: Vec<&str> = status.subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    assert_eq!(ids, ["subnet-c", "subnet-a", "subnet-b"], "by free addresses, then by id");
    let ids: Vec<&str> = status.security_groups.iter().map(|group| group.id.as_str()).collect();
    assert_eq!(ids, ["sg-1", "sg-2"]);
    assert_eq!(status.instance_profile.as_deref(), Some("profile"));
    let kinds: Vec<&str> = status.conditions.iter().map(|of| of.type_.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "AMIsReady",
            "CapacityReservationsReady",
            "InstanceProfileReady",
            "PlacementGroupReady",
            "Ready",
            "SecurityGroupsReady",
            "SubnetsReady",
            "ValidationSucceeded",
        ]
    );
    assert!(status.conditions.iter().all(|of| of.status == "True" && of.observed_generation == Some(1)));
}

#[test]
fn what_is_missing_has_the_reason_of_the_reference() {
    let with = |change: &dyn Fn(&mut Observed)| {
        let mut observed = observed();
        change(&mut observed);
        status(&bare(&json!({})), &observed, now())
    };
    let of = with(&|of| of.subnets = Part::Found(Vec::new()));
    assert_eq!(condition(&of, "SubnetsReady"), "False/SubnetsNotFound/subnetSelectorTerms did not match any subnet");
    let unready = "False/UnhealthyDependents/SubnetsReady=False, ValidationSucceeded=False";
    assert_eq!(condition(&of, "Ready"), unready);
    assert_eq!(condition(&of, "ValidationSucceeded"), "False/DependenciesNotReady/waits for the other conditions");
    let of = with(&|of| of.security_groups = Part::Found(Vec::new()));
    assert!(condition(&of, "SecurityGroupsReady").starts_with("False/SecurityGroupsNotFound/"));
    let of = with(&|of| of.images = Part::Found(Vec::new()));
    assert!(condition(&of, "AMIsReady").starts_with("False/AMINotFound/"));
    let of = with(&|of| of.images = Part::Refused("UnsupportedAlias", "why".to_owned()));
    assert_eq!((condition(&of, "AMIsReady").as_str(), of.amis.len()), ("False/UnsupportedAlias/why", 0));
    let of = with(&|of| of.has_service_cidr = false);
    assert!(condition(&of, "AMIsReady").starts_with("False/ClusterCIDRResolutionFailed/"));
    let of = with(&|of| of.reserved_capacity = false);
    assert!(!of.conditions.iter().any(|of| of.type_ == "CapacityReservationsReady"));
}

#[test]
fn a_placement_group_is_looked_at_only_where_the_class_names_one() {
    let class = bare(&json!({"placementGroupSelector": {"name": "g"}}));
    let group = PlacementGroupFacts { id: "pg-1".into(), strategy: "partition".into(), partitions: 0 };
    let of = |part| status(&class, &Observed { placement_group: part, ..observed() }, now());
    assert!(condition(&of(Part::Found(None)), "PlacementGroupReady").starts_with("False/PlacementGroupNotFound/"));
    assert_eq!(condition(&of(Part::Found(Some(group))), "PlacementGroupReady"), "True/PlacementGroupReady/");
    assert_eq!(
        condition(&of(Part::Unknown), "Ready"),
        "Unknown/ReconcilingDependents/PlacementGroupReady=Unknown, ValidationSucceeded=Unknown"
    );
}

#[test]
fn a_call_that_fails_takes_nothing_away_from_what_was_known_of_this_spec() {
    let mut class = bare(&json!({}));
    class.status = Some(status(&class, &observed(), now()));
    let failed = || Observed {
        subnets: Part::Failed("RequestLimitExceeded".to_owned()),
        validation: Validation::Unknown("throttled".to_owned()),
        ..observed()
    };
    let later = "2026-01-02T00:10:00Z".parse().unwrap();
    let after = status(&class, &failed(), later);
    assert_eq!(Some(&after), class.status.as_ref(), "with the times of the transitions");
    class.metadata.generation = Some(2);
    let other_spec = status(&class, &failed(), later);
    assert_eq!(condition(&other_spec, "SubnetsReady"), "Unknown/LookupFailed/RequestLimitExceeded");
    assert_eq!(other_spec.subnets.len(), 3);
}

#[test]
fn conditions_of_others_and_times_of_transitions_stay() {
    let mut class = bare(&json!({}));
    let mut before = status(&class, &observed(), now());
    let mut other = before.conditions[0].clone();
    other.type_ = "Theirs".to_owned();
    before.conditions.push(other);
    class.status = Some(before);
    let later = "2026-01-02T00:10:00Z".parse().unwrap();
    let broken = status(&class, &Observed { subnets: Part::Found(Vec::new()), ..observed() }, later);
    let since = |kind: &str| broken.conditions.iter().find(|of| of.type_ == kind).unwrap().last_transition_time.0;
    assert_eq!((since("SubnetsReady"), since("AMIsReady")), (later, now()));
    assert!(broken.conditions.iter().any(|of| of.type_ == "Theirs"));
}

#[test]
fn a_capacity_block_expires_forty_minutes_before_its_end() {
    let reservation = |id: &str, kind, minutes: i64| FoundReservation {
        id: id.to_owned(),
        zone: "a".to_owned(),
        instance_type: "p5.48xlarge".to_owned(),
        criteria: InstanceMatchCriteria::Targeted,
        owner_id: "123456789012".to_owned(),
        ends: Some(Timestamp::from_second(now().as_second() + minutes * 60).unwrap()),
        kind,
        is_interruptible: false,
        is_active: true,
        free: 1,
    };
    let found = vec![
        reservation("cr-2", ReservationType::CapacityBlock, 40),
        reservation("cr-1", ReservationType::CapacityBlock, 41),
        reservation("cr-3", ReservationType::Default, 5),
        reservation("cr-4", ReservationType::Default, -1),
    ];
    let of = status(&bare(&json!({})), &Observed { reservations: Part::Found(found), ..observed() }, now());
    let states: Vec<_> = of.capacity_reservations.iter().map(|of| (of.id.as_str(), of.state)).collect();
    let (active, expiring) = (ReservationState::Active, ReservationState::Expiring);
    assert_eq!(states, [("cr-1", active), ("cr-2", expiring), ("cr-3", active)]);
}

#[test]
fn what_is_wrong_with_a_spec_is_told_under_the_reasons_of_the_reference() {
    for (spec, reason) in [
        (json!({"tags": {"karpenter.sh/nodepool": "x"}}), "TagValidationFailed"),
        (json!({"kubelet": {"maxPods": -1}}), "InvalidKubeletConfiguration"),
        (json!({"kubelet": {"kubeReserved": {"cpu": "lots"}}}), "InvalidKubeletConfiguration"),
        (json!({"kubelet": {"maxPods": "default_enis * 10"}}), "KubeletExpressionsDisabled"),
        (json!({"kubelet": {"kubeReserved": {"memory": "memory_mib / 20"}}}), "KubeletExpressionsDisabled"),
        (json!({"amiFamily": "Bottlerocket", "kubelet": {"podsPerCore": 2}}), "UnsupportedKubeletConfiguration"),
    ] {
        let of = status(&bare(&spec), &observed(), now());
        assert!(condition(&of, "ValidationSucceeded").starts_with(&format!("False/{reason}/spec.")), "{spec}: {of:?}");
        assert!(condition(&of, "Ready").starts_with("False/"));
    }
}

#[test]
fn dry_runs_say_which_right_is_missing() {
    let class = bare(&json!({}));
    let of = |call, code: &str, message: &str| Validation::of_dry_run(call, &class, &AwsError::new(code, message));
    assert_eq!(of(DryRun::CreateFleet, "DryRunOperation", ""), None);
    let refused =
        of(DryRun::CreateFleet, "UnauthorizedOperation", "no. Encoded authorization failure message: xyz").unwrap();
    let Validation::Failed(failure) = &refused else { panic!("{refused:?}") };
    assert_eq!(failure.reason, "CreateFleetAuthCheckFailed");
    assert_eq!(failure.message, "the controller may not call ec2:CreateFleet for this class: no.");
    let profile =
        of(DryRun::RunInstances, "InvalidParameterValue", "Value (x) for parameter iamInstanceProfile.name is invalid");
    assert!(matches!(profile, Some(Validation::Unknown(_))), "IAM is late: {profile:?}");
    let named = bare(&json!({"role": null, "instanceProfile": "mine"}));
    let words = "Value (mine) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
    let missing = Validation::of_dry_run(DryRun::RunInstances, &named, &AwsError::new("InvalidParameterValue", words));
    let Some(Validation::Failed(failure)) = missing else { panic!("nobody makes it: {missing:?}") };
    assert_eq!(failure.reason, "InstanceProfileNotFound");
    assert!(failure.message.starts_with("spec.instanceProfile: found 'mine': expected "), "{}", failure.message);
    assert!(matches!(of(DryRun::RunInstances, "RequestLimitExceeded", ""), Some(Validation::Unknown(_))));
    let missing = of(DryRun::CreateFleet, "InvalidLaunchTemplateName.NotFoundException", "");
    assert!(matches!(missing, Some(Validation::Unknown(_))), "EC2 is late: {missing:?}");
    for (call, code) in [
        (DryRun::RunInstances, "Unsupported"),
        (DryRun::RunInstances, "InsufficientFreeAddressesInSubnet"),
        (DryRun::RunInstances, "VcpuLimitExceeded"),
    ] {
        assert_eq!(of(call, code, ""), None, "{code} says that rights are enough");
    }
    for code in ["InvalidAMIID.NotFound", "InvalidBlockDeviceMapping", "InvalidParameterCombination"] {
        let of = of(DryRun::RunInstances, code, "");
        assert!(matches!(of, Some(Validation::Unknown(_))), "{code} takes down no class that works: {of:?}");
    }
    assert!(matches!(of(DryRun::RunInstances, "TagLimitExceeded", ""), Some(Validation::Unknown(_))));
    let status = status(&bare(&json!({})), &Observed { validation: refused, ..observed() }, now());
    assert!(condition(&status, "ValidationSucceeded").starts_with("False/CreateFleetAuthCheckFailed/"));
}
