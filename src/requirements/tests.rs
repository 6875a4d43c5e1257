use std::collections::BTreeMap;

use super::*;

fn req(operator: Operator, values: &[&str]) -> Requirement {
    Requirement::from_operator(operator, values).expect("valid requirement")
}

#[test]
fn operators_allow_what_kubernetes_documents() {
    use Operator::{DoesNotExist, Exists, Gt, Gte, In, Lt, Lte, NotIn};
    // (operator, values, value, allowed, absence allowed)
    let table: [(Operator, &[&str], &str, bool, bool); 12] = [
        (In, &["a", "b"], "a", true, false),
        (In, &["a", "b"], "c", false, false),
        (NotIn, &["a"], "a", false, true),
        (NotIn, &["a"], "b", true, true),
        (Exists, &[], "anything", true, false),
        (DoesNotExist, &[], "anything", false, true),
        (Gt, &["4"], "4", false, false),
        (Gt, &["4"], "5", true, false),
        (Gt, &["4"], "five", false, false),
        (Lt, &["4"], "3", true, false),
        (Gte, &["4"], "4", true, false),
        (Lte, &["4"], "4", true, false),
    ];
    for (operator, values, value, allowed, absence) in table {
        let requirement = req(operator, values);
        assert_eq!(requirement.allows(value), allowed, "{operator:?} {values:?} on {value}");
        assert_eq!(requirement.allows_absence(), absence, "{operator:?} {values:?} on an absent label");
    }
}

#[test]
fn crossing_bounds_leave_nothing() {
    let crossing = req(Operator::Gt, &["8"]).intersection(&req(Operator::Lt, &["4"]));
    assert!(crossing.is_unsatisfiable());
    assert!(req(Operator::Gt, &[&i64::MAX.to_string()]).is_unsatisfiable());
}

#[test]
fn malformed_values_are_refused_with_the_reason() {
    assert!(Requirement::from_operator::<&str>(Operator::In, &[]).is_err());
    assert!(Requirement::from_operator(Operator::Gt, &["4", "5"]).is_err());
    assert!(Requirement::from_operator(Operator::Lt, &["four"]).unwrap_err().contains("'four'"));
}

#[test]
fn well_known_keys_may_be_undefined_only_on_new_nodes() {
    let pool: Requirements = [("karpenter.sh/nodepool", Requirement::one_of(["general"]))].into_iter().collect();
    let zone: Requirements =
        [("topology.kubernetes.io/zone", Requirement::one_of(["us-east-1a"]))].into_iter().collect();
    assert!(pool.compatible(&zone, Undefined::AllowWellKnown).is_ok());
    assert!(pool.compatible(&zone, Undefined::Refuse).is_err());
    let custom: Requirements = [("team", Requirement::one_of(["a"]))].into_iter().collect();
    let conflict = pool.compatible(&custom, Undefined::AllowWellKnown).unwrap_err();
    assert_eq!(&*conflict.key, "team");
}

#[test]
fn two_sides_that_accept_absence_never_conflict() {
    let a: Requirements = [("team", Requirement::does_not_exist())].into_iter().collect();
    let b: Requirements = [("team", Requirement::none_of(["x"]))].into_iter().collect();
    assert!(a.intersects(&b).is_ok());
}

#[test]
fn exists_and_not_in_together_need_the_label() {
    let both = Requirement::exists().intersection(&Requirement::none_of(["a"]));
    assert!(both.allows("b") && !both.allows("a") && !both.allows_absence());
}

#[test]
fn any_value_satisfies_its_requirement_and_is_stable() {
    for requirement in [
        Requirement::exists(),
        Requirement::none_of(["true", "1"]),
        req(Operator::Gt, &["7"]),
        req(Operator::Lt, &["7"]),
        Requirement::one_of(["b", "a"]),
    ] {
        let value = requirement.any_value().expect("not empty");
        assert!(requirement.allows(&value), "{requirement}: {value}");
        assert_eq!(requirement.any_value(), Some(value));
    }
    assert_eq!(Requirement::does_not_exist().any_value(), None);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn requirement() -> impl Strategy<Value = Requirement> {
        let values = proptest::collection::vec(prop_oneof![(0..12i64).prop_map(|n| n.to_string()), "[a-c]"], 0..4);
        let bound = proptest::option::of(0..12i64);
        prop_oneof![
            values.clone().prop_map(Requirement::one_of),
            values.prop_map(Requirement::none_of),
            (bound.clone(), bound).prop_map(|(low, high)| Requirement::bounded(low, high)),
        ]
    }

    proptest! {
        #[test]
        fn intersection_allows_exactly_what_both_allow(a in requirement(), b in requirement(), value in prop_oneof![(0..12i64).prop_map(|n| n.to_string()), "[a-d]"]) {
            prop_assert_eq!(a.intersection(&b).allows(&value), a.allows(&value) && b.allows(&value));
        }

        #[test]
        fn intersection_is_symmetric_and_agrees_with_intersects(a in requirement(), b in requirement()) {
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.intersects(&b), !a.intersection(&b).is_unsatisfiable());
            prop_assert_eq!(a.intersection(&b).allows_absence(), a.allows_absence() && b.allows_absence());
        }

        #[test]
        fn written_operators_read_back_as_the_same_set(a in requirement(), value in prop_oneof![(0..12i64).prop_map(|n| n.to_string()), "[a-d]"]) {
            let read = a.to_operators().iter().map(|(op, values)| Requirement::from_operator(*op, values).unwrap_or(Requirement::NOTHING)).reduce(|x, y| x.intersection(&y)).unwrap_or_else(|| Requirement::none_of::<Arc<str>>([]));
            prop_assert_eq!(read.allows_absence(), a.allows_absence());
            prop_assert_eq!(read.allows(&value), a.allows(&value));
        }
    }
}

#[test]
fn labels_whose_text_is_shared_are_the_same_requirements() {
    for zone in ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"] {
        let labels = [(zone, "a"), ("team", "blue")].map(|(key, value)| (key.into(), value.into()));
        let labels: BTreeMap<Arc<str>, Arc<str>> = labels.into();
        assert_eq!(Requirements::sharing_labels(&labels), Requirements::from_labels(&labels));
        assert!(Requirements::sharing_labels(&labels).get("topology.kubernetes.io/zone").is_some());
    }
}
