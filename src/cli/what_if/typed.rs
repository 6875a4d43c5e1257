//! Changes as they are typed.

use crate::api::labels;
use crate::catalog::CapacityType;
use crate::cli::types::selector::full_key;
use crate::what_if::Change;

/// A workload has no more pods than this: Kubernetes supports 150,000 in a cluster.
const MOST_REPLICAS: usize = 1_000_000;

/// `prices*1.2` or `spot-prices*0.8`.
pub fn prices(text: &str) -> Result<Change, String> {
    let fault = || {
        "expected prices, on-demand-prices, spot-prices or reserved-prices, and a factor: prices*1.2 or spot-prices*0.8"
            .to_owned()
    };
    let (what, factor) = text.split_once('*').ok_or_else(fault)?;
    let of = match what.trim() {
        "prices" => None,
        what => Some(what.strip_suffix("-prices").and_then(CapacityType::parse).ok_or_else(fault)?),
    };
    Ok(Change::Prices { of, permille: permille(factor.trim())? })
}

/// In thousandths.
fn permille(text: &str) -> Result<i64, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = || {
        let (whole, rest) = (whole.parse::<i64>().ok()?, format!("{decimals:0<3}").parse::<i64>().ok()?);
        whole.checked_mul(1_000)?.checked_add(rest).filter(|permille| (1..=1_000_000).contains(permille))
    };
    let is_factor = is_digits(whole) && is_digits(decimals) && decimals.len() <= 3;
    read()
        .filter(|_| is_factor)
        .ok_or_else(|| format!("expected a factor from 0.001 to 1000 with at most three decimals, found '{text}'"))
}

/// `arch=arm64`; keys as in `packwright types --requirements`, and `nodepool`.
pub fn dropped(text: &str) -> Result<Change, String> {
    let (key, value) = pair(text, "expected a label and its value, such as arch=arm64 or instance-type=m5.large")?;
    let key = if key == "nodepool" { labels::NODEPOOL.to_owned() } else { full_key(labels::normalize(key))? };
    Ok(Change::Drop { key, value: value.to_owned() })
}

/// `general.cpu=100` or `general.cpu=none`.
pub fn limit(text: &str) -> Result<Change, String> {
    let expected = "expected a NodePool, a resource and an amount, such as general.cpu=100 or general.cpu=none";
    let (name, amount) = pair(text, expected)?;
    if !name.contains('.') {
        return Err(expected.to_owned());
    }
    Ok(Change::Limit { name: name.to_owned(), amount: (amount != "none").then(|| amount.to_owned()) })
}

/// `web=40` or `shop/web=40`.
pub fn replicas(text: &str) -> Result<Change, String> {
    let (workload, count) = pair(text, "expected a workload and a number of pods, such as web=40 or shop/web=40")?;
    let count = count.parse().ok().filter(|count| *count <= MOST_REPLICAS);
    let count = count.ok_or_else(|| format!("expected a number of pods from 0 to {MOST_REPLICAS}"))?;
    Ok(Change::Replicas { workload: workload.to_owned(), count })
}

fn pair<'t>(text: &'t str, expected: &str) -> Result<(&'t str, &'t str), String> {
    let found = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    found.filter(|(name, value)| !name.is_empty() && !value.is_empty()).ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_as_they_are_typed() {
        let shown = |change: Result<Change, String>| change.unwrap().to_string();
        for text in ["prices*1.2", "spot-prices*0.8", "on-demand-prices*2", "reserved-prices*0.001", "prices*1000"] {
            assert_eq!(shown(prices(text)), text);
        }
        assert_eq!(prices("prices*1.25"), Ok(Change::Prices { of: None, permille: 1_250 }));
        assert_eq!(shown(dropped("arch=arm64")), "drop kubernetes.io/arch=arm64");
        assert_eq!(shown(dropped("instance-family=m5")), "drop karpenter.k8s.aws/instance-family=m5");
        assert_eq!(shown(dropped("beta.kubernetes.io/arch=amd64")), "drop kubernetes.io/arch=amd64");
        assert_eq!(shown(dropped("nodepool=general")), "drop karpenter.sh/nodepool=general");
        assert_eq!(shown(limit("a.b.nvidia.com/gpu=4")), "limit a.b.nvidia.com/gpu=4");
        assert_eq!(limit("a.cpu=none"), Ok(Change::Limit { name: "a.cpu".to_owned(), amount: None }));
        assert_eq!(shown(replicas("shop/web=40")), "replicas shop/web=40");
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (wrong, expected) in [
            (prices("prices"), "expected prices, on-demand-prices"),
            (prices("cheap-prices*2"), "expected prices, on-demand-prices"),
            (prices("prices*0"), "expected a factor from 0.001 to 1000"),
            (prices("prices*-1"), "expected a factor"),
            (prices("prices*1.2345"), "expected a factor"),
            (prices("prices*99999999999999999999"), "expected a factor"),
            (dropped("arch"), "expected a label and its value"),
            (dropped("arch="), "expected a label and its value"),
            (dropped("a b=c"), "is not a label key"),
            (limit("cpu=1"), "expected a NodePool, a resource"),
            (replicas("web=-1"), "expected a number of pods"),
            (replicas("web=1000001"), "expected a number of pods"),
        ] {
            let found = wrong.unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
