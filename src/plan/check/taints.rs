//! Taints and tolerations, as kube-scheduler's TaintToleration filter reads them.
//!
//! Only `NoSchedule` and `NoExecute` keep a pod away. A toleration matches by effect (none: every effect), key (empty
//! with `Exists`: every key) and value; `Lt` and `Gt` compare decimal integers, and nothing else satisfies them.

use crate::observe::snapshot::{Taint, TaintEffect, Toleration, TolerationOperator};

/// The first taint that keeps a pod with these tolerations away.
pub(super) fn first_untolerated<'t>(taints: &'t [Taint], tolerations: &[Toleration]) -> Option<&'t Taint> {
    taints
        .iter()
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

pub(in crate::plan) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    if toleration.effect.is_some_and(|effect| effect != taint.effect) {
        return false;
    }
    if toleration.key.is_empty() {
        return toleration.operator == TolerationOperator::Exists;
    }
    if toleration.key != taint.key {
        return false;
    }
    let integers = || Some((decimal(&taint.value)?, decimal(&toleration.value)?));
    match toleration.operator {
        TolerationOperator::Exists => true,
        TolerationOperator::Equal => toleration.value == taint.value,
        TolerationOperator::Lt => integers().is_some_and(|(of_taint, ours)| of_taint < ours),
        TolerationOperator::Gt => integers().is_some_and(|(of_taint, ours)| of_taint > ours),
    }
}

/// A decimal integer as Kubernetes defines it: no plus sign, no leading zeros, no minus zero.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = text == "0" || (digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
        Taint { key: key.into(), value: value.into(), effect }
    }

    fn toleration(key: &str, operator: TolerationOperator, value: &str, effect: Option<TaintEffect>) -> Toleration {
        Toleration { key: key.into(), operator, value: value.into(), effect }
    }

    #[test]
    fn the_table_of_the_documentation() {
        use TaintEffect::{NoExecute, NoSchedule, PreferNoSchedule};
        use TolerationOperator::{Equal, Exists, Gt, Lt};
        let cases = [
            (toleration("a", Equal, "1", Some(NoSchedule)), taint("a", "1", NoSchedule), true),
            (toleration("a", Equal, "1", Some(NoSchedule)), taint("a", "1", NoExecute), false),
            (toleration("a", Equal, "1", None), taint("a", "1", NoExecute), true),
            (toleration("a", Equal, "2", None), taint("a", "1", NoSchedule), false),
            (toleration("a", Exists, "", None), taint("a", "1", NoSchedule), true),
            (toleration("", Exists, "", None), taint("a", "1", NoSchedule), true),
            (toleration("", Equal, "1", None), taint("a", "1", NoSchedule), false),
            (toleration("b", Equal, "1", None), taint("a", "1", PreferNoSchedule), true),
            (toleration("sla", Gt, "900", None), taint("sla", "950", NoSchedule), true),
            (toleration("sla", Gt, "950", None), taint("sla", "950", NoSchedule), false),
            (toleration("sla", Lt, "900", None), taint("sla", "-5", NoSchedule), true),
            (toleration("sla", Lt, "900", None), taint("sla", "0950", NoSchedule), false),
            (toleration("sla", Gt, "1", None), taint("sla", "many", NoSchedule), false),
        ];
        for (toleration, taint, expected) in cases {
            let tolerated =
                first_untolerated(std::slice::from_ref(&taint), std::slice::from_ref(&toleration)).is_none();
            assert_eq!(tolerated, expected, "{toleration:?} {taint:?}");
        }
    }
}
