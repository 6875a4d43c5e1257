//! What the answers mean.

use super::*;

fn created(ids: &[&str], instance_type: &str, subnet: &str) -> Created {
    Created {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        instance_type: instance_type.to_owned(),
        subnet_id: Some(subnet.to_owned()),
        zone: None,
        template: None,
    }
}

fn failure(code: &str, instance_type: &str, zone: &str) -> Failure {
    Failure {
        error: AwsError::new(code, "no"),
        instance_type: Some(instance_type.to_owned()),
        subnet_id: None,
        zone: Some(zone.to_owned()),
        template: None,
    }
}

const OPTIONS: [&str; 3] =
    ["m5.large/us-east-1a/on-demand", "c5.large/us-east-1a/on-demand", "m5.large/us-east-1b/on-demand"];

/// What a response means for claims by uid: the instance of each, or why it has none; then what cannot be had.
fn told(uids: &[&str], options: &[&str], response: &FleetResponse) -> (Vec<String>, Vec<String>, Answers) {
    let batch = batch(uids, options);
    let (request, templates) = asked(&batch);
    let found = answers(&batch, &request, &templates, response, &spaces());
    let answer = |answer: &Answer| match answer {
        Answer::Launched { claim, result: Ok(instance) } => format!("{claim}={}", instance.provider_id),
        Answer::Launched { claim, result: Err(error) } => format!("{claim}: {error}"),
        other => format!("{other:?}"),
    };
    let told = found.answers.iter().map(answer).collect();
    (told, found.unavailable.iter().map(ToString::to_string).collect(), found)
}

#[test]
fn instances_by_id_go_to_claims_by_uid() {
    let response = FleetResponse {
        instances: vec![created(&["i-3", "i-1"], "m5.large", "subnet-2"), created(&["i-2"], "c5.large", "subnet-2")],
        errors: Vec::new(),
    };
    let (answers, unavailable, all) = told(&["c", "a", "b"], &OPTIONS, &response);
    assert_eq!(answers, ["a=aws:///us-east-1a/i-1", "b=aws:///us-east-1a/i-2", "c=aws:///us-east-1a/i-3"]);
    assert!(unavailable.is_empty() && all.surplus.is_empty());
    assert_eq!(all.landed, [("subnet-2".to_owned(), 3)].into());
    let Answer::Launched { result: Ok(instance), .. } = &all.answers[1] else { panic!() };
    assert_eq!((&*instance.kind.name, instance.offering.capacity_type), ("c5.large", CapacityType::OnDemand));
    assert_eq!(instance.image_id.as_deref(), Some("ami-amd"));
}

#[test]
fn a_fleet_that_is_filled_in_part_tells_the_others_why() {
    let response = FleetResponse {
        instances: vec![created(&["i-1"], "m5.large", "subnet-3")],
        errors: vec![
            failure("InsufficientInstanceCapacity", "m5.large", "us-east-1a"),
            failure("UnfulfillableCapacity", "c5.large", "us-east-1a"),
        ],
    };
    let (answers, unavailable, _) = told(&["a", "b"], &OPTIONS, &response);
    assert_eq!(
        answers,
        [
            "a=aws:///us-east-1b/i-1",
            "b: insufficient capacity: c5.large/us-east-1a/on-demand, m5.large/us-east-1a/on-demand",
        ]
    );
    assert_eq!(unavailable, ["c5.large/us-east-1a/on-demand", "m5.large/us-east-1a/on-demand"]);
}

#[test]
fn what_is_no_lack_of_capacity_is_tried_again() {
    let response = FleetResponse {
        instances: Vec::new(),
        errors: vec![
            failure("InsufficientInstanceCapacity", "m5.large", "us-east-1a"),
            failure("InvalidAMIID.NotFound", "c5.large", "us-east-1a"),
        ],
    };
    let (answers, unavailable, _) = told(&["a"], &OPTIONS, &response);
    assert_eq!(answers, ["a: AMINotFound: InvalidAMIID.NotFound: no"]);
    assert_eq!(unavailable, ["m5.large/us-east-1a/on-demand"], "that much is known");
    let (answers, unavailable, _) = told(&["a"], &OPTIONS, &FleetResponse::default());
    assert!(answers[0].starts_with("a: insufficient capacity: "), "{answers:?}");
    assert!(unavailable.is_empty(), "nothing was said of any");
}

