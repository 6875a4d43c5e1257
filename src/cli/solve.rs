//! `packwright solve DIR`

mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::exit;
use super::export::utf8;
use super::plan::duration;
use super::table::Output;
use crate::solve::models::{self, ColumnMeaning, ModelFile, Models, Stored};
use crate::verify::decision::{self, MODELS};

const EXAMPLES: &str = "\
Examples:
  packwright export -f examples/getting-started --out decision && packwright solve decision
  packwright solve decision --model columns -o json | jq '.models[].used'

Exit codes, the first that applies:
  1  internal failure
  2  the directory cannot be read, its files are not those of one decision, or it has no such model
  5  a model comes to more than its stored objective, to less than its stored bound, or to nothing within the time
  0  every model comes to its stored objective";

/// Solve the models of a stored decision again, from their files, and compare what they come to with what is stored.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The decision directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Only this model.
    #[arg(long, value_enum)]
    model: Option<Which>,
    /// For each model; an integer program that is not solved by then is judged by the best that was found.
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION")]
    time_limit: Duration,
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Prices of resources, from which the bound follows.
    ResourceLp,
    /// The integer program over the columns of the search.
    Columns,
}

/// What became of a model.
#[derive(Debug, Serialize)]
struct Solved {
    name: String,
    rows: usize,
    columns: usize,
    integers: usize,
    /// Dollars an hour: of the resource LP the bound that it gives; `None` where nothing was found.
    objective_usd_hour: Option<f64>,
    stored_usd_hour: f64,
    /// What nothing can be better than.
    bound_usd_hour: Option<f64>,
    /// Objective less what is stored.
    difference_usd_hour: Option<f64>,
    agrees: bool,
    /// Of the integer program: columns that are used, in the order of the model.
    used: Vec<Used>,
}

/// A column that is used.
#[derive(Debug, Serialize)]
struct Used {
    column: String,
    times: u32,
    #[serde(flatten)]
    meaning: ColumnMeaning,
}

#[derive(Debug, Serialize)]
struct Report {
    models: Vec<Solved>,
}

/// Solves and prints.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let report = match report(args) {
        Ok(report) => report,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        Output::Table => writeln!(out, "{}", table::listed(&report.models))?,
    }
    for model in report.models.iter().filter(|model| !model.agrees) {
        eprintln!("error: {}", disagreement(model));
    }
    let agrees = report.models.iter().all(|model| model.agrees);
    Ok(ExitCode::from(if agrees { exit::SUCCESS } else { exit::UNPROVEN }))
}

fn report(args: &Args) -> Result<Report, String> {
    let folder = &args.directory;
    let (_, decision) = decision::read(folder)?;
    let path = folder.join(MODELS);
    if !decision.files_sha256.contains_key(MODELS) {
        return Err(format!("{}: the decision was written without models", path.display()));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let stored: Models = decision::parsed(folder, MODELS, &text)?;
    if stored.format != models::FORMAT {
        return Err(format!("{}: format {} is not {}", path.display(), stored.format, models::FORMAT));
    }
    let wanted = args.model.and_then(|model| model.to_possible_value());
    let wanted = |model: &&Stored| wanted.as_ref().is_none_or(|wanted| wanted.get_name() == model.name);
    let models: Vec<&Stored> = stored.models.iter().filter(wanted).collect();
    if models.is_empty() && args.model.is_some() {
        let names: Vec<&str> = stored.models.iter().map(|model| model.name.as_str()).collect();
        return Err(format!("{}: no such model; there are: {}", path.display(), names.join(", ")));
    }
    for model in &models {
        let file = format!("{}.mps", model.name);
        if !decision.files_sha256.contains_key(&file) {
            return Err(format!("{}: {file} is not part of the decision", path.display()));
        }
    }
    let solved = models.into_iter().map(|model| solved(folder, model, args.time_limit));
    Ok(Report { models: solved.collect::<Result<_, _>>()? })
}

fn solved(folder: &Path, stored: &Stored, time: Duration) -> Result<Solved, String> {
    let path = folder.join(format!("{}.mps", stored.name));
    let file = ModelFile::read(utf8(&path)?)?;
    let meaning = &stored.meaning;
    let (columns, rows, integers) = (file.columns, file.rows, file.integers);
    if (columns, rows) != (meaning.columns.len(), meaning.rows.len()) {
        return Err(format!("{}: its rows and columns are not those of {MODELS}", path.display()));
    }
    for (index, column) in meaning.columns.iter().enumerate() {
        if file.column(&column.name) != Some(index) {
            return Err(format!("{}: {} is not the column that {MODELS} says", path.display(), column.name));
        }
    }
    let start: Vec<f64> = meaning.columns.iter().map(|column| f64::from(column.meaning.planned())).collect();
    let found = file.solve(Some(&start), time);
    let usd = |amount: f64| meaning.unit.usd(meaning.unit.rounded(amount));
    let objective = found.as_ref().map(|found| usd(found.objective));
    let tolerance = meaning.unit.tolerance(stored.objective);
    let agrees = found
        .as_ref()
        .is_some_and(|found| (stored.bound - tolerance..=stored.objective + tolerance).contains(&found.objective));
    let used = found.iter().filter(|_| integers > 0).flat_map(|found| meaning.columns.iter().zip(&found.values));
    Ok(Solved {
        name: stored.name.clone(),
        rows,
        columns,
        integers,
        objective_usd_hour: objective,
        stored_usd_hour: usd(stored.objective),
        bound_usd_hour: found.as_ref().map(|found| usd(found.bound)).filter(|bound| bound.is_finite()),
        difference_usd_hour: objective.map(|objective| objective - usd(stored.objective)),
        agrees,
        used: used.filter_map(|(column, value)| used_column(&column.name, &column.meaning, *value)).collect(),
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole and not negative, as near as HiGHS comes to it
fn used_column(name: &str, meaning: &ColumnMeaning, value: f64) -> Option<Used> {
    let times = value.round() as u32;
    (times > 0).then(|| Used { column: name.to_owned(), times, meaning: meaning.clone() })
}

fn disagreement(model: &Solved) -> String {
    let Solved { name, stored_usd_hour, objective_usd_hour, .. } = model;
    match objective_usd_hour {
        Some(found) => format!("{name}: stored {stored_usd_hour:.6} dollars an hour, found {found:.6}"),
        None => format!("{name}: stored {stored_usd_hour:.6} dollars an hour, nothing found within the time"),
    }
}
