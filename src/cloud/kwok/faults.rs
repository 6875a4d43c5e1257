//! Launches that fail on request: what insufficient capacity and errors of a cloud do can be tried without one.

use std::collections::BTreeMap;

use super::super::{LaunchError, OfferingName};
use crate::api::labels;

/// What launches from a node class fail at, as its annotations say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Offerings that cannot be had.
    unavailable: Vec<Pattern>,
    /// Every launch fails with this.
    error: Option<String>,
}

/// Type, zone and capacity type; `None`: whichever.
type Pattern = [Option<String>; 3];

impl Faults {
    /// Reads the annotations of a node class.
    ///
    /// # Errors
    /// One of them says nothing that can be meant; the sentence names it.
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Result<Self, String> {
        let written = |key: &str| annotations.and_then(|of| of.get(key)).filter(|text| !text.trim().is_empty());
        let patterns = written(labels::KWOK_UNAVAILABLE).map(String::as_str).unwrap_or_default();
        let unavailable = patterns.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pattern);
        Ok(Self {
            unavailable: unavailable.collect::<Result<_, _>>()?,
            error: written(labels::KWOK_LAUNCH_ERROR).cloned(),
        })
    }

    /// Whether anything can be launched.
    ///
    /// # Errors
    /// Nothing can be, and why.
    pub fn check(&self) -> Result<(), LaunchError> {
        self.error.as_ref().map_or(Ok(()), |reason| Err(LaunchError::Other(reason.clone())))
    }

    /// Whether an offering cannot be had.
    #[must_use]
    pub fn concern(&self, offering: &OfferingName) -> bool {
        let parts = [&*offering.instance_type, &*offering.zone, offering.capacity_type.label()];
        let is_meant = |pattern: &Pattern| {
            pattern.iter().zip(parts).all(|(wanted, part)| wanted.as_deref().is_none_or(|wanted| wanted == part))
        };
        self.unavailable.iter().any(is_meant)
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let parts: Vec<&str> = text.split('/').map(str::trim).collect();
    match parts[..] {
        [kind, zone, capacity] if parts.iter().all(|part| !part.is_empty()) => {
            Ok([kind, zone, capacity].map(|part| Some(part.to_owned()).filter(|part| part != "*")))
        }
        _ => Err(format!("annotation {}: expected type/zone/capacity-type, found '{text}'", labels::KWOK_UNAVAILABLE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CapacityType;

    fn faults(key: &str, text: &str) -> Result<Faults, String> {
        Faults::of(Some(&BTreeMap::from([(key.to_owned(), text.to_owned())])))
    }

    #[test]
    fn offerings_are_named_by_type_zone_and_capacity_type() {
        let name = OfferingName {
            instance_type: "c5.large".into(),
            zone: "us-east-1a".into(),
            capacity_type: CapacityType::Spot,
            reservation: None,
            class: None,
        };
        for (text, expected) in [
            ("", false),
            ("c5.large/us-east-1a/spot", true),
            ("*/*/*", true),
            ("c5.large/*/on-demand", false),
            ("m5.large/*/*, */us-east-1a/*", true),
            ("*/us-east-1b/spot,", false),
        ] {
            assert_eq!(faults(labels::KWOK_UNAVAILABLE, text).unwrap().concern(&name), expected, "{text}");
        }
        for text in ["c5.large", "c5.large/us-east-1a", "a/b/c/d", "a//c"] {
            let error = faults(labels::KWOK_UNAVAILABLE, text).unwrap_err();
            assert!(error.contains(labels::KWOK_UNAVAILABLE) && error.ends_with(&format!("found '{text}'")), "{error}");
        }
    }

    #[test]
    fn every_launch_fails_with_the_text_of_the_annotation() {
        let fails = faults(labels::KWOK_LAUNCH_ERROR, "UnauthorizedOperation").unwrap();
        assert_eq!(fails.check(), Err(LaunchError::Other("UnauthorizedOperation".to_owned())));
        assert_eq!(faults(labels::KWOK_LAUNCH_ERROR, " ").unwrap().check(), Ok(()));
    }
}