#[test]
fn a_zone_is_full_once_all_of_its_subnets_are() {
    let response = FleetResponse {
        instances: Vec::new(),
        errors: vec![
            failure("InsufficientFreeAddressesInSubnet", "m5.large", "us-east-1a"),
            failure("InsufficientFreeAddressesInSubnet", "m5.large", "us-east-1b"),
        ],
    };
    let (_, unavailable, all) = told(&["a"], &OPTIONS, &response);
    assert_eq!(all.exhausted, ["subnet-2", "subnet-3"].map(str::to_owned).into());
    assert_eq!(
        unavailable,
        ["m5.large/us-east-1b/on-demand with EC2NodeClass default"],
        "us-east-1a has another subnet, and other classes have subnets of their own"
    );
    let one = vec![failure("InsufficientFreeAddressesInSubnet", "m5.large", "us-east-1a")];
    let (answers, unavailable, _) = told(&["a"], &OPTIONS, &FleetResponse { instances: Vec::new(), errors: one });
    assert!(answers[0].starts_with("a: InsufficientFreeAddressesInSubnet: "), "it is tried again: {answers:?}");
    assert!(unavailable.is_empty());
}

#[test]
fn errors_have_their_scope() {
    let of = |options: &[&str], code: &str, instance_type: &str| {
        let errors = vec![failure(code, instance_type, "us-east-1a")];
        told(&["a"], options, &FleetResponse { instances: Vec::new(), errors }).1
    };
    assert_eq!(
        of(&OPTIONS, "InstanceLimitExceeded", "m5.large"),
        ["m5.large/us-east-1a/on-demand", "m5.large/us-east-1b/on-demand",]
    );
    let reserved = ["m5.large/us-east-1a/cr-1", "m5.large/us-east-1b/cr-3"];
    assert_eq!(of(&reserved, "ReservationCapacityExceeded", "m5.large"), ["m5.large/us-east-1a/reserved/cr-1"]);
    let all_spot = of(&["m5.large/us-east-1a/spot"], "AuthFailure.ServiceLinkedRoleCreationNotPermitted", "m5.large");
    assert!(all_spot.len() > 1_000 && all_spot.iter().all(|name| name.ends_with("/spot")), "{}", all_spot.len());
}

