//! `make bench`: Karpenter's benchmark mix, for several numbers of pods.
//!
//! Writes each instance below the folder for build products, where `packwright plan` can read it:
//! `karpenter-mix/catalog.json`, `karpenter-mix/pools.yaml` and `karpenter-mix/pods-COUNT.json`.

mod karpenter_mix;

use std::path::Path;
use std::{fs, io};

const COUNTS: [usize; 3] = [1_000, 10_000, 20_000];
const SEED: u64 = 42;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("karpenter-mix");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("catalog.json"), karpenter_mix::catalog().to_string())?;
    fs::write(folder.join("pools.yaml"), include_str!("instances/karpenter-mix/pools.yaml"))?;
    for count in COUNTS {
        let file = folder.join(format!("pods-{count}.json"));
        fs::write(&file, karpenter_mix::pods(count, SEED).to_string())?;
        println!("{}", file.display());
    }
    Ok(())
}
