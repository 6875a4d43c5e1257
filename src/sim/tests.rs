//! What a step need not look at changes nothing.

use std::path::Path;
use std::time::Duration;

use super::{Options, Report, Scenario, simulate};
use crate::catalog::{Catalog, Market};
use crate::cloud::Provider;
use crate::controller::ControllerSettings;
use crate::host::{Limits, Search};
use crate::solve::Work;

fn run(scenario: &Scenario, seed: u64, is_undivided: bool) -> Report {
    let settings = ControllerSettings { provider: Provider::Ec2, is_undivided, ..ControllerSettings::default() };
    let (market, _) = Market::offline("us-east-1").unwrap();
    let options = Options {
        settings,
        catalog: Catalog::Ec2(Box::new(market)),
        limits: Limits::of_work(Work::LIMITED, Search::Greedy),
        seed,
        planted: None,
        with_bound: false,
        log: false,
    };
    simulate(scenario, &options, &mut |_| {})
}

/// Everything is the same, to the last write and micro-dollar, but for the steps that are made.
#[test]
fn claims_at_rest_need_no_look() {
    let mut scenario = Scenario::read(Path::new("examples/simulations/faults")).unwrap();
    scenario.spec.time = Duration::from_secs(12 * 60);
    for seed in 1..=2 {
        let (divided, undivided) = (run(&scenario, seed, false), run(&scenario, seed, true));
        let of = |report: &Report| {
            let mut report = serde_json::to_value(report).unwrap();
            report["steps"].take();
            report
        };
        assert_eq!(divided.broken, None);
        assert!(divided.launches > 5 && divided.failures > 5, "{divided:?}");
        assert_eq!(of(&divided), of(&undivided), "seed {seed}");
    }
}
