//! Where instance types and prices come from: flags that several subcommands share.

use std::env;
use std::path::PathBuf;

use crate::catalog::{Catalog, Market, Reservations, SpotPrices};

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Catalogue")]
pub struct CatalogArgs {
    /// Region whose prices and zones are used; else that of AWS_DEFAULT_REGION, else the one that nodes are labelled with or else
    /// all zones of NodePools are of, else us-east-1. The controller of an account takes that of its profile or its instance
    /// instead of the latter ones.
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    region: Option<String>,
    /// A catalogue instead of the one that the node class stands for: 'kwok', or a JSON file.
    #[arg(long, value_name = "FILE|kwok")]
    pub catalog: Option<String>,
    /// The JSON of 'aws ec2 describe-spot-price-history'.
    #[arg(long, value_name = "FILE")]
    pub spot_prices: Option<PathBuf>,
    /// The JSON of 'aws ec2 describe-capacity-reservations': how much is free of the reservations that node classes select.
    #[arg(long, value_name = "FILE")]
    pub capacity_reservations: Option<PathBuf>,
}

/// A region and where its name comes from: a flag, a variable or the default.
pub struct Region {
    pub name: String,
    source: &'static str,
}

#[cfg(feature = "live")]
impl Region {
    /// The one that an account was connected to in.
    pub fn of_account(name: &str) -> Self {
        Self { name: name.to_owned(), source: "the region of the account" }
    }
}

impl CatalogArgs {
    /// That of the flag or its variable.
    #[cfg(feature = "live")]
    pub fn given_region(&self) -> Option<&str> {
        self.region.as_deref().filter(|name| !name.is_empty())
    }

    /// `of_input`: the one that the input speaks of.
    pub fn region(&self, of_input: Option<&str>) -> Region {
        if let Some(name) = self.region.clone() {
            let typed = env::args().any(|arg| arg.split('=').next() == Some("--region"));
            return Region { name, source: if typed { "--region" } else { "AWS_REGION" } };
        }
        let default = env::var("AWS_DEFAULT_REGION").ok().filter(|name| !name.is_empty());
        match (default, of_input) {
            (None, Some(name)) => {
                let source = "the region that nodes are labelled with, or zones of NodePools are of";
                Region { name: name.to_owned(), source }
            }
            (default, _) => {
                Region { name: default.unwrap_or_else(|| "us-east-1".to_owned()), source: "AWS_DEFAULT_REGION" }
            }
        }
    }

    /// The `--catalog` of the user, if one is given.
    ///
    /// # Errors
    /// One sentence that names the flag, the file and what is wrong.
    pub fn replacement(&self) -> Result<Option<Catalog>, String> {
        let Some(source) = &self.catalog else { return Ok(None) };
        if self.spot_prices.is_some() {
            return Err("--spot-prices: a catalogue of its own brings its own prices".to_owned());
        }
        if self.capacity_reservations.is_some() {
            return Err("--capacity-reservations: a catalogue of its own brings its own reservations".to_owned());
        }
        Catalog::from_option(source).map(Some).map_err(|error| format!("--catalog: {error}"))
    }

    /// EC2 as far as it is known without a connection, and what had to be assumed.
    ///
    /// # Errors
    /// One sentence that names the flag, the file and what is wrong.
    pub fn market(&self, region: &Region) -> Result<(Market, Vec<String>), String> {
        let (mut market, mut notes) =
            Market::offline(&region.name).map_err(|error| format!("{}: {error}", region.source))?;
        if let Some(path) = &self.spot_prices {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("--spot-prices: failed to read {shown}: {error}"))?;
            let spot = SpotPrices::parse(&text)
                .and_then(|spot| spot.of_region(&region.name))
                .map_err(|error| format!("--spot-prices: {shown}: {error}"))?;
            notes.retain(|note| !note.starts_with("spot prices are estimates"));
            notes.extend(spot.notes());
            market = market.with_spot_prices(spot);
        }
        if let Some(path) = &self.capacity_reservations {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("--capacity-reservations: failed to read {shown}: {error}"))?;
            let reservations =
                Reservations::parse(&text).map_err(|error| format!("--capacity-reservations: {shown}: {error}"))?;
            market = market.with_reservations(reservations);
        }
        Ok((market, notes))
    }
}
