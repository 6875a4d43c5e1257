//! Zones that ARC (Application Recovery Controller) has shifted the cluster away from.
//!
//! Source: karpenter-provider-aws `pkg/providers/arczonalshift`: a shift counts while it is applied and not expired. Those of autoshift and
//! of practice runs are among them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

/// A zonal shift of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonalShift {
    /// `AwayFrom`: the id of a zone.
    pub away_from: Arc<str>,
    /// `ExpiryTime`.
    pub expires: Timestamp,
    /// `AppliedStatus` is `APPLIED`: of several shifts of a resource one is.
    pub is_applied: bool,
}

/// The zones that nothing is launched in now, by id.
#[must_use]
pub fn shifted(shifts: &[ZonalShift], now: Timestamp) -> BTreeSet<Arc<str>> {
    shifts.iter().filter(|of| of.is_applied && of.expires > now).map(|of| of.away_from.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_counts_while_it_is_applied_and_not_expired() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shift = |id: &str, is_applied| ZonalShift { away_from: id.into(), expires: at(100), is_applied };
        let all = [shift("use1-az1", true), shift("use1-az2", false)];
        assert_eq!(shifted(&all, at(99)), BTreeSet::from(["use1-az1".into()]));
        assert_eq!(shifted(&all, at(100)), BTreeSet::new(), "nobody need say that it is over");
    }
}
