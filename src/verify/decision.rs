//! A decision as it is stored: `docs/decision-directory.md` describes the files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::observe::Snapshot;
use crate::plan::failure::Failure;
use crate::plan::{Assignment, Draft, Launch, Plan, Stage, Stop, Unplaced};

/// What the files are called.
pub const SNAPSHOT: &str = "snapshot.json";
pub const DECISION: &str = "decision.json";
/// What the search started from; not there where it started from nothing.
pub const CARRIED: &str = "carried.json";
/// How far the search went.
pub const SEARCH: &str = "search.json";
pub const MODELS: &str = "models.json";
pub const MODEL_FILES: [&str; 4] = ["resource-lp.mps", "resource-lp.lp", "columns.mps", "columns.lp"];

/// The version of the format.
pub const FORMAT: u32 = 1;

/// `decision.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    pub format: u32,
    /// Of the file `snapshot.json`, in hexadecimal.
    pub snapshot_sha256: String,
    /// Of `models.json` and of every file of a model, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files_sha256: BTreeMap<String, String>,
    pub time_limit_ms: u64,
    /// How far the integer program went at most.
    pub work: StoredWork,
    pub plan: StoredPlan,
    pub certificate: StoredCertificate,
}

/// How far the integer program goes at most: rounds of column generation, rounds at each step of a dive, cells of a table
/// by dimension, steps of a search for one node, steps of the search that tries everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredWork {
    pub pace: StoredPace,
    pub rounds: usize,
    pub dive_rounds: usize,
    pub cells: [usize; 2],
    pub search_steps: usize,
    pub exact_steps: usize,
    pub ways: usize,
}

/// What shares the work out: the time that is left, or the limits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredPace {
    Time,
    Work,
}

/// A plan; pods, pools and nodes are indices into the Snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredPlan {
    pub launches: Vec<Launch>,
    pub assignments: Vec<Assignment>,
    pub unplaced: Vec<Unplaced>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCertificate {
    pub stage: Stage,
    pub stop: Stop,
    /// What broke down, where `stop` is [`Stop::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// In the order in which plans are compared.
    pub levels: Vec<Level>,
    /// Of the bound on cost.
    pub proof: StoredProof,
    /// Of the pods that are left, where more are left by every plan than no node can hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_proofs: Vec<StoredLeftProof>,
}

/// Why no plan leaves fewer pods of a priority, leaving no more of the higher ones: the bound on a cost where nothing costs
/// anything but a dollar an hour for every pod left of the priority.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredLeftProof {
    pub priority: i32,
    pub proof: StoredProof,
}

/// One of the levels by which plans are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    pub kind: Kind,
    /// Pods, weight of preferences, or micro-dollars an hour.
    pub objective: i64,
    /// No plan with the same objectives on the levels before has less.
    pub bound: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pods of a priority that are left.
    Unplaced {
        priority: i32,
    },
    /// Weight of what the placed pods would have preferred.
    Preferences,
    Cost,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unplaced { priority } => write!(f, "pods left of priority {priority}"),
            Self::Preferences => f.write_str("preferences violated"),
            Self::Cost => f.write_str("cost, micro-dollars an hour"),
        }
    }
}

/// Why no plan costs less: what pods are worth, and prices of room that show that no node holds pods worth more than it
/// costs times theta. Integers that may exceed 64 bits are decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredProof {
    pub values: Vec<PodValue>,
    /// (numerator, denominator)
    pub theta: [String; 2],
    /// Names of the resources, in the order of prices.
    pub resources: Vec<String>,
    /// 10^-18 dollars a unit, by resource.
    pub prices: Vec<Vec<String>>,
    pub node_prices: Vec<NodePrices>,
    /// Limits that are worth something.
    pub limit_prices: Vec<LimitPrice>,
    /// Cells of a table by dimension.
    pub cells: [usize; 2],
    /// Steps of the search of one shape.
    pub steps: usize,
    /// Every packing that could cost less than the bound was tried.
    pub is_exhaustive: bool,
}

