//! NodePools.

use super::requirements::Place;
use super::{Errors, FieldError, Validate};
use crate::api::labels;
use crate::api::node_pool::{
    BUDGET_DURATION, BUDGET_NODES, BUDGET_SCHEDULE, Budget, DURATION, Disruption, NILLABLE_DURATION, NodePool,
};

impl Validate for NodePool {
    fn validate(&self) -> Vec<FieldError> {
        let spec = &self.spec;
        let template = &spec.template;
        let mut errors = Errors::default();

        let labels = "spec.template.metadata.labels";
        errors.at_most(labels, template.metadata.labels.len(), 100, "labels");
        for (key, value) in &template.metadata.labels {
            let field = format!("{labels}.{key}");
            errors.label_key(&field, labels::normalize(key), Place::Pool);
            errors.label_value(&field, value);
        }
        let field = "spec.template.spec";
        errors.taints(field, &template.spec.taints, &template.spec.startup_taints);
        errors.requirements(&format!("{field}.requirements"), &template.spec.requirements, Place::Pool);
        errors.node_class_ref(&format!("{field}.nodeClassRef"), &template.spec.node_class_ref);
        if let Some(period) = &template.spec.termination_grace_period {
            errors.plain_duration(&format!("{field}.terminationGracePeriod"), &period.0);
        }
        errors.nillable_duration(&format!("{field}.expireAfter"), &template.spec.expire_after.0);

        errors.disruption(&spec.disruption);
        errors.quantities("spec.limits", &spec.limits);
        errors.range("spec.weight", spec.weight.map(i64::from), 1, 100);
        errors.at_least_zero("spec.replicas", spec.replicas);
        if spec.replicas.is_some() {
            if spec.weight.is_some() {
                errors.add("spec.weight", "found a weight: a pool with replicas has none");
            }
            for key in spec.limits.keys().filter(|key| *key != labels::LIMIT_NODES) {
                errors
                    .add(format!("spec.limits.{key}"), "found a limit: a pool with replicas has only the limit nodes");
            }
        }
        errors.found
    }
}

impl Errors {
    pub(super) fn plain_duration(&mut self, field: &str, text: &str) {
        self.pattern(field, text, DURATION, "a duration of hours, minutes and seconds such as 1h30m");
    }

    pub(super) fn nillable_duration(&mut self, field: &str, text: &str) {
        self.pattern(
            field,
            text,
            NILLABLE_DURATION,
            "a duration of hours, minutes and seconds such as 1h30m, or Never",
        );
    }

    fn disruption(&mut self, disruption: &Disruption) {
        self.nillable_duration("spec.disruption.consolidateAfter", &disruption.consolidate_after.0);
        let field = "spec.disruption.budgets";
        self.at_most(field, disruption.budgets.len(), 50, "budgets");
        for (i, budget) in disruption.budgets.iter().enumerate() {
            self.budget(&format!("{field}[{i}]"), budget);
        }
    }

    fn budget(&mut self, field: &str, budget: &Budget) {
        self.at_most(format!("{field}.reasons"), budget.reasons.len(), 50, "reasons");
        for (i, reason) in budget.reasons.iter().enumerate() {
            if budget.reasons[..i].contains(reason) {
                self.add(format!("{field}.reasons[{i}]"), format!("found {reason:?} again: expected it once"));
            }
        }
        self.pattern(
            format!("{field}.nodes"),
            &budget.nodes,
            BUDGET_NODES,
            "a number of nodes, or a percentage from 0% to 100%",
        );
        if let Some(schedule) = &budget.schedule {
            let field = format!("{field}.schedule");
            self.pattern(&field, schedule, BUDGET_SCHEDULE, "five cron fields or a macro such as @daily");
        }
        if let Some(duration) = &budget.duration {
            let field = format!("{field}.duration");
            self.pattern(&field, &duration.0, BUDGET_DURATION, "hours and minutes such as 8h or 1h30m");
        }
        if budget.schedule.is_some() != budget.duration.is_some() {
            let (found, missing) =
                if budget.schedule.is_some() { ("schedule", "duration") } else { ("duration", "schedule") };
            self.add(format!("{field}.{missing}"), format!("found {found} alone: expected both or neither"));
        }
    }
}
