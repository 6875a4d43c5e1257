//! NodeClaims.

use super::requirements::Place;
use super::{Errors, FieldError, Validate};
use crate::api::node_claim::NodeClaim;

impl Validate for NodeClaim {
    fn validate(&self) -> Vec<FieldError> {
        let spec = &self.spec;
        let mut errors = Errors::default();
        errors.taints("spec", &spec.taints, &spec.startup_taints);
        errors.requirements("spec.requirements", &spec.requirements, Place::Claim);
        errors.quantities("spec.resources.requests", &spec.resources.requests);
        errors.node_class_ref("spec.nodeClassRef", &spec.node_class_ref);
        if let Some(period) = &spec.termination_grace_period {
            errors.plain_duration("spec.terminationGracePeriod", &period.0);
        }
        errors.nillable_duration("spec.expireAfter", &spec.expire_after.0);
        errors.found
    }
}
