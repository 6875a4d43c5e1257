use super::*;
use serde_json::Value;

use crate::controller::Step;
use crate::controller::index::Index;
use crate::controller::settings::ControllerSettings;
use crate::controller::writes::Writes;
use crate::observe::RawObject;
use crate::observe::input::Origin;
use crate::observe::objects::Objects;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// What is asked of the cloud at a time in a cluster without claims.
fn asked(garbage: &mut Garbage, second: i64, all_read: bool) -> Vec<String> {
    asked_of(&Objects::default(), garbage, second, all_read)
}

/// As [`asked`], in a cluster with objects.
fn asked_of(objects: &Objects, garbage: &mut Garbage, second: i64, all_read: bool) -> Vec<String> {
    let settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
    let (mut writes, mut step, mut instances) = (Writes::default(), Step::default(), Instances::default());
    let mut turn = Turn { now: at(second), settings: &settings, writes: &mut writes, step: &mut step };
    let index = Index::of(objects);
    let cluster = Cluster::of(objects, &index, Provider::Ec2, None);
    super::step(&cluster, &Market::default(), garbage, all_read, &mut instances, &mut turn);
    let name = |action: &Action| match action {
        Action::Cloud(Request::List) => "list".to_owned(),
        Action::Cloud(Request::Terminate { provider_id, .. }) => format!("terminate {provider_id}"),
        other => format!("{other:?}"),
    };
    step.actions.iter().map(name).collect()
}

fn listed(launched: i64) -> Answer {
    Answer::Listed(Ok(vec![Listed {
        provider_id: "aws:///a/i-1".into(),
        claim: Some("uid-1".into()),
        launch: None,
        claim_name: None,
        launched_at: at(launched),
        pool: None,
        machine: None,
    }]))
}

#[test]
fn what_no_claim_has_ends_but_not_while_a_claim_cannot_be_read() {
    let mut garbage = Garbage::default();
    assert_eq!(asked(&mut garbage, 0, true), ["list"]);
    assert_eq!(asked(&mut garbage, 1, true), Vec::<String>::new(), "one question at a time");
    garbage.take(&listed(-100), at(2), &mut Vec::new());
    assert_eq!(asked(&mut garbage, 3, false), Vec::<String>::new(), "it may be that claim's");
    assert_eq!(asked(&mut garbage, 3, true), ["terminate aws:///a/i-1"]);
    let mut young = Garbage::default();
    asked(&mut young, 0, true);
    young.take(&listed(-10), at(2), &mut Vec::new());
    assert_eq!(asked(&mut young, 3, true), Vec::<String>::new(), "its claim may not be known yet");
}

#[test]
fn what_runs_is_asked_out_of_turn_and_counts_from_when_all_would_be_listed() {
    let settings = ControllerSettings { provider: Provider::Ec2, ..ControllerSettings::default() };
    let mut garbage = Garbage::default();
    asked(&mut garbage, 0, true);
    garbage.take(&listed(-100), at(1), &mut Vec::new());
    let looked = |garbage: &mut Garbage, second: i64| {
        let (mut writes, mut step) = (Writes::default(), Step::default());
        let mut turn = Turn { now: at(second), settings: &settings, writes: &mut writes, step: &mut step };
        let is_known = garbage.has_listed_since(at(10), &mut turn);
        (is_known, step.actions.len(), step.next)
    };
    assert_eq!(looked(&mut garbage, 11), (false, 0, Some(at(40))), "it may not be listed yet");
    assert_eq!(looked(&mut garbage, 40).1, 1);
    assert_eq!(looked(&mut garbage, 42).1, 0, "one question at a time");
    garbage.take(&listed(-100), at(43), &mut Vec::new());
    assert_eq!(looked(&mut garbage, 43), (true, 0, None));
}

#[test]
fn an_answer_that_is_late_says_nothing_of_what_came_after_its_question() {
    let mut garbage = Garbage::default();
    asked(&mut garbage, 0, true);
    assert_eq!(asked(&mut garbage, 60, true), ["list"], "the first one counts as lost");
    garbage.take(&Answer::Listed(Ok(Vec::new())), at(61), &mut Vec::new());
    assert!(!garbage.is_missing("aws:///a/i-2", at(10)), "it was launched after the question");
    assert!(garbage.is_missing("aws:///a/i-3", at(-100)));
}

