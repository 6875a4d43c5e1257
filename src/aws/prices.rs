//! On-demand prices from the Pricing API.
//!
//! Source: karpenter-provider-aws `pkg/providers/pricing`: two queries, shared tenancy for what is virtualized and dedicated tenancy for bare
//! metal, of Linux without licences; any price of a product that is not zero counts.

use std::sync::Arc;

use aws_sdk_pricing::types::{Filter, FilterType};
use serde_json::Value;

use super::connect::Aws;
use super::words::reason;
use crate::catalog::market::{OnDemandPrices, is_in_china};
use crate::units::{MicroUsd, Quantity};

const PRODUCTS_OF_PAGE: i32 = 100;

/// (tenancy, product family) of a query.
const QUERIES: [(&str, &str); 2] = [("Shared", "Compute Instance"), ("Dedicated", "Compute Instance (bare metal)")];

/// Whether the region has a Pricing API that knows its prices, as the reference has it.
#[must_use]
pub fn are_served(region: &str) -> bool {
    !region.starts_with("us-gov-") && !region.starts_with("us-iso")
}

/// The price of every type that has one.
///
/// # Errors
/// Why the service does not say.
pub async fn on_demand(aws: &Aws) -> Result<OnDemandPrices, String> {
    let (shared, metal) = futures::try_join!(of_query(aws, QUERIES[0]), of_query(aws, QUERIES[1]))?;
    let mut prices = shared;
    prices.extend(metal);
    if prices.is_empty() {
        return Err("GetProducts: expected at least one price, found none".to_owned());
    }
    Ok(prices)
}

async fn of_query(aws: &Aws, (tenancy, family): (&str, &str)) -> Result<OnDemandPrices, String> {
    let fields = [
        ("regionCode", &*aws.region),
        ("serviceCode", "AmazonEC2"),
        ("preInstalledSw", "NA"),
        ("operatingSystem", "Linux"),
        ("capacitystatus", "Used"),
        ("marketoption", "OnDemand"),
        ("tenancy", tenancy),
        ("productFamily", family),
    ];
    let mut call = aws.pricing.get_products().service_code("AmazonEC2").max_results(PRODUCTS_OF_PAGE);
    for (field, value) in fields {
        let filter = Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build();
        call = call.filters(filter.map_err(|error| format!("GetProducts: {error}"))?);
    }
    let currency = if is_in_china(&aws.region) { "CNY" } else { "USD" };
    let mut pages = call.into_paginator().items().send();
    let mut prices = OnDemandPrices::new();
    while let Some(product) = pages.try_next().await.map_err(|error| reason("GetProducts", &error))? {
        if let Some((kind, price)) = price_of(&product, currency) {
            prices.insert(kind, price);
        }
    }
    Ok(prices)
}

/// Of an entry of the price list, which is JSON in a text. `None` where it has no price.
fn price_of(product: &str, currency: &str) -> Option<(Arc<str>, MicroUsd)> {
    let product: Value = serde_json::from_str(product).ok()?;
    let kind = product["product"]["attributes"]["instanceType"].as_str()?;
    let terms = product["terms"]["OnDemand"].as_object()?;
    let dimensions = terms.values().filter_map(|term| term["priceDimensions"].as_object());
    let mut prices = dimensions.flat_map(serde_json::Map::values).filter_map(|dimension| {
        let price: Quantity = dimension["pricePerUnit"][currency].as_str()?.parse().ok()?;
        Some(MicroUsd(price.micro_value()))
    });
    let price = prices.find(|price| (MicroUsd(1)..=MicroUsd::MOST_AN_HOUR).contains(price))?;
    Some((Arc::from(kind), price))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_its_first_price_that_is_not_zero() {
        let product = r#"{"product": {"attributes": {"instanceType": "m5.large"}}, "terms": {"OnDemand": {
            "A.B": {"priceDimensions": {"A.B.C": {"pricePerUnit": {"USD": "0.0000000000"}}}},
            "A.D": {"priceDimensions": {"A.D.E": {"pricePerUnit": {"USD": "0.0960000000"}}}}}}}"#;
        let expected = Some((Arc::from("m5.large"), MicroUsd(96_000)));
        assert_eq!(price_of(product, "USD"), expected);
        assert_eq!(price_of(product, "CNY"), None);
        assert_eq!(price_of(&product.replace("USD", "CNY"), "CNY"), expected);
        assert_eq!(price_of("{}", "USD"), None);
        assert_eq!(price_of("m5.large", "USD"), None);
    }
}
