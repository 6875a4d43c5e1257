//! Values of SSM parameters, kept for all classes together.
//!
//! Source: the reference keeps them for a day, and drops those of the newest images once theirs are deprecated (karpenter-aws 6). Here those
//! of a pinned version are kept for a day, and the others for as long as images are: they change when AWS publishes one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Of what does not change.
pub(super) const PINNED: Duration = Duration::from_secs(24 * 60 * 60);
/// Of one that is not there: somebody may just be making it.
const MISSING: Duration = Duration::from_secs(60);

/// What SSM has said of a parameter: its value, or that there is none.
pub(in crate::aws) type Value = Result<String, Missing>;

/// There is no such parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) struct Missing;

/// By name.
#[derive(Debug, Default)]
pub(in crate::aws) struct Parameters(Mutex<BTreeMap<String, (Value, Instant)>>);

impl Parameters {
    /// What is known of one and still counts.
    pub fn get(&self, name: &str, now: Instant) -> Option<Value> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).filter(|(_, until)| *until > now).map(|(value, _)| value.clone())
    }

    /// What SSM has just said, which counts for a time.
    pub fn learn(&self, name: &str, value: Value, time: Duration, now: Instant) {
        let until = now + if value.is_ok() { time } else { time.min(MISSING) };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, until)| *until > now);
        all.insert(name.to_owned(), (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_asked_for_once_a_day_and_what_is_missing_sooner() {
        let (parameters, now) = (Parameters::default(), Instant::now());
        assert_eq!(parameters.get("a", now), None, "it has to be asked for");
        let value: Value = Ok("ami-1".to_owned());
        parameters.learn("a", value.clone(), PINNED, now);
        parameters.learn("b", Err(Missing), PINNED, now);
        parameters.learn("c", value.clone(), Duration::from_secs(90), now);
        let known = |seconds: u64| ["a", "b", "c"].map(|name| parameters.get(name, now + Duration::from_secs(seconds)));
        assert_eq!(known(59), [Some(value.clone()), Some(Err(Missing)), Some(value.clone())]);
        assert_eq!(known(60), [Some(value.clone()), None, Some(value.clone())]);
        assert_eq!(known(90), [Some(value), None, None]);
        assert_eq!(known(86_400), [None, None, None]);
    }
}
