//! Offline validation and the API server agree: every case is put to both.

pub mod api_server;
pub mod cases;
pub mod workloads;

use std::collections::BTreeSet;

use packwright::api::capacity_buffer::CapacityBuffer;
use packwright::api::ec2_node_class::EC2NodeClass;
use packwright::api::kwok_node_class::KWOKNodeClass;
use packwright::api::node_claim::NodeClaim;
use packwright::api::node_overlay::NodeOverlay;
use packwright::api::node_pool::NodePool;
use packwright::api::validate::{FieldError, Validate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use cases::{Case, Change, Seen};

/// What offline commands say of an object; a type error has no field here, as the loader adds it.
pub fn offline(kind: &str, object: &Value) -> Vec<FieldError> {
    fn read<K: DeserializeOwned + Validate>(object: &Value) -> Vec<FieldError> {
        match serde_json::from_value::<K>(object.clone()) {
            Ok(object) => object.validate(),
            Err(error) => vec![FieldError { field: "type".to_owned(), message: error.to_string() }],
        }
    }
    match kind {
        "NodePool" => read::<NodePool>(object),
        "NodeClaim" => read::<NodeClaim>(object),
        "EC2NodeClass" => read::<EC2NodeClass>(object),
        "KWOKNodeClass" => read::<KWOKNodeClass>(object),
        "NodeOverlay" => read::<NodeOverlay>(object),
        "CapacityBuffer" => read::<CapacityBuffer>(object),
        other => panic!("{other} is not a kind of ours"),
    }
}

#[test]
fn valid_objects_pass_both() {
    let changed = cases::VALID.iter().flat_map(|(kind, changes)| changes().into_iter().map(move |c| (*kind, Some(c))));
    for (kind, change) in cases::KINDS.iter().map(|kind| (*kind, None)).chain(changed) {
        let mut object = cases::base(kind);
        if let Some((pointer, value)) = &change {
            cases::set(&mut object, pointer, value.clone());
        }
        assert_eq!(offline(kind, &object), vec![], "{kind} {change:?}");
        let refusals = api_server::refusals(kind, &object, None);
        assert!(refusals.is_empty(), "{kind} {change:?}: {refusals:?}");
    }
}

#[test]
fn invalid_objects_fail_both() {
    for (kind, invalid) in cases::INVALID {
        for Case { pointer, value, field, seen } in invalid() {
            let mut object = cases::base(kind);
            cases::set(&mut object, pointer, value.clone());
            let case = format!("{kind} {pointer} = {value}");

            let errors = offline(kind, &object);
            assert!(errors.iter().any(|e| e.field == field), "{case}: expected an error in {field}, found {errors:?}");
            let refusals = api_server::refusals(kind, &object, None);
            assert_eq!(!refusals.is_empty(), seen == Seen::ByApiServer, "{case}: {refusals:?}");
        }
    }
}

#[test]
fn every_cel_rule_has_a_case_that_it_refuses() {
    for (kind, invalid) in cases::INVALID {
        let mut refused = BTreeSet::new();
        for Case { pointer, value, .. } in invalid() {
            let mut object = cases::base(kind);
            cases::set(&mut object, pointer, value);
            refused.extend(api_server::refusals(kind, &object, None).into_iter().filter_map(|refusal| refusal.rule));
        }
        for rule in api_server::rules(kind) {
            assert!(rule.contains("oldSelf") || refused.contains(&rule), "{kind}: no case breaks {rule}");
        }
    }
}

#[test]
fn immutable_fields_cannot_be_changed() {
    for Change { kind, pointer, value, refused } in cases::changes() {
        let old = cases::base(kind);
        let mut new = old.clone();
        cases::set(&mut new, pointer, value);
        assert!(api_server::refusals(kind, &new, None).is_empty(), "{pointer} must be valid by itself");
        assert_eq!(!api_server::refusals(kind, &new, Some(&old)).is_empty(), refused, "{kind} {pointer}");
    }
}

#[test]
fn defaults_of_the_types_are_those_of_the_schemas() {
    for object in cases::minimal() {
        let kind = object["kind"].as_str().unwrap();
        let defaulted = api_server::defaulted(kind, &object);
        let round_trip = |object: &Value| -> Value {
            match kind {
                "NodePool" => json!(serde_json::from_value::<NodePool>(object.clone()).unwrap().spec),
                "NodeClaim" => json!(serde_json::from_value::<NodeClaim>(object.clone()).unwrap().spec),
                "EC2NodeClass" => json!(serde_json::from_value::<EC2NodeClass>(object.clone()).unwrap().spec),
                "CapacityBuffer" => json!(serde_json::from_value::<CapacityBuffer>(object.clone()).unwrap().spec),
                _ => json!(serde_json::from_value::<NodeOverlay>(object.clone()).unwrap().spec),
            }
        };
        assert_eq!(round_trip(&object), defaulted["spec"], "{kind}");
    }
}

#[test]
fn unknown_fields_and_a_missing_spec_are_read() {
    let mut pool = cases::base("NodePool");
    cases::set(&mut pool, "/spec/template/spec/fromTheFuture", json!(1));
    assert_eq!(offline("NodePool", &pool), vec![]);
    let class =
        json!({"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": "default"}});
    assert_eq!(offline("KWOKNodeClass", &class), vec![]);
    assert!(api_server::refusals("KWOKNodeClass", &class, None).is_empty());
}
