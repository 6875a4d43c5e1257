//! Spot prices from DescribeSpotPriceHistory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_ec2::primitives::DateTime;
use jiff::Timestamp;

use super::connect::Aws;
use super::words::reason;
use crate::catalog::market::{LINUX, read_price};
use crate::units::MicroUsd;

const PRICES_OF_PAGE: i32 = 1_000;

/// A process that begins looks back so far: means are over as long, and it needs no memory of the last one.
pub const LOOK_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// From a time on a type costs so much in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub instance_type: Arc<str>,
    pub zone: Arc<str>,
    pub at: Timestamp,
    pub price: MicroUsd,
}

/// Hands over the prices since a time. EC2 tells the price at that time, too, so that one which has not changed since is among them.
///
/// # Errors
/// Why EC2 does not say. What was told before that is handed over.
pub async fn since(aws: &Aws, since: SystemTime, mut hear: impl FnMut(Told)) -> Result<(), String> {
    let call = aws.ec2.describe_spot_price_history().start_time(DateTime::from(since)).max_results(PRICES_OF_PAGE);
    let call = LINUX.iter().fold(call, |call, product| call.product_descriptions(*product));
    let mut pages = call.into_paginator().items().send();
    while let Some(told) = pages.try_next().await.map_err(|error| reason("DescribeSpotPriceHistory", &error))? {
        let at = told.timestamp().and_then(|at| Timestamp::new(at.secs(), 0).ok());
        let (kind, zone) = (told.instance_type(), told.availability_zone());
        let price = told.spot_price().and_then(read_price);
        if let (Some(kind), Some(zone), Some(at), Some(price)) = (kind, zone, at, price) {
            hear(Told { instance_type: Arc::from(kind.as_str()), zone: Arc::from(zone), at, price });
        }
    }
    Ok(())
}
