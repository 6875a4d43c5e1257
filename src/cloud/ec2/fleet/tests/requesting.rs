//! What is asked for.

use std::collections::BTreeMap;

use super::*;
use crate::requirements::Requirement;
use crate::resources::PODS;

#[test]
fn launches_that_are_alike_are_one_request() {
    let mut all = launches(&["b", "a"], &["m5.large/us-east-1a/spot", "c5.large/us-east-1b/spot"]);
    all.extend(launches(&["c"], &["c5.large/us-east-1b/spot", "m5.large/us-east-1a/spot"]));
    all.extend(launches(&["d"], &["m5.large/us-east-1a/spot", "c5.large/us-east-1b/spot"]));
    let mut unready = launches(&["e"], &["m5.large/us-east-1a/spot"]);
    unready[0].node = Some(Err(LaunchError::NodeClassNotReady("why".to_owned())));
    all.extend(unready);
    let found = batches(&all);
    let uids = |batch: &Batch| batch.claims.iter().map(|claim| claim.uid.to_string()).collect::<String>();
    assert_eq!(found.batches.iter().map(uids).collect::<Vec<_>>(), ["abd", "c"], "another order is another launch");
    assert!(
        matches!(&found.answers[..], [Answer::Launched { claim, result: Err(LaunchError::NodeClassNotReady(_)) }] if **claim == *"e")
    );
}

#[test]
fn addresses_are_counted_by_what_is_asked_for_and_not_by_what_the_pool_might_buy() {
    let of = |options: &[&str]| batch(&["a"], options).addresses_each();
    let types = batch(&["a"], &["m5.24xlarge/us-east-1a/on-demand"]).types;
    let pods = |name: &str| types.iter().find(|kind| *kind.name == *name).unwrap().capacity.get(PODS);
    assert!(pods("t3.nano") < pods("m5.large") && pods("m5.large") < pods("m5.24xlarge"));
    assert_eq!(of(&["m5.24xlarge/us-east-1a/on-demand"]), pods("m5.24xlarge"));
    assert_eq!(of(&["m5.24xlarge/us-east-1a/on-demand", "m5.large/us-east-1a/on-demand"]), pods("m5.large"));
}

#[test]
fn on_demand_is_bought_in_the_order_of_the_plan() {
    let batch = batch(
        &["a", "b"],
        &["m5.large/us-east-1b/on-demand", "m6g.large/us-east-1a/on-demand", "c5.large/us-east-1a/on-demand"],
    );
    let (request, templates) = asked(&batch);
    assert_eq!((request.instances, request.capacity), (2, TargetCapacity::OnDemand));
    assert_eq!(request.allocation, Some(Allocation::OnDemandPrioritized));
    assert_eq!(templates.len(), 2);
    let mut told: Vec<_> = request
        .overrides()
        .map(|(_, of)| (of.priority.unwrap(), of.instance_type.as_str(), of.subnet_id.as_str(), of.image_id.as_str()))
        .collect();
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(
        told,
        [
            (0.0, "m5.large", "subnet-3", "ami-amd"),
            (1.0, "m6g.large", "subnet-2", "ami-arm"),
            (2.0, "c5.large", "subnet-2", "ami-amd"),
        ]
    );
    assert_eq!(request.tags[labels::LAUNCH], request.token);
    assert_eq!(request.tags["eks:eks-cluster-name"], "prod");
}

#[test]
fn spot_is_left_to_the_cloud_and_reserved_goes_where_it_is_reserved() {
    let (request, _) = asked(&batch(&["a"], &["m5.large/us-east-1a/spot"]));
    assert_eq!(
        (request.capacity, request.allocation),
        (TargetCapacity::Spot, Some(Allocation::SpotPriceCapacityOptimized))
    );
    assert!(request.overrides().all(|(_, of)| of.priority.is_none()));
    let (request, templates) = asked(&batch(&["a"], &["m5.large/us-east-1a/cr-1", "m5.large/us-east-1b/cr-3"]));
    assert_eq!((request.capacity, templates.len()), (TargetCapacity::OnDemand, 2));
    let block = batch(&["a"], &["m5.large/us-east-1a/cr-2", "m5.large/us-east-1a/cr-1"]);
    assert_eq!(block.options.len(), 1, "of one kind, and of a block the first alone");
    let same_pool =
        batch(&["a"], &["m5.large/us-east-1a/cr-4", "m5.large/us-east-1a/cr-1", "m5.large/us-east-1b/cr-3"]);
    let reservations: Vec<String> =
        same_pool.offerings().iter().map(|(_, of)| of.reservation.as_ref().unwrap().id.to_string()).collect();
    assert_eq!(reservations, ["cr-4", "cr-3"], "one of each type and zone, as the launch likes them");
    let (request, _) = asked(&block);
    assert_eq!((request.capacity, request.allocation), (TargetCapacity::CapacityBlock, None));
}