#[test]
fn what_has_no_room_in_a_placement_group_may_have_some_elsewhere() {
    let of = |class: &Value, code: &str, message: &str| {
        let launches = launches_of(&super::class(class, &json!({})), &["a"], &OPTIONS);
        let batch = batches(&launches).batches.remove(0);
        let (request, templates) = asked(&batch);
        let mut failed = failure(code, "c5.large", "us-east-1a");
        failed.error.message = message.to_owned();
        let response = FleetResponse { instances: Vec::new(), errors: vec![failed] };
        let found = answers(&batch, &request, &templates, &response, &spaces());
        found.unavailable.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (group, lacks) = (json!({"placementGroupSelector": {"id": "pg-1"}}), "InsufficientInstanceCapacity");
    assert_eq!(of(&json!({}), lacks, "no"), ["c5.large/us-east-1a/on-demand"]);
    assert_eq!(of(&group, lacks, "no"), ["c5.large/us-east-1a/on-demand with EC2NodeClass default"]);
    assert_eq!(of(&group, "VcpuLimitExceeded", "no"), ["c5.large/us-east-1a/on-demand"], "a quota is of the account");
    let full = "A spread placement group holds seven instances in a zone";
    let of_zone = ["c5.large/us-east-1a/on-demand", "m5.large/us-east-1a/on-demand"];
    assert_eq!(of(&group, lacks, full), of_zone.map(|name| format!("{name} with EC2NodeClass default")));
}

#[test]
fn a_call_that_fails_says_what_its_error_means() {
    let batch = batch(&["a"], &OPTIONS);
    let errors = |code: &str| match &refused(&batch, &AwsError::new(code, "no")).answers[0] {
        Answer::Launched { result: Err(error), .. } => error.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(errors("MaxFleetCountExceeded"), LaunchError::InsufficientCapacity(of) if of.len() == 3));
    let throttled = LaunchError::Other("RequestLimitExceeded: RequestLimitExceeded: no".to_owned());
    assert_eq!(errors("RequestLimitExceeded"), throttled);
}

#[test]
fn what_was_not_asked_for_is_surplus() {
    let response = FleetResponse {
        instances: vec![created(&["i-1", "i-2"], "m5.large", "subnet-2"), created(&["i-9"], "x1.32xlarge", "subnet-2")],
        errors: Vec::new(),
    };
    let (answers, _, all) = told(&["a"], &OPTIONS, &response);
    assert_eq!((answers.len(), all.surplus), (1, vec!["i-9".to_owned(), "i-2".to_owned()]));
}

fn found(id: &str, instance_type: &str) -> FoundInstance {
    FoundInstance {
        id: id.to_owned(),
        zone: "us-east-1a".to_owned(),
        state: InstanceState::Running,
        launched_at: jiff::Timestamp::UNIX_EPOCH,
        instance_type: instance_type.to_owned(),
        image_id: "ami-amd".to_owned(),
        subnet_id: None,
        security_groups: BTreeSet::new(),
        is_spot: false,
        reservation: None,
        placement_group: None,
        partition: None,
        tags: crate::cloud::ec2::tags::Tags::new(),
    }
}

#[test]
fn instances_of_an_earlier_launch_are_dealt_out_as_its_answer_would_have_been() {
    let holder = |uid: &str, id: Option<&str>| Holder { uid: uid.into(), provider_id: id.map(Into::into) };
    let holders = [holder("c", None), holder("a", Some("aws:///us-east-1a/i-2")), holder("b", None)];
    let mut instances = vec![found("i-3", "m5.large"), found("i-1", "m5.large"), found("i-2", "m5.large")];
    let assigned = |instances: &[FoundInstance]| -> Vec<String> {
        earlier::assign(&holders, instances).into_iter().map(|(uid, of)| format!("{uid}={}", of.id)).collect()
    };
    assert_eq!(assigned(&instances), ["a=i-2", "b=i-1", "c=i-3"]);
    instances[1].state = InstanceState::ShuttingDown;
    assert_eq!(assigned(&instances), ["a=i-2", "b=i-3"], "what ends is nobody's");
    assert!(assigned(&[]).is_empty());
}

#[test]
fn an_instance_that_is_found_is_the_answer_if_the_launch_still_knows_it() {
    let launch = launches(&["a"], &OPTIONS).remove(0);
    let instance = earlier::instance(&launch, &found("i-1", "c5.large")).unwrap();
    assert_eq!((&*instance.kind.name, &*instance.provider_id), ("c5.large", "aws:///us-east-1a/i-1"));
    assert_eq!(earlier::instance(&launch, &found("i-1", "no.such")), None);
}

#[test]
fn earlier_launches_are_looked_for_in_calls_that_ec2_takes() {
    let tokens: BTreeSet<Arc<str>> = (0..450).map(|number| Arc::from(format!("1-{number}"))).collect();
    let sizes: Vec<usize> = earlier::filters(&tokens).iter().map(|filters| filters[0].values.len()).collect();
    assert_eq!(sizes, [196, 196, 58]);
}

#[test]
fn interfaces_for_efa_count_only_where_they_are_attached() {
    let launch = launches(&["a"], &["p4d.24xlarge/us-east-1a/on-demand"]).remove(0);
    let kind =
        |launch: &Launch| -> InstanceType { earlier::instance(launch, &found("i-1", "p4d.24xlarge")).unwrap().kind };
    let efa = "vpc.amazonaws.com/efa";
    assert!(!kind(&launch).capacity.contains(efa) && !kind(&launch).allocatable.contains(efa));
    let class: Value = json!({});
    let wants = json!({"resources": {"requests": {efa: "1"}}});
    let node = template(&super::class(&class, &json!({})), &wants);
    let launch = Launch { node: Some(Ok(Arc::new(node))), ..launch };
    assert_eq!(kind(&launch).capacity.get(efa), 4);
}

#[test]
fn names_of_offerings_tell_reservations_apart() {
    let batch = batch(&["a"], &["m5.large/us-east-1a/cr-1"]);
    let names: Vec<OfferingName> =
        batch.offerings().into_iter().map(|(kind, offering)| OfferingName::of(kind, offering)).collect();
    assert_eq!(names[0].to_string(), "m5.large/us-east-1a/reserved/cr-1");
}
