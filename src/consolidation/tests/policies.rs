//! What NodePools ask for themselves.

use super::*;
use crate::observe::snapshot::ConsolidationRule;

fn with(rule: Option<ConsolidationRule>, mut snapshot: Snapshot) -> Vec<Command> {
    snapshot.node_pools[0].disruption.consolidation = rule;
    all(&snapshot)
}

#[test]
fn a_pool_says_itself_what_a_saving_has_to_be_worth() {
    let nodes: [Filled; 2] = [("a", FOUR, "on-demand", &[500]), ("b", FOUR, "on-demand", &[500])];
    let halves = || cluster(&unlimited(), &only(&[FOUR]), &nodes);
    let gone = |rule| with(rule, halves()).len();
    assert_eq!([None, Some(ConsolidationRule::Off), Some(ConsolidationRule::Any)].map(gone), [1, 0, 1]);
    let young = || {
        let mut young = halves();
        young.nodes.iter_mut().for_each(|node| node.created_at = Some(now()));
        young
    };
    assert_eq!(with(Some(ConsolidationRule::Frugal), young()).len(), 1);
    assert_eq!(with(Some(ConsolidationRule::Calm), young()), [], "within the first hour");
    // where nobody else is asked, this pool still is
    let mut own = halves();
    own.node_pools[0].disruption.consolidation = Some(ConsolidationRule::Frugal);
    assert_eq!(found(&own, &Policy::off(), Budgets::Together).commands.len(), 1);
    assert_eq!(found(&halves(), &Policy::off(), Budgets::Together).commands, []);
}

#[test]
fn a_balanced_pool_does_not_disturb_everything_for_a_quarter_of_its_price() {
    let six: [Filled; 1] = [("a", EIGHT, "on-demand", &[1_900, 1_900, 1_800])];
    let types = only(&[TWO, FOUR, EIGHT]);
    assert_eq!(with(None, cluster(&unlimited(), &types, &six)).len(), 1, "six cores instead of eight");
    assert_eq!(with(Some(ConsolidationRule::Balanced), cluster(&unlimited(), &types, &six)), []);
    let half: [Filled; 1] = [("a", EIGHT, "on-demand", &[1_800, 1_800])];
    assert_eq!(with(Some(ConsolidationRule::Balanced), cluster(&unlimited(), &types, &half)).len(), 1, "half of it");
    // the field of the reference says the same, and the annotation comes before it
    let mut by_field = cluster(&unlimited(), &types, &six);
    by_field.node_pools[0].disruption.consolidation_policy = "Balanced".into();
    assert_eq!(all(&by_field), []);
    assert_eq!(with(Some(ConsolidationRule::Frugal), by_field).len(), 1);
}

#[test]
fn a_command_satisfies_the_pools_of_all_its_nodes() {
    let strict = Policy::calm().and(Policy::anything());
    assert_eq!(strict, Policy::anything().and(Policy::calm()));
    let of = (strict.least_permille, strict.eviction_permille, strict.one_for_one, strict.least_age);
    assert_eq!(of, (60, 3_000, true, Duration::from_secs(3_600)));
    assert!(Policy::off().and(Policy::anything()).is_off());
}

#[test]
fn an_annotation_that_cannot_be_read_keeps_used_nodes() {
    let annotated = |rule: &str| {
        let metadata = json!({"metadata": {"annotations": {labels::CONSOLIDATION: rule}}});
        let (snapshot, errors) = load(&[merged(pool(&unlimited()), &metadata)]);
        (snapshot.node_pools[0].disruption.consolidation, errors)
    };
    assert_eq!(annotated("Calm"), (Some(ConsolidationRule::Calm), Vec::new()));
    let (rule, errors) = annotated("never");
    assert_eq!(rule, Some(ConsolidationRule::Off));
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let says = "metadata.annotations.packwright.dev/consolidation: expected one of frugal, calm, balanced, any, off, found 'never'";
    assert!(error.contains(says), "{error}");
}
