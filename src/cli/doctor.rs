//! `packwright doctor -f PATH...|--kubeconfig|--context NAME`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::catalog::CatalogArgs;
#[cfg(feature = "live")]
use super::cluster::{ClusterArgs, Waiting};
#[cfg(feature = "live")]
use super::controller::Placement;
use super::exit;
use super::settings::SettingsArgs;
use super::table::Output;
use super::words::counted;
use crate::doctor::server::Server;
use crate::doctor::{Cluster, Finding, Level, examine};
use crate::observe::{self, LoadOptions, NotRead, Objects, RawObject, region_of};

const EXAMPLES: &str = "\
Examples:
  packwright doctor --context production
  packwright doctor --context production --service-account karpenter
  packwright doctor -f manifests/ -o json | jq '.findings[] | select(.level == \"error\")'

Exit codes, the first that applies:
  1  internal failure
  2  a refused option, or nothing could be read
  6  something is found that does not work like this (an error)
  0  otherwise, also with warnings";

/// Say what is to be dealt with before Packwright is installed in a cluster, and what to do about it: versions, kinds and whose they
/// are, rights, the queue of interruptions, tags, limits, disruption budgets, daemonsets, and what Karpenter would ignore after moving
/// back.
///
/// Reads a live cluster or manifests; changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(id = "examined", required = true, multiple = true)]
#[cfg_attr(not(feature = "live"), group(args = ["filename"]))]
#[cfg_attr(feature = "live", group(args = ["filename", "kubeconfig", "context"]))]
pub struct Args {
    /// Files, directories, or - for standard input. What only a live cluster knows is left out then.
    #[arg(short, long = "filename", value_name = "PATH")]
    #[cfg_attr(feature = "live", arg(conflicts_with_all = ["kubeconfig", "context"]))]
    filename: Vec<PathBuf>,
    #[cfg(feature = "live")]
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Where the controller is, or will be.
    #[cfg(feature = "live")]
    #[arg(long, default_value = "kube-system", value_name = "NAME")]
    namespace: String,
    /// Ask for the rights of this ServiceAccount of the namespace, to be the controller; else for yours, to install it.
    #[arg(long, value_name = "NAME", conflicts_with = "filename")]
    #[cfg(feature = "live")]
    service_account: Option<String>,
    /// How that controller is to place pods: each way needs other rights.
    #[cfg(feature = "live")]
    #[arg(long, value_enum, default_value = "Reserve", requires = "service_account", value_name = "MODE")]
    placement: Placement,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[arg(short, long, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
}

/// The JSON of the findings.
#[derive(Serialize)]
struct Printed<'f> {
    errors: usize,
    warnings: usize,
    findings: &'f [Finding],
}

/// What was read, and what else a live cluster says of itself.
struct Read {
    objects: Vec<RawObject>,
    unreadable: Vec<observe::InputError>,
    server: Option<Server>,
}

/// Examines and prints.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let refuse = |sentence: &str| {
        eprintln!("error: {sentence}");
        Ok(ExitCode::from(exit::INVALID_INPUT))
    };
    let (settings, gates) = match args.settings.settings() {
        Ok(settings) => settings,
        Err(sentence) => return refuse(&sentence),
    };
    let Read { objects: raw, unreadable, server } = match args.read() {
        Ok(read) => read,
        Err(sentence) => return refuse(&sentence),
    };
    if raw.is_empty() && server.is_none() {
        for error in &unreadable {
            eprintln!("error: {error}");
        }
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    let region = args.catalog.region(region_of(&raw).as_deref());
    // what is assumed of prices bears on nothing here
    let catalog = match super::plan::catalog(&args.catalog, &region) {
        Ok((catalog, _)) => catalog,
        Err(sentence) => return refuse(&sentence),
    };
    let objects = Objects::collect(raw.clone());
    let region = Arc::from(region.name);
    let assumptions = Vec::new();
    let options = LoadOptions { settings, region, taken_at: Timestamp::now(), catalog, assumptions, gates };
    let loaded = observe::of_read(raw, unreadable, options);
    let cluster = Cluster {
        objects: &objects,
        snapshot: &loaded.snapshot,
        errors: &loaded.errors,
        notes: &loaded.notes,
        server: server.as_ref(),
    };
    let findings = examine(&cluster);
    let count = |level: Level| findings.iter().filter(|of| of.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => {
            writeln!(out, "{}", serde_json::to_string_pretty(&Printed { errors, warnings, findings: &findings })?)?;
        }
        Output::Table => {
            write!(out, "{}", listed(&findings))?;
            writeln!(out, "\n{}, {}", counted(errors, "error"), counted(warnings, "warning"))?;
        }
    }
    Ok(ExitCode::from(if errors > 0 { exit::UNWELL } else { exit::SUCCESS }))
}

impl Args {
    fn read(&self) -> Result<Read, String> {
        #[cfg(feature = "live")]
        if self.cluster.is_given() {
            return self.read_live();
        }
        if let Some(missing) = self.filename.iter().find(|path| path.as_os_str() != "-" && !path.exists()) {
            return Err(format!("{}: no such file or directory", missing.display()));
        }
        let (mut objects, mut unreadable) = observe::read_paths(&self.filename);
        let (before, edited) = NotRead::take(&mut objects);
        unreadable.extend(edited);
        unreadable.extend(before.errors());
        Ok(Read { objects, unreadable, server: None })
    }

    #[cfg(feature = "live")]
    fn read_live(&self) -> Result<Read, String> {
        use crate::cluster::examine::{Account, examine};
        let as_controller = |name| Account::ServiceAccount(name, self.placement.mode());
        let account = self.service_account.clone().map_or(Account::Own, as_controller);
        let waiting = Waiting::default();
        let read = examine(&self.cluster.target(), &self.namespace, &account, &|progress| waiting.show(&progress));
        waiting.end();
        let (reading, server) = read.map_err(|error| error.to_string())?;
        Ok(Read { objects: reading.objects, unreadable: reading.not_read.errors(), server: Some(server) })
    }
}

/// A line a finding, and one for what to do about it.
fn listed(findings: &[Finding]) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|of| of.check.len()).max().unwrap_or(0);
    for Finding { level, check, object, says, remedy } in findings {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
            Level::Ok => "ok",
        };
        let about = if object.is_empty() { String::new() } else { format!("{object}: ") };
        let _ = writeln!(text, "{level:<8} {check:<width$} {about}{says}");
        if !remedy.is_empty() {
            let _ = writeln!(text, "{:<8} {:<width$} -> {remedy}", "", "");
        }
    }
    text
}
