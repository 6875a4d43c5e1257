//! Zones that ARC (Application Recovery Controller) has shifted the cluster away from.
//!
//! Source: karpenter-provider-aws `pkg/providers/arczonalshift`: a shift counts while it is applied and not expired. Autoshifts, which AWS
//! begins and ends, count here, too: GetManagedResource of ARC lists them apart, and they do not say when they end.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

/// A zonal shift of the cluster, or an autoshift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonalShift {
    /// `AwayFrom`: the id of a zone.
    pub away_from: Arc<str>,
    /// `ExpiryTime`; `None`: once ARC does not list it any more.
    pub expires: Option<Timestamp>,
    /// `AppliedStatus` is `APPLIED`: of several shifts of a resource one is.
    pub is_applied: bool,
}

/// The zones that nothing is launched in now, by id.
#[must_use]
pub fn shifted(shifts: &[ZonalShift], now: Timestamp) -> BTreeSet<Arc<str>> {
    shifts
        .iter()
        .filter(|of| of.is_applied && of.expires.is_none_or(|at| at > now))
        .map(|of| of.away_from.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_counts_while_it_is_applied_and_not_expired() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shift = |id: &str, is_applied| ZonalShift { away_from: id.into(), expires: Some(at(100)), is_applied };
        let all = [shift("use1-az1", true), shift("use1-az2", false)];
        assert_eq!(shifted(&all, at(99)), BTreeSet::from(["use1-az1".into()]));
        assert_eq!(shifted(&all, at(100)), BTreeSet::new(), "nobody need say that it is over");
        let lasting = ZonalShift { expires: None, ..shift("use1-az3", true) };
        assert_eq!(shifted(&[lasting], at(1_000)), BTreeSet::from(["use1-az3".into()]));
    }
}
