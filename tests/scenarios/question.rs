//! A scenario's file -> Snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use packwright::catalog::{Catalog, Market, Reservations, SpotPrices};
use packwright::observe::{GatesByInput, LoadOptions, LoadOutcome, Objects, RawObject, build, read_text};
use packwright::settings::Settings;
use serde::Deserialize;
use serde_json::Value;

use super::expectation::Expectation;
use super::root;

/// The first document of a scenario's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The rule, in the words of who documents it.
    #[serde(rename = "rule")]
    _rule: String,
    /// Manifests of `shared` that belong to the question.
    #[serde(default)]
    uses: Vec<String>,
    /// `ec2`, `kwok`, or a file of `shared`.
    #[serde(default = "small")]
    catalog: String,
    /// A file of `shared`, for `ec2`.
    spot_prices: Option<String>,
    /// A file of `shared`, for `ec2`.
    capacity_reservations: Option<String>,
    #[serde(default)]
    settings: Settings,
    pub expect: Expectation,
}

fn small() -> String {
    "catalog.json".to_owned()
}

pub struct Question {
    pub scenario: Scenario,
    /// Name and text of each file.
    texts: Vec<(String, String)>,
}

impl Question {
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let (head, manifests) = text.split_once("\n---\n").unwrap_or((&text, ""));
        let scenario: Scenario =
            serde_saphyr::from_str(head).map_err(|error| format!("the scenario itself is wrong: {error}"))?;
        let mut texts = Vec::new();
        for name in &scenario.uses {
            let text = std::fs::read_to_string(shared(&format!("{name}.yaml")));
            texts.push((name.clone(), text.map_err(|error| format!("shared/{name}.yaml: {error}"))?));
        }
        texts.push(("in.yaml".to_owned(), manifests.to_owned()));
        Ok(Self { scenario, texts })
    }

    pub fn load(&self) -> LoadOutcome {
        self.load_as(|object| object)
    }

    /// With each object replaced by what is made of it.
    pub fn load_as(&self, made: impl Fn(Value) -> Value) -> LoadOutcome {
        let (mut raw, mut errors) = (Vec::new(), Vec::new());
        for (name, text) in &self.texts {
            read_text(name, text, &mut raw, &mut errors);
        }
        let raw = raw.into_iter().map(|RawObject { origin, value }| RawObject { origin, value: made(value) });
        let options = LoadOptions {
            settings: self.scenario.settings.clone(),
            region: Arc::from("us-east-1"),
            taken_at: "2026-01-05T12:00:00Z".parse().unwrap(),
            catalog: self.catalog(),
            assumptions: Vec::new(),
            gates: GatesByInput::AsConfigured,
        };
        let mut outcome = build(Objects::collect(raw), options);
        outcome.errors.append(&mut errors);
        outcome.errors.sort();
        outcome
    }

    fn catalog(&self) -> Catalog {
        match self.scenario.catalog.as_str() {
            "ec2" => {
                let (mut market, _) = Market::offline("us-east-1").unwrap();
                if let Some(file) = &self.scenario.spot_prices {
                    let text = std::fs::read_to_string(shared(file)).unwrap();
                    market = market.with_spot_prices(SpotPrices::parse(&text).unwrap());
                }
                if let Some(file) = &self.scenario.capacity_reservations {
                    let text = std::fs::read_to_string(shared(file)).unwrap();
                    market = market.with_reservations(Reservations::parse(&text).unwrap());
                }
                Catalog::Ec2(Box::new(market))
            }
            "kwok" => Catalog::from_option("kwok").unwrap(),
            file => Catalog::from_option(shared(file).to_str().unwrap()).unwrap(),
        }
    }
}

fn shared(name: &str) -> PathBuf {
    root().join("shared").join(name)
}
