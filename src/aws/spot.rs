//! Spot prices from DescribeSpotPriceHistory.

use std::time::{Duration, SystemTime};

use aws_sdk_ec2::primitives::DateTime;
use jiff::Timestamp;

use super::connect::Aws;
use super::words::reason;
use crate::catalog::SpotPrices;
use crate::catalog::market::LINUX;

const PRICES_OF_PAGE: i32 = 1_000;

/// A process that begins looks back so far, so that it needs no memory of the last one.
pub const LOOK_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// Adds the prices since a time to those that are known; the newest of each type and zone counts. EC2 tells the price at that time, too,
/// so that one which has not changed since is among them.
///
/// # Errors
/// Why EC2 does not say. What was told before that is kept.
pub async fn add_since(aws: &Aws, since: SystemTime, prices: &mut SpotPrices) -> Result<(), String> {
    let call = aws.ec2.describe_spot_price_history().start_time(DateTime::from(since)).max_results(PRICES_OF_PAGE);
    let call = LINUX.iter().fold(call, |call, product| call.product_descriptions(*product));
    let mut pages = call.into_paginator().items().send();
    while let Some(price) = pages.try_next().await.map_err(|error| reason("DescribeSpotPriceHistory", &error))? {
        let at = price.timestamp().and_then(|at| Timestamp::new(at.secs(), 0).ok());
        let (kind, zone) = (price.instance_type(), price.availability_zone());
        if let (Some(kind), Some(zone), Some(text), Some(at)) = (kind, zone, price.spot_price(), at) {
            prices.note(kind.as_str(), zone, text, at);
        }
    }
    Ok(())
}