#[test]
fn the_token_follows_claims_attempt_and_content() {
    let options = ["m5.large/us-east-1a/spot"];
    let token = |uids: &[&str], options: &[&str], attempt| {
        let batch = batch(uids, options);
        let templates = templates(&cluster(), &batch).unwrap();
        request(&cluster(), &batch, &templates, &spaces(), attempt).unwrap().token
    };
    let base = token(&["a", "b"], &options, 1);
    assert_eq!(token(&["b", "a"], &options, 1), base);
    assert_ne!(token(&["a"], &options, 1), base);
    assert_ne!(token(&["a", "b"], &options, 2), base);
    assert_ne!(token(&["a", "b"], &["c5.large/us-east-1a/spot"], 1), base);
    assert_eq!(Token::parse(&base).unwrap().attempt, 1);
}

#[test]
fn without_a_subnet_in_any_zone_nothing_is_asked() {
    let batch = batch(&["a"], &["m5.large/us-east-1b/spot"]);
    let templates = templates(&cluster(), &batch).unwrap();
    let error = request(&cluster(), &batch, &templates, &[space("subnet-1", "us-east-1a", 1)], 1).unwrap_err();
    assert!(matches!(error, LaunchError::NodeClassNotReady(_)), "{error}");
}

#[test]
fn addresses_on_their_way_count_until_it_is_known_where_instances_are() {
    let (request, _) = asked(&batch(&["a", "b"], &["m5.large/us-east-1a/spot", "m5.large/us-east-1b/spot"]));
    let subnets: Vec<crate::api::ec2_node_class::Subnet> = serde_json::from_value(
        json!([{"id": "subnet-2", "zone": "us-east-1a"}, {"id": "subnet-3", "zone": "us-east-1b"}]),
    )
    .unwrap();
    let mut addresses = Addresses::default();
    addresses.learn([("subnet-2".to_owned(), 100), ("subnet-3".to_owned(), 100)].into());
    let free = |addresses: &Addresses| addresses.of(&subnets).iter().map(|of| of.free).collect::<Vec<_>>();
    addresses.take(&request, 29);
    assert_eq!(free(&addresses), [42, 42]);
    addresses.settle(&request, 29, &[("subnet-2".to_owned(), 2)].into());
    assert_eq!(free(&addresses), [42, 100]);
    addresses.exhaust("subnet-3");
    assert_eq!(free(&addresses), [42, 0]);
    addresses.learn([("subnet-2".to_owned(), 44), ("subnet-3".to_owned(), 7)].into());
    assert_eq!(free(&addresses), [44, 7]);
}

#[test]
fn the_context_is_sent_unless_fewer_values_are_had() {
    let class = class(&json!({"context": "ctx"}), &json!({}));
    let mut all = launches_of(&class, &["a"], &["m5.large/us-east-1a/spot"]);
    assert_eq!(asked(&batches(&all).batches[0]).0.context.as_deref(), Some("ctx"));
    let mut relaxed = template(&class, &json!({}));
    relaxed.has_relaxed_min_values = true;
    all[0].node = Some(Ok(Arc::new(relaxed)));
    assert_eq!(asked(&batches(&all).batches[0]).0.context, None);
}

#[test]
fn a_fleet_names_no_more_launch_templates_than_ec2_takes_those_that_are_liked_most() {
    let types = types(&class(&json!({}), &json!({})));
    let mut kinds: BTreeMap<(Option<&Requirement>, i64), usize> = BTreeMap::new();
    for (place, kind) in types.iter().enumerate() {
        kinds.entry((kind.requirements.get(labels::ARCH), kind.capacity.get(PODS))).or_insert(place);
    }
    let mut all = launches(&["a"], &[]);
    let on_demand = |kind: usize| {
        let mut offerings = types[kind].offerings.iter();
        offerings.position(|of| of.capacity_type == CapacityType::OnDemand).map(|offering| (kind, offering))
    };
    all[0].options = kinds.into_values().filter_map(on_demand).collect();
    let wanted = all[0].options.len();
    assert!(wanted > MOST_TEMPLATES, "{wanted} kinds of nodes");
    let (request, templates) = asked(&batches(&all).batches[0]);
    assert_eq!((templates.len(), request.configs.len()), (MOST_TEMPLATES, MOST_TEMPLATES));
    let asked: Vec<usize> = request.overrides().map(|(_, over)| over.option).collect();
    assert_eq!(asked, (0..MOST_TEMPLATES).collect::<Vec<_>>());
}
