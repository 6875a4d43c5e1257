//! The best bounds that are known of the benchmark's instances are proven, and a little more is not.

use std::fs;
use std::path::Path;

use packwright::bench::bounds::{self, Known};
use packwright::bench::instances;
use packwright::verify::decision::PodValue;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benchmarks/bounds");

#[test]
fn every_known_bound_is_proven() {
    let all = instances::all();
    let mut seen = 0;
    for file in fs::read_dir(FOLDER).expect("the folder of bounds") {
        let path = file.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"))
        else {
            continue;
        };
        let instance =
            all.iter().find(|instance| instance.name == name).unwrap_or_else(|| panic!("no instance {name}"));
        let known = bounds::read(Path::new(FOLDER), name).expect("readable").expect("there");
        let snapshot = instance.snapshot(0).expect("a snapshot");
        let proven = known.proven(&snapshot);
        assert!(proven >= known.bound_micro_usd_hour, "{name}: {proven} of {}", known.bound_micro_usd_hour);
        let more =
            Known { bound_micro_usd_hour: known.bound_micro_usd_hour + known.bound_micro_usd_hour / 50, ..known };
        assert!(more.proven(&snapshot) < more.bound_micro_usd_hour, "{name}: what is not proven is proven");
        seen += 1;
    }
    assert!(seen > 0, "{FOLDER} is empty");
}

/// Values raised by a tenth make every node hold more than it costs: they prove no more than before.
#[test]
fn raised_values_prove_no_more() {
    let instance = instances::all().into_iter().find(|instance| instance.name == "inflate").expect("inflate");
    let known = bounds::read(Path::new(FOLDER), "inflate").expect("readable").expect("there");
    let snapshot = instance.snapshot(0).expect("a snapshot");
    let mut raised = known.clone();
    raised.bound_micro_usd_hour += 1;
    for PodValue { nano_usd_hour, .. } in &mut raised.proof.values {
        *nano_usd_hour += *nano_usd_hour / 10;
    }
    assert!(raised.proven(&snapshot) < raised.bound_micro_usd_hour);
}
