//! The models of a decision as files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::host::Decision;
use crate::model::Problem;
use crate::observe::Snapshot;
use crate::solve::models::{self, Minimum, Model, ModelFile, Models, Stored};
use crate::verify::decision::{CARRIED, MODEL_FILES, MODELS, sha256};

/// Formats in which each model is written.
const ENDINGS: [&str; 2] = ["mps", "lp"];
/// An integer program gets no more time than this: what it comes to is for comparison, and most is found early.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Costs are whole micro-dollars: what differs by less is equal.
const HALF_A_MICRO_USD: f64 = 0.5;

/// Writes the models of a decision and `models.json` into a folder, which is made where it is missing; files of an earlier
/// decision are removed. Returns the hashes by name.
///
/// # Errors
/// One sentence that names the file which cannot be written.
pub fn write(
    folder: &Path,
    snapshot: &Snapshot,
    decided: &Decision,
    time: Duration,
) -> Result<BTreeMap<String, String>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in MODEL_FILES.into_iter().chain([CARRIED]) {
        let _ = fs::remove_file(folder.join(name)); // most are not there
    }
    let unplaced: Vec<usize> = decided.plan.unplaced.iter().map(|unplaced| unplaced.pod).collect();
    let problem = Problem::new(snapshot);
    let (mut hashes, mut all) = (BTreeMap::new(), Models { format: models::FORMAT, models: Vec::new() });
    for model in models::of(&problem, &unplaced, decided.searched.as_deref()) {
        let mut of_files = BTreeMap::new();
        for ending in ENDINGS {
            let name = format!("{}.{ending}", model.name);
            of_files.insert(name.clone(), written(folder, &name, &model)?);
        }
        if let Some(Minimum { objective, bound, .. }) = solved(folder, &model, time)? {
            all.models.push(Stored::of(&model, objective, bound));
            hashes.extend(of_files);
        } else {
            for name in of_files.keys() {
                let _ = fs::remove_file(folder.join(name));
            }
            eprintln!("warning: {}: HiGHS found no optimum of it, so it is not part of the decision", model.name);
        }
    }
    let path = folder.join(MODELS);
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = serde_json::to_string_pretty(&all).map_err(|error| fault(&error))?;
    fs::write(&path, &text).map_err(|error| fault(&error))?;
    hashes.insert(MODELS.to_owned(), sha256(&text));
    Ok(hashes)
}

/// Writes one file; returns its hash.
fn written(folder: &Path, name: &str, model: &Model) -> Result<String, String> {
    let path = folder.join(name);
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::File::create(&path).map_err(fault)?; // HiGHS does not say why it cannot
    models::write(&model.program, model.name, utf8(&path)?)?;
    Ok(sha256(&fs::read_to_string(&path).map_err(fault)?))
}

/// What HiGHS finds in the file, at least what was planned; the time limit is that of an integer program. `None` where it
/// finds no optimum of a linear one.
fn solved(folder: &Path, model: &Model, time: Duration) -> Result<Option<Minimum>, String> {
    let path = folder.join(format!("{}.mps", model.name));
    let planned: Vec<f64> = model.meaning.columns.iter().map(|column| f64::from(column.meaning.planned())).collect();
    let file = ModelFile::read(utf8(&path)?)?;
    if file.integers == 0 {
        return Ok(file.solve(None, Duration::MAX));
    }
    // nothing in it costs less than nothing
    let known = Minimum { objective: model.program.cost(&planned), bound: 0.0, values: planned.clone() };
    let found = file
        .solve(Some(&planned), time.min(MOST_TIME))
        .filter(|found| found.objective < known.objective + HALF_A_MICRO_USD);
    Ok(Some(found.map_or(known, |found| Minimum { bound: found.bound.max(0.0), ..found })))
}

/// HiGHS takes paths in UTF-8 alone.
pub(in crate::cli) fn utf8(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{}: the path is not UTF-8, which HiGHS needs", path.display()))
}
