use serde_json::{Value, json};

use super::*;
use crate::observe::RawObject;
use crate::observe::input::Origin;

fn read(spec: &Value) -> (usize, Vec<String>) {
    let metadata = json!({"name": "b", "namespace": "default", "uid": "u"});
    let value = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec});
    let objects = Objects::collect([RawObject { origin: Origin::default(), value }]);
    let mut errors = Vec::new();
    let read = read_budgets(&objects, &mut errors);
    (read.len(), errors.iter().map(ToString::to_string).collect())
}

#[test]
fn an_amount_is_a_number_or_a_percentage() {
    for good in [json!(0), json!(3), json!("3"), json!("30%"), json!("100%")] {
        assert_eq!(read(&json!({"maxUnavailable": good})), (1, vec![]), "{good}");
    }
    for (bad, found) in
        [(json!(-1), "-1"), (json!("half"), "'half'"), (json!("101%"), "'101%'"), (json!("-5%"), "'-5%'")]
    {
        let message = format!("expected a number or a percentage such as 50%, found {found}");
        let error = format!(": PodDisruptionBudget default/b: spec.minAvailable: {message}");
        assert_eq!(read(&json!({"minAvailable": bad})), (0, vec![error]));
    }
}
