//! What the account says of types, zones and prices, and that a shadow only asks.

use std::sync::Arc;
use std::time::Duration;

use packwright::aws::{Keeper, MarketSettings, Mode};
use packwright::catalog::{CapacityType, Catalog, Ec2Facts, InstanceType, Market, NodeClassFacts, Offering};
use packwright::controller::Event;
use packwright::settings::Settings;
use packwright::units::MicroUsd;
use tokio::sync::mpsc::unbounded_channel;

use super::account::{Account, REGION};

/// Nothing takes longer, or it has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_catalogue_is_what_the_account_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let account = Account::new("1.37").await;
        {
            let mut faults = account.proxy.faults();
            faults.prices = [("m5.large", "0.2"), ("c5.large", "0.1"), ("m5.metal", "5.5")]
                .map(|(kind, price)| (kind.to_owned(), price.to_owned()))
                .into();
            faults.spot_changes = vec![("m5.large", "us-east-1c", "0.05", 6)];
            // one failure of each: it is asked again
            for action in ["DescribeInstanceTypes", "GetProducts", "DescribeSpotPriceHistory"] {
                faults.broken.insert(action.to_owned(), 1);
            }
        }
        let (teller, mut told) = unbounded_channel();
        let aws = account.clients(Mode::ReadsOnly).await;
        let (base, _) = Market::offline(REGION).unwrap();
        let keeper = Arc::new(Keeper::new(aws.clone(), base, teller));
        let settings = MarketSettings { spot_every: Duration::from_secs(600), is_isolated: false, shifts_of: None };
        let keeping = tokio::spawn(async move { keeper.run(settings).await });
        let is_complete = |types: &[InstanceType]| {
            let kind = |name: &str| types.iter().find(|kind| *kind.name == *name);
            let price = |name: &str, of: CapacityType| {
                kind(name)?
                    .offerings
                    .iter()
                    .find(|found| found.capacity_type == of && found.available)
                    .map(|of| of.price)
            };
            price("m5.large", CapacityType::OnDemand) == Some(MicroUsd(200_000))
                && price("m5.metal", CapacityType::OnDemand) == Some(MicroUsd(5_500_000))
                && price("m5.large", CapacityType::Spot) == Some(MicroUsd(80_000))
                && price("m5.xlarge", CapacityType::OnDemand).is_none()
        };
        let types = tokio::time::timeout(PATIENCE, async {
            loop {
                let Event::Catalog(catalog) = told.recv().await.unwrap().event else { continue };
                let Catalog::Ec2(market) = &*catalog else { continue };
                let types = catalog.instance_types(&NodeClassFacts::default(), &Settings::default());
                let is_there = is_complete(&types) && market.zones.iter().all(|zone| zone.id.is_some());
                assert_eq!(catalog.is_awaited(), !is_there, "nothing is bought at other prices");
                if is_there {
                    break types;
                }
            }
        });
        let types =
            types.await.unwrap_or_else(|_| panic!("the account was not read in time: {:?}", account.proxy.calls()));
        let large = types.iter().find(|kind| *kind.name == *"m5.large").unwrap();
        let in_zone = |zone: &str| {
            let mut spot = large.offerings.iter().filter(|of| of.capacity_type == CapacityType::Spot);
            spot.find(|of| *of.zone == *zone).unwrap()
        };
        assert_eq!(in_zone("us-east-1a").mean_price, Some(MicroUsd(80_000)), "it has not changed for days");
        let changed = in_zone("us-east-1c");
        assert_eq!(changed.price, MicroUsd(50_000));
        // 18 hours of 0.08 and 6 of 0.05, but for the minutes that the test takes
        let mean = changed.mean_price.unwrap().0;
        assert!((71_500..=72_500).contains(&mean), "{mean}");
        let there = types.iter().find(|kind| *kind.name == *"m5.large").unwrap();
        let open = there.offerings.iter().filter(|of| of.available).count();
        assert_eq!((open, there.capacity.get("cpu")), (types_zones(there), 2_000));
        let unpriced: Vec<bool> =
            types_spot(there).filter(|of| of.zone.ends_with('d')).map(|of| of.available).collect();
        assert_eq!(unpriced, [false], "it is sold there, at a price that nobody tells");
        keeping.abort();

        let refused = aws.ec2.terminate_instances().instance_ids("i-1").send().await.unwrap_err();
        assert!(format!("{refused:?}").contains("Refused(\"TerminateInstances\")"), "{refused:?}");
        let changing: Vec<_> = account
            .proxy
            .calls()
            .into_iter()
            .filter(|call| !packwright::aws::calls::only_reads(&call.action))
            .collect();
        assert_eq!(changing, [], "a shadow only asks");
    });
}

