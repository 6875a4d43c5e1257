//! `packwright export -f PATH... --out DIR`

mod models;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) use models::utf8;

use super::plan::{EXIT_CODES, QuestionArgs, exit_code};
use crate::host::{self, Decision, Limits};
use crate::observe::Snapshot;
use crate::solve::bound::LimitPrice;
use crate::verify::decision::{self, Kind, NodePrices, PodValue, StoredCertificate, StoredPlan, StoredProof};
use crate::verify::objectives;

const EXAMPLES: &str = "\
Examples:
  packwright export -f examples/getting-started --out decision && packwright verify decision
  packwright export -f examples/getting-started --out decision && packwright solve decision";

/// Plan, and write the decision into a directory: the Snapshot, the plan, what proves how good it is, and its models.
///
/// The models are solved once more for what HiGHS finds in them, within the time limit or ten seconds, whichever is less.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Args {
    #[command(flatten)]
    question: QuestionArgs,
    /// Where to: the directory is made, and files of an earlier decision in it are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Plans and writes.
///
/// # Errors
/// The directory cannot be written.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let loaded = match args.question.load() {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    for error in &loaded.errors {
        eprintln!("error: {error}");
    }
    let limits = args.question.limits();
    let decided = host::decide(&loaded.snapshot, limits);
    let models = models::write(&args.out, &loaded.snapshot, &decided, limits.time)?;
    decision::write(&args.out, &loaded.snapshot, |hash| decision::Decision {
        models_sha256: models,
        ..stored(&loaded.snapshot, &decided, hash, limits)
    })?;
    println!(
        "{}: {} launches, {} pods left",
        args.out.display(),
        decided.plan.launches.len(),
        decided.plan.unplaced.len()
    );
    Ok(exit_code(&loaded, &decided))
}

fn stored(snapshot: &Snapshot, decided: &Decision, snapshot_sha256: String, limits: Limits) -> decision::Decision {
    let Decision { plan, certificate, proof, .. } = decided;
    let mut levels = objectives(snapshot, plan);
    for level in levels.iter_mut().filter(|level| level.kind == Kind::Cost) {
        level.bound = certificate.bound.0;
    }
    let written = |prices: &Vec<i128>| prices.iter().map(ToString::to_string).collect::<Vec<_>>();
    decision::Decision {
        format: decision::FORMAT,
        snapshot_sha256,
        models_sha256: BTreeMap::new(),
        time_limit_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
        work: limits.work,
        plan: StoredPlan {
            launches: plan.launches.clone(),
            assignments: plan.assignments.clone(),
            unplaced: plan.unplaced.clone(),
        },
        certificate: StoredCertificate {
            stage: certificate.stage,
            stop: certificate.stop,
            levels,
            proof: StoredProof {
                values: proof
                    .values
                    .iter()
                    .map(|(pod, nano)| PodValue { pod: snapshot.pods[*pod].key.to_string(), nano_usd_hour: *nano })
                    .collect(),
                theta: [proof.theta.0.to_string(), proof.theta.1.to_string()],
                resources: proof.resources.iter().map(ToString::to_string).collect(),
                prices: proof.prices.iter().map(written).collect(),
                node_prices: proof
                    .node_prices
                    .iter()
                    .map(|(node, prices)| NodePrices {
                        node: snapshot.nodes[*node].name.to_string(),
                        prices: written(prices),
                    })
                    .collect(),
                limit_prices: proof
                    .limit_prices
                    .iter()
                    .map(|LimitPrice { pool, limit, price }| decision::LimitPrice {
                        node_pool: snapshot.node_pools[*pool].name.to_string(),
                        limit: limit.to_string(),
                        price: price.to_string(),
                    })
                    .collect(),
                cells: proof.limits.cells,
                steps: proof.limits.steps,
                is_exhaustive: proof.is_exhaustive,
            },
        },
    }
}

#[cfg(test)]
mod tests;