/// A claim of ours, made at a time; the launch that it names, and its instance.
fn claim(name: &str, made: i64, launch: Option<&str>, instance: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": at(made).to_string(),
            "labels": {labels::NODEPOOL: "general"}, "annotations": {labels::PLANNED_PODS: "{}"},
        },
        "spec": {"requirements": [], "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "c"}},
    });
    if let Some(launch) = launch {
        claim["metadata"]["annotations"][labels::LAUNCH] = json!(launch);
    }
    if let Some(instance) = instance {
        claim["status"] = json!({ "providerID": format!("aws:///a/{instance}") });
    }
    claim
}

fn objects(claims: &[Value]) -> Objects {
    let raw = |value: &Value| RawObject { value: value.clone(), origin: Origin::default() };
    let objects = Objects::collect(claims.iter().map(raw));
    assert!(objects.errors.is_empty(), "{:?}", objects.errors);
    objects
}

/// Instances of a launch, of which the cloud knows no claim.
fn of_launch(ids: &[&str], launch: &str) -> Answer {
    let one = |id: &&str| Listed {
        provider_id: format!("aws:///a/{id}").into(),
        claim: None,
        launch: Some(launch.into()),
        claim_name: None,
        launched_at: at(-100),
        pool: Some("general".into()),
        machine: None,
    };
    Answer::Listed(Ok(ids.iter().map(one).collect()))
}

/// Which instances end where claims and instances are there.
fn ended(claims: &[Value], answer: &Answer) -> Vec<String> {
    let objects = objects(claims);
    let mut garbage = Garbage::default();
    asked_of(&objects, &mut garbage, 0, true);
    garbage.take(answer, at(1), &mut Vec::new());
    asked_of(&objects, &mut garbage, 2, true)
}

#[test]
fn an_instance_of_a_launch_for_several_ends_once_no_claim_can_have_it() {
    let two = of_launch(&["i-1", "i-2"], "t1");
    assert_eq!(ended(&[claim("a", -200, Some("t1"), Some("i-1"))], &two), ["terminate aws:///a/i-2"]);
    let waiting = [claim("a", -200, Some("t1"), Some("i-1")), claim("b", -200, Some("t1"), None)];
    assert_eq!(ended(&waiting, &two), Vec::<String>::new(), "it is the other one's");
    let of_another = [claim("a", -200, Some("t1"), Some("i-1")), claim("b", -200, Some("t2"), None)];
    assert_eq!(ended(&of_another, &two), ["terminate aws:///a/i-2"]);
    let unseen = [claim("a", -200, Some("t1"), Some("i-1")), claim("b", -200, None, None)];
    assert_eq!(ended(&unseen, &two), Vec::<String>::new(), "its token may not be seen yet");
    let younger = [claim("a", -200, Some("t1"), Some("i-1")), claim("b", -50, None, None)];
    assert_eq!(ended(&younger, &two), ["terminate aws:///a/i-2"], "it was made after the launch");
}

#[test]
fn the_instances_of_a_launch_are_dealt_out_by_ids_and_uids() {
    let claims =
        [claim("c", 0, Some("t"), None), claim("a", 0, Some("t"), Some("i-2")), claim("b", 0, Some("t"), None)];
    let objects = objects(&claims);
    let index = Index::of(&objects);
    let cluster = Cluster::of(&objects, &index, Provider::Ec2, None);
    let mut garbage = Garbage::default();
    asked_of(&objects, &mut garbage, 0, true);
    garbage.take(&of_launch(&["i-3", "i-2", "i-1"], "t"), at(1), &mut Vec::new());
    let of = |name: &str| {
        let claimed = cluster.all_claims().find(|claimed| claimed.name() == name).unwrap();
        garbage.instance_of(&cluster, claimed).map(|id| id.to_string())
    };
    assert_eq!((of("b").as_deref(), of("c").as_deref()), (Some("aws:///a/i-1"), Some("aws:///a/i-3")));
}
