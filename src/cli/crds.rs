//! `packwright crds [NAME...]`

use std::io::Write;
use std::process::ExitCode;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::exit;
use crate::api::crds::{crds, to_yaml};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  packwright crds | kubectl apply --server-side -f -\n  packwright crds nodepools ec2nc"
)]
pub struct Args {
    /// Kinds, plurals, short names or full names; all kinds if none is given.
    names: Vec<String>,
}

/// Prints the definitions as YAML documents.
///
/// # Errors
/// A definition cannot be written as YAML, or standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let all = crds();
    for name in &args.names {
        if !all.iter().any(|crd| is_named(crd, name)) {
            let known: Vec<&str> = all.iter().map(|crd| crd.spec.names.plural.as_str()).collect();
            eprintln!("error: no kind is named '{name}': expected one of {}", known.join(", "));
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    }
    let mut out = std::io::stdout().lock();
    for crd in &all {
        if args.names.is_empty() || args.names.iter().any(|name| is_named(crd, name)) {
            write!(out, "---\n{}", to_yaml(crd)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_named(crd: &CustomResourceDefinition, name: &str) -> bool {
    let names = &crd.spec.names;
    let known = [Some(&names.kind), Some(&names.plural), names.singular.as_ref(), crd.metadata.name.as_ref()];
    known.into_iter().flatten().chain(names.short_names.iter().flatten()).any(|known| known.eq_ignore_ascii_case(name))
}
