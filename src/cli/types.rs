//! `packwright types`: searches the catalogue.

mod known;
mod listing;
pub(super) mod selector;

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;

use self::listing::Listed;
use super::catalog::CatalogArgs;
use super::exit;
use super::settings::{NodeSettingsArgs, whole};
use crate::catalog::node_class::AmiFamily;
use crate::catalog::{Catalog, NodeClassFacts, Reservations};
use crate::requirements::{Requirements, Undefined};

const EXAMPLES: &str = "\
Requirements are label selectors joined by commas: 'k in (a,b)', 'k notin (a,b)', 'k', '!k', 'k=v', 'k!=v', 'k>n', 'k>=n', \
'k<n', 'k<=n'. Labels of karpenter.k8s.aws may be written without the domain.

Examples:
  packwright types m5.large c7g.large
  packwright types --requirements 'instance-family in (c7g, m7g), instance-cpu > 4'
  packwright types --requirements 'instance-gpu-count > 0, arch=amd64' --sort price --limit 10 -o wide
  packwright types --catalog kwok --sort cpu
  aws ec2 describe-spot-price-history --start-time \"$(date -u +%FT%TZ)\" --product-descriptions Linux/UNIX > spot.json
  packwright types --spot-prices spot.json --zone us-east-1a --sort price

Exit codes, the first that applies:
  1  internal failure
  2  a type, label or option that is not known
  0  otherwise, also where no type satisfies the requirements";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only these instance types.
    #[arg(value_name = "TYPE")]
    names: Vec<String>,
    /// Only types whose labels and offerings satisfy these requirements.
    #[arg(long, short = 'r', value_name = "SELECTOR")]
    requirements: Option<String>,
    #[command(flatten)]
    catalog: CatalogArgs,
    /// Only offerings in this zone; may be repeated.
    #[arg(long, value_name = "ZONE")]
    zone: Vec<String>,
    /// The image family, which decides reserves and the number of pods.
    #[arg(long, default_value = "AL2023")]
    ami_family: String,
    #[arg(long, value_enum, default_value = "name")]
    sort: Sort,
    /// Show at most this many types.
    #[arg(long, value_parser = whole::<usize>)]
    limit: Option<usize>,
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    settings: NodeSettingsArgs,
}

/// The order of the types; equal ones follow by name. Price is the cheapest available offering.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    Price,
    Cpu,
    Memory,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// Prints the types that satisfy the requirements, and on standard error what had to be assumed.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (listed, notes) = match search(args) {
        Ok(found) => found,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::from(exit::INVALID_INPUT));
        }
    };
    for note in notes {
        eprintln!("note: {note}");
    }
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table | Output::Wide => {
            writeln!(out, "{}", listing::table(&listed, args.output == Output::Wide))?;
        }
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&listed)?)?,
        Output::Yaml => write!(out, "{}", serde_saphyr::to_string(&listed)?)?,
        Output::Name => listed.iter().try_for_each(|l| writeln!(out, "{}", l.instance_type.name))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The types, in order, and notes; or one sentence that says what is wrong with the input.
fn search(args: &Args) -> Result<(Vec<Listed>, Vec<String>), String> {
    let requirements = match &args.requirements {
        Some(text) => selector::parse(text).map_err(|reason| format!("--requirements: {reason}"))?,
        None => Requirements::new(),
    };
    let (catalog, mut notes) = match args.catalog.replacement()? {
        Some(catalog) => (catalog, Vec::new()),
        None => args
            .catalog
            .market(&args.catalog.region(None))
            .map(|(market, notes)| (Catalog::Ec2(Box::new(market)), notes))?,
    };
    let ami_family = AmiFamily::parse(&args.ami_family)
        .ok_or_else(|| format!("--ami-family: '{}' is not an AMI family, such as AL2023", args.ami_family))?;
    // there is no node class to select among the reservations, so all are shown
    let reservations = match &catalog {
        Catalog::Ec2(market) => market.reservations().map(Reservations::facts).unwrap_or_default(),
        Catalog::Fixed(_) => Vec::new(),
    };
    let class = NodeClassFacts { ami_family, reservations, ..NodeClassFacts::default() };
    let mut listed = Vec::new();
    let types = catalog.instance_types(&class, &args.settings.settings());
    known::check(args, &requirements, &types)?;
    for mut instance_type in types {
        if !args.names.is_empty() && !args.names.iter().any(|name| **name == *instance_type.name) {
            continue;
        }
        if instance_type.requirements.intersects(&requirements).is_err() {
            continue; // whatever its offerings are
        }
        instance_type.offerings.retain(|offering| {
            let in_zone = args.zone.is_empty() || args.zone.iter().any(|zone| **zone == *offering.zone);
            let is_wanted = || {
                let mut node = instance_type.requirements.clone();
                node.add_all(&offering.requirements());
                node.compatible(&requirements, Undefined::Refuse).is_ok()
            };
            in_zone && (requirements.is_empty() || is_wanted())
        });
        if !instance_type.offerings.is_empty() {
            listed.push(Listed::new(instance_type));
        }
    }
    if listed.is_empty() {
        notes.push("no instance type satisfies the requirements".to_owned());
    }
    listed.sort_by(|a, b| a.order(b, args.sort));
    listed.truncate(args.limit.unwrap_or(usize::MAX));
    Ok((listed, notes))
}
