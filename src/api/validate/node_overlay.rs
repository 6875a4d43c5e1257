//! NodeOverlays.

use super::{Errors, FieldError, Validate};
use crate::api::node_overlay::{NodeOverlay, PRICE, PRICE_ADJUSTMENT, RESTRICTED_CAPACITY};

impl Validate for NodeOverlay {
    fn validate(&self) -> Vec<FieldError> {
        let spec = &self.spec;
        let mut errors = Errors::default();
        errors.overlay_requirements("spec.requirements", &spec.requirements);
        if let Some(price) = &spec.price {
            errors.pattern("spec.price", price, PRICE, "dollars an hour without a sign, such as 0.25");
        }
        if let Some(adjustment) = &spec.price_adjustment {
            let expected = "a signed amount such as +0.5, or a signed percentage of at least -100% such as -15%";
            errors.pattern("spec.priceAdjustment", adjustment, PRICE_ADJUSTMENT, expected);
            if spec.price.is_some() {
                errors.add("spec.priceAdjustment", "found also price: expected only one of them");
            }
        }
        errors.quantities("spec.capacity", &spec.capacity);
        for name in RESTRICTED_CAPACITY.into_iter().filter(|name| spec.capacity.contains_key(*name)) {
            errors.add(format!("spec.capacity.{name}"), format!("found {name}: expected extended resources only"));
        }
        errors.range("spec.weight", spec.weight.map(i64::from), 1, 10_000);
        errors.found
    }
}