/// What a pod is worth, and every other pod of its namespace with an equal template.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodValue {
    /// `namespace/name`
    pub pod: String,
    /// Of a pod that is spread over zones: in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    pub nano_usd_hour: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePrices {
    pub node: String,
    pub prices: Vec<String>,
}

/// What a unit of a limit is worth: of a resource in its base unit, of `nodes` one, of the spend cap a micro-dollar.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitPrice {
    pub node_pool: String,
    /// As `spec.limits` writes it.
    pub limit: String,
    /// 10^-18 dollars an hour.
    pub price: String,
}

impl Decision {
    #[must_use]
    pub fn draft(&self) -> Plan<Draft> {
        let StoredPlan { launches, assignments, unplaced } = self.plan.clone();
        Plan::draft(launches, assignments, unplaced)
    }
}

/// The hash by which a decision names its Snapshot.
#[must_use]
pub fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

/// Reads a decision directory.
///
/// # Errors
/// One sentence that names the file, and the field where there is one: it cannot be read, does not parse, is of another
/// format, or another file is not the one that the decision was written with.
pub fn read(folder: &Path) -> Result<(Snapshot, Decision), String> {
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (snapshot_text, decision_text) = (text(SNAPSHOT)?, text(DECISION)?);
    let decision: Decision = parsed(folder, DECISION, &decision_text)?;
    if decision.format != FORMAT {
        return Err(format!("{}: format {} is not {FORMAT}", folder.join(DECISION).display(), decision.format));
    }
    if sha256(&snapshot_text) != decision.snapshot_sha256 {
        let path = folder.join(SNAPSHOT);
        return Err(format!(
            "{}: not the Snapshot that the decision was made for: its SHA-256 differs",
            path.display()
        ));
    }
    for name in [CARRIED, SEARCH, MODELS].into_iter().chain(MODEL_FILES) {
        if folder.join(name).exists() && !decision.files_sha256.contains_key(name) {
            return Err(format!("{}: not a file of this decision: it has no SHA-256", folder.join(name).display()));
        }
    }
    for (name, hash) in &decision.files_sha256 {
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(format!("{}: files_sha256: {name:?} is no name of a file", folder.join(DECISION).display()));
        }
        if sha256(&text(name)?) != *hash {
            let path = folder.join(name);
            return Err(format!(
                "{}: not the file that the decision was written with: its SHA-256 differs",
                path.display()
            ));
        }
    }
    Ok((parsed(folder, SNAPSHOT, &snapshot_text)?, decision))
}

/// Reads a file of a decision directory.
///
/// # Errors
/// One sentence that names the file, and the field where there is one: it does not parse.
pub fn parsed<'t, T: Deserialize<'t>>(folder: &Path, name: &str, text: &'t str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| format!("{}: {}: {}", folder.join(name).display(), error.path(), error.inner()))
}

/// Writes a file of a decision directory that is there, and returns its hash.
///
/// # Errors
/// One sentence that names the file that cannot be written.
pub fn put(folder: &Path, name: &str, content: &impl Serialize) -> Result<String, String> {
    let path = folder.join(name);
    let fault = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let text = serde_json::to_string(content).map_err(|error| fault(&error))?;
    std::fs::write(&path, &text).map_err(|error| fault(&error))?;
    Ok(sha256(&text))
}

/// Writes a decision directory; the folder is made where it is missing.
///
/// # Errors
/// One sentence that names the file that cannot be written.
pub fn write(folder: &Path, snapshot: &Snapshot, decision: impl FnOnce(String) -> Decision) -> Result<(), String> {
    let fault = |path: &Path, error: &dyn fmt::Display| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| fault(folder, &error))?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| fault(&path, &error))
    };
    let snapshot = serde_json::to_string(snapshot).map_err(|error| fault(&folder.join(SNAPSHOT), &error))?;
    let decision = decision(sha256(&snapshot));
    let decision = serde_json::to_string_pretty(&decision).map_err(|error| fault(&folder.join(DECISION), &error))?;
    put(SNAPSHOT, &snapshot)?;
    put(DECISION, &decision)
}
