//! The emulated API server of `tests/validation` and the real one say the same of the same cases.

use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Api, Error, api::DynamicObject};
use serde_json::{Value, json};

use super::{api, dynamic};
use crate::cluster::on_shared_cluster;
use crate::validation::api_server;
use crate::validation::cases::{self, Case, Change, Seen};

fn asked() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// What the server refuses; any other failure fails the test.
fn refusal<T>(result: kube::Result<T>) -> Option<Status> {
    match result {
        Ok(_) => None,
        Err(Error::Api(status)) if status.is_invalid() => Some(*status),
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn of_creation(api: &Api<DynamicObject>, object: Value) -> Option<Status> {
    refusal(api.create(&asked(), &dynamic(object)).await)
}

/// The fields that are wrong.
pub(super) fn fields(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.map(|cause| cause.field.clone()).collect()
}

/// Whether one field is the other, or holds it: a rule of CEL names the object that it is written at.
pub(super) fn related(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

pub(super) fn assert_none(disagreements: &[String]) {
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

#[test]
fn valid_objects_are_taken() {
    on_shared_cluster(async |_, client| {
        let changed = cases::VALID
            .iter()
            .flat_map(|(kind, changes)| changes().into_iter().map(move |change| (*kind, Some(change))));
        let mut disagreements = Vec::new();
        for (kind, change) in cases::KINDS.iter().map(|kind| (*kind, None)).chain(changed) {
            let mut object = cases::base(kind);
            if let Some((pointer, value)) = &change {
                cases::set(&mut object, pointer, value.clone());
            }
            if let Some(status) = of_creation(&api(&client, kind), object).await {
                disagreements.push(format!("{kind} {change:?}: {}", status.message));
            }
        }
        assert_none(&disagreements);
    });
}

#[test]
fn invalid_objects_are_refused_for_the_same_reason() {
    on_shared_cluster(async |_, client| {
        let mut disagreements = Vec::new();
        for (kind, invalid) in cases::INVALID {
            let api = api(&client, kind);
            for Case { pointer, value, field, seen } in invalid() {
                let mut object = cases::base(kind);
                cases::set(&mut object, pointer, value.clone());
                let rules = api_server::refusals(kind, &object, None).into_iter().filter_map(|refusal| refusal.rule);
                let messages: Vec<Vec<String>> = rules.map(|rule| api_server::messages(kind, &rule)).collect();
                let case = format!("{kind} {pointer} = {value}");
                match (of_creation(&api, object).await, seen) {
                    (None, Seen::ByController) => {}
                    (None, Seen::ByApiServer) => disagreements.push(format!("{case}: is taken")),
                    (Some(status), Seen::ByController) => {
                        disagreements.push(format!("{case}: is refused: {}", status.message));
                    }
                    (Some(status), Seen::ByApiServer) => {
                        // what has another type is no object to us, and its field the one that was set
                        let field = if field == "type" { &pointer[1..].replace('/', ".") } else { field };
                        let fields = fields(&status);
                        if !fields.iter().any(|named| related(named, field)) {
                            disagreements.push(format!("{case}: expected {field}, found {fields:?}"));
                        }
                        let said = |message: &String| status.message.contains(message);
                        for messages in messages.iter().filter(|messages| !messages.iter().any(said)) {
                            disagreements.push(format!("{case}: expected {messages:?} in {:?}", status.message));
                        }
                    }
                }
            }
        }
        assert_none(&disagreements);
    });
}

#[test]
fn immutable_fields_cannot_be_changed() {
    on_shared_cluster(async |_, client| {
        for kind in ["NodePool", "NodeClaim"] {
            let api = api(&client, kind);
            let mut old = cases::base(kind);
            cases::set(&mut old, "/metadata/name", json!("immutable"));
            api.create(&PostParams::default(), &dynamic(old.clone())).await.unwrap();
            for Change { pointer, value, refused, .. } in cases::changes().into_iter().filter(|of| of.kind == kind) {
                let mut new = old.clone();
                cases::set(&mut new, pointer, value);
                let asked = PatchParams { dry_run: true, ..PatchParams::default() };
                let changed = api.patch("immutable", &asked, &Patch::Merge(&new)).await;
                assert_eq!(refusal(changed).is_some(), refused, "{kind} {pointer}");
            }
        }
    });
}

#[test]
fn defaults_are_filled_in() {
    on_shared_cluster(async |_, client| {
        for object in cases::minimal() {
            let kind = object["kind"].as_str().unwrap();
            let created = api(&client, kind).create(&asked(), &dynamic(object.clone())).await.unwrap();
            let created = serde_json::to_value(created).unwrap();
            assert_eq!(created["spec"], api_server::defaulted(kind, &object)["spec"], "{kind}");
        }
    });
}

#[test]
fn unknown_fields_are_dropped() {
    on_shared_cluster(async |_, client| {
        let mut pool = cases::base("NodePool");
        cases::set(&mut pool, "/spec/template/spec/fromTheFuture", json!(1));
        let created = api(&client, "NodePool").create(&asked(), &dynamic(pool)).await.unwrap();
        assert_eq!(created.data["spec"]["template"]["spec"].get("fromTheFuture"), None);
    });
}
