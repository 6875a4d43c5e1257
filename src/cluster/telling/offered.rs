//! Gauges of instance types and offerings, under the reference's names (karpenter-aws 9).

use super::series::Series;
use crate::controller::on_offer::OnOffer;

/// All series; where nothing is known there are none.
pub(super) fn text(of: &OnOffer) -> String {
    let mut series = Series::default();
    if of.0.is_empty() {
        return series.into_text();
    }
    let name = "karpenter_cloudprovider_instance_type_cpu_cores";
    let mut family = series.gauge(name, "Cores of an instance type.");
    for (name, kind) in &of.0 {
        #[allow(clippy::cast_precision_loss)] // machines have fewer than 2^53 millicores
        family.set([("instance_type", &**name)], kind.cpu as f64 / 1_000.0);
    }
    let name = "karpenter_cloudprovider_instance_type_memory_bytes";
    let mut family = series.gauge(name, "Memory of an instance type.");
    for (name, kind) in &of.0 {
        #[allow(clippy::cast_precision_loss)] // and of bytes
        family.set([("instance_type", &**name)], kind.memory as f64);
    }
    let name = "karpenter_cloudprovider_instance_type_offering_price_estimate";
    let mut family = series.gauge(name, "What an offering costs, dollars an hour.");
    each(of, |labels, price| family.set(labels, price.least.as_usd()));
    let name = "karpenter_cloudprovider_instance_type_offering_available";
    let mut family = series.gauge(name, "Whether an offering can be had now.");
    each(of, |labels, price| family.set(labels, f64::from(u8::from(price.is_available))));
    series.into_text()
}

fn each(of: &OnOffer, mut set: impl FnMut([(&str, &str); 3], &crate::controller::on_offer::Price)) {
    for (name, kind) in &of.0 {
        for ((zone, capacity_type), price) in &kind.offerings {
            set([("instance_type", &**name), ("capacity_type", capacity_type.label()), ("zone", &**zone)], price);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CapacityType;
    use crate::controller::on_offer::{Price, Type};
    use crate::units::MicroUsd;

    #[test]
    fn a_type_and_its_offerings_have_series() {
        let price = Price { least: MicroUsd(96_000), is_available: false };
        let offerings = [(("us-east-1a".into(), CapacityType::OnDemand), price)].into();
        let kind = Type { cpu: 2_000, memory: 8 << 30, offerings };
        let text = text(&OnOffer([("m5.large".into(), kind)].into()));
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let of = "{instance_type=\"m5.large\",capacity_type=\"on-demand\",zone=\"us-east-1a\"}";
        assert_eq!(
            values,
            [
                "karpenter_cloudprovider_instance_type_cpu_cores{instance_type=\"m5.large\"} 2",
                "karpenter_cloudprovider_instance_type_memory_bytes{instance_type=\"m5.large\"} 8589934592",
                format!("karpenter_cloudprovider_instance_type_offering_price_estimate{of} 0.096").as_str(),
                format!("karpenter_cloudprovider_instance_type_offering_available{of} 0").as_str(),
            ]
        );
    }
}