fn types_spot(kind: &InstanceType) -> impl Iterator<Item = &Offering> {
    kind.offerings.iter().filter(|of| of.capacity_type == CapacityType::Spot)
}

/// On-demand in each of its zones, and spot in the three of which the stand-in has prices.
fn types_zones(kind: &InstanceType) -> usize {
    let zones: std::collections::BTreeSet<_> = kind.offerings.iter().map(|offering| &offering.zone).collect();
    zones.len() + zones.iter().filter(|zone| ["a", "b", "c"].iter().any(|letter| zone.ends_with(letter))).count()
}

#[test]
fn without_the_right_to_ask_for_zones_they_are_those_of_what_is_offered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let account = Account::new("1.37").await;
        account.proxy.faults().forbidden.insert("DescribeAvailabilityZones".to_owned());
        let (teller, mut told) = unbounded_channel();
        let (base, _) = Market::offline(REGION).unwrap();
        let keeper = Arc::new(Keeper::new(account.clients(Mode::ReadsOnly).await, base, teller));
        let settings = MarketSettings { spot_every: Duration::from_secs(600), is_isolated: true, shifts_of: None };
        let keeping = tokio::spawn(async move { keeper.run(settings).await });
        let names = tokio::time::timeout(PATIENCE, async {
            loop {
                let Event::Catalog(catalog) = told.recv().await.unwrap().event else { continue };
                let Catalog::Ec2(market) = &*catalog else { continue };
                // the stand-in has fewer than are bundled
                if market.facts().types().len() < Ec2Facts::bundled().types().len() {
                    break market.zones.iter().map(|zone| zone.name.to_string()).collect::<Vec<_>>();
                }
            }
        });
        assert!(names.await.unwrap().contains(&format!("{REGION}a")));
        keeping.abort();
    });
}

#[test]
fn nothing_can_be_had_in_a_zone_while_it_is_shifted_away_from() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let account = Account::new("1.37").await;
        account.proxy.faults().shifted.insert("use1-az6".to_owned()); // us-east-1a, as the stand-in has it
        let (teller, mut told) = unbounded_channel();
        let (base, _) = Market::offline(REGION).unwrap();
        let keeper = Arc::new(Keeper::new(account.clients(Mode::ReadsOnly).await, base, teller));
        let settings = MarketSettings {
            spot_every: Duration::from_secs(600),
            is_isolated: true,
            shifts_of: Some(Arc::from("test")),
        };
        let keeping = tokio::spawn(async move { keeper.run(settings).await });
        // zones where m5.large can be had, once the account has said what is there
        let mut open_zones = async |is_it: fn(&[String]) -> bool| {
            let found = tokio::time::timeout(PATIENCE, async {
                loop {
                    let Event::Catalog(catalog) = told.recv().await.unwrap().event else { continue };
                    let types = catalog.instance_types(&NodeClassFacts::default(), &Settings::default());
                    let large = types.iter().find(|kind| *kind.name == *"m5.large").unwrap();
                    let open =
                        large.offerings.iter().filter(|of| of.available && of.capacity_type == CapacityType::OnDemand);
                    let zones: Vec<String> = open.map(|of| of.zone.to_string()).collect();
                    if is_it(&zones) {
                        break zones;
                    }
                }
            });
            found.await.unwrap()
        };
        let zone = format!("{REGION}a");
        let open = open_zones(|zones| !zones.contains(&format!("{REGION}a"))).await;
        assert!(open.contains(&format!("{REGION}b")), "{open:?}");
        account.proxy.faults().shifted.clear();
        open_zones(|zones| zones.contains(&format!("{REGION}a"))).await;
        assert!(account.proxy.count("GetManagedResource") >= 2, "{zone} is open again");
        keeping.abort();
    });
}
