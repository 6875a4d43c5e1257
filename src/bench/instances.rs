//! The instances: what is pending, which pools there are, and what can be bought.
//!
//! All are manifests that go through the loader like anybody's; those that are generated come from fixed seeds.

mod cluster;
mod mixes;
mod pools;
mod random;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::karpenter_mix;
use crate::catalog::{Catalog, Market, file};
use crate::observe::{self, GatesByInput, LoadOptions, Snapshot};
use crate::settings::Settings;

use pools::Pools;
pub use random::question;

const OPENB: &str = include_str!("../../benchmarks/instances/openb/deployments.yaml");
const OPENB_POOLS: &str = include_str!("../../benchmarks/instances/openb/pools.yaml");
const WIDE: &str = include_str!("../../benchmarks/instances/karpenter-wide/deployments.yaml");
const WIDE_POOLS: &str = include_str!("../../benchmarks/instances/karpenter-wide/pools.yaml");
const MIX_POOLS: &str = include_str!("../../benchmarks/instances/karpenter-mix/pools.yaml");
const INFLATE: [&str; 3] = [
    include_str!("../../examples/getting-started/inflate.yaml"),
    include_str!("../../examples/getting-started/node-pool.yaml"),
    include_str!("../../examples/getting-started/node-class.yaml"),
];

const SEED: u64 = 42;

/// A question that is always the same.
pub struct Instance {
    pub name: String,
    /// What it is like, in a line.
    pub about: String,
    /// One of those that are measured unless others are asked for.
    pub is_core: bool,
    source: Source,
}

enum Source {
    /// Manifests, and whether the types are those of Karpenter's benchmark.
    Texts(Box<dyn Fn() -> Vec<String>>, bool),
    /// Several small questions, measured together.
    Batches(Box<dyn Fn(u64) -> Vec<String>>, u64),
}

impl Instance {
    fn new(name: impl Into<String>, about: impl Into<String>, texts: impl Fn() -> Vec<String> + 'static) -> Self {
        let source = Source::Texts(Box::new(texts), false);
        Self { name: name.into(), about: about.into(), is_core: true, source }
    }

    fn rarely(self) -> Self {
        Self { is_core: false, ..self }
    }

    /// How many questions it is.
    #[must_use]
    pub fn batches(&self) -> u64 {
        match &self.source {
            Source::Texts(..) => 1,
            Source::Batches(_, count) => *count,
        }
    }

    /// One of the questions.
    ///
    /// # Errors
    /// A manifest of the instance is refused: a bug of ours.
    pub fn snapshot(&self, batch: u64) -> Result<Arc<Snapshot>, String> {
        match &self.source {
            Source::Texts(texts, fake) => load(&self.name, &texts(), *fake),
            Source::Batches(texts, _) => load(&self.name, &texts(batch), false),
        }
    }
}

fn load(name: &str, texts: &[String], fake: bool) -> Result<Arc<Snapshot>, String> {
    let catalog = if fake {
        let types = file::parse(&karpenter_mix::catalog().to_string()).map_err(|error| error.to_string())?;
        Catalog::Fixed(types)
    } else {
        let (market, _) = Market::offline("us-east-1").map_err(|error| error.to_string())?;
        Catalog::Ec2(Box::new(market))
    };
    let options = LoadOptions {
        settings: Settings { estimate_margin_permille: 0, ..Settings::default() },
        region: Arc::from("us-east-1"),
        taken_at: Timestamp::UNIX_EPOCH,
        catalog,
        assumptions: Vec::new(),
        gates: GatesByInput::TurnOn,
    };
    let (mut raw, mut errors) = (Vec::new(), Vec::new());
    for text in texts {
        observe::read_text(name, text, &mut raw, &mut errors);
    }
    let loaded = observe::of_read(raw, errors, options);
    match loaded.errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(loaded.snapshot),
    }
}

/// Every instance, in the order in which they are measured.
#[must_use]
pub fn all() -> Vec<Instance> {
    let mut all = vec![Instance::new("inflate", "the getting-started exercise", || INFLATE.map(String::from).to_vec())];
    all.extend(small_batches());
    all.extend(wide());
    all.extend(openb());
    all.extend(mixes());
    for (pods, is_core) in [(1_000, true), (10_000, true), (20_000, true)] {
        let about = format!("Karpenter's scheduling benchmark, {pods} pods that all differ");
        let texts = move || vec![MIX_POOLS.to_owned(), karpenter_mix::pods(pods, SEED).to_string()];
        let source = Source::Texts(Box::new(texts), true);
        all.push(Instance { name: format!("karpenter-mix-{pods}"), about, is_core, source });
    }
    all.extend(clusters());
    all
}

fn small_batches() -> Vec<Instance> {
    let batch = |name: &str, pools: Pools| Instance {
        name: name.to_owned(),
        about: format!("200 batches of 1 to 30 pods, {}", pools.about()),
        is_core: true,
        source: Source::Batches(
            Box::new(move |seed| vec![pools.manifests().to_string(), mixes::small_batch(seed).to_string()]),
            200,
        ),
    };
    vec![batch("small-on-demand", Pools::OnDemand), batch("small-spot", Pools::Spot)]
}

fn wide() -> Vec<Instance> {
    let own_types = Instance::new("wide-kwok", "Karpenter's wide scenario on its kwok types", || {
        vec![WIDE.to_owned(), WIDE_POOLS.to_owned()]
    });
    let pools = [Pools::UpTo8, Pools::OneGeneration, Pools::OnDemand, Pools::Spot, Pools::EverySize];
    let others = pools.into_iter().map(|pools| {
        let about = format!("Karpenter's wide scenario, {}", pools.about());
        let texts = move || vec![WIDE.to_owned(), pools.manifests().to_string()];
        Instance::new(format!("wide-{}", pools.name()), about, texts)
    });
    std::iter::once(own_types).chain(others).collect()
}

fn openb() -> Vec<Instance> {
    let all = || vec![OPENB.to_owned(), OPENB_POOLS.to_owned()];
    let of = |wants_gpus: bool| {
        move || vec![documents(OPENB, |text| text.contains("nvidia.com/gpu") == wants_gpus), OPENB_POOLS.to_owned()]
    };
    let scaled = || vec![scale_replicas(OPENB, 100_000), OPENB_POOLS.to_owned()];
    vec![
        Instance::new("openb", "8,152 pods of a production GPU cluster in 112 groups", all),
        Instance::new("openb-cpu", "those without GPUs", of(false)),
        Instance::new("openb-gpu", "those with GPUs", of(true)),
        Instance::new("openb-100k", "openb with more replicas: 100,058 pods", scaled),
    ]
}

fn mixes() -> Vec<Instance> {
    let mut all = Vec::new();
    for kind in mixes::KINDS {
        for pools in [Pools::OnDemand, Pools::Spot] {
            for pods in [100, 1_000, 10_000, 100_000] {
                for groups in [10, 100, 1_000] {
                    if groups > pods {
                        continue;
                    }
                    let about = format!("{pods} {} pods in {groups} groups, {}", kind.name(), pools.about());
                    let texts = move || {
                        vec![pools.manifests().to_string(), mixes::deployments(kind, pods, groups, SEED).to_string()]
                    };
                    let name = format!("{}-{pods}-{groups}-{}", kind.name(), pools.name());
                    let instance = Instance::new(name, about, texts);
                    let is_core = matches!(pods, 1_000 | 10_000) && groups == 100;
                    all.push(if is_core { instance } else { instance.rarely() });
                }
            }
        }
    }
    all
}

fn clusters() -> Vec<Instance> {
    let of = |name: &str, about: &str, extras: cluster::Extras| {
        let about = format!("1,000 workloads spread over zones, 500 nodes, 3 limited pools{about}");
        Instance::new(name, about, move || {
            cluster::manifests(SEED, extras).into_iter().map(|v| v.to_string()).collect()
        })
    };
    vec![
        of("workloads", "", cluster::Extras::default()),
        of("workloads-hosts", ", a fifth alone on their hosts", cluster::Extras { hosts: true, daemons: false }),
        of("workloads-daemons", ", with daemonsets", cluster::Extras { hosts: false, daemons: true }),
    ]
}

/// The documents of a YAML stream that are wanted.
fn documents(text: &str, wanted: impl Fn(&str) -> bool) -> String {
    text.split("\n---\n").filter(|document| wanted(document)).collect::<Vec<_>>().join("\n---\n")
}

/// The Deployments with their replicas multiplied so that they come to about `pods` in all.
fn scale_replicas(deployments: &str, pods: usize) -> String {
    let replicas = |line: &str| line.trim().strip_prefix("replicas: ").and_then(|n| n.parse::<usize>().ok());
    let total: usize = deployments.lines().filter_map(replicas).sum();
    let scaled = deployments.lines().map(|line| match replicas(line) {
        Some(n) => line.replace(&n.to_string(), &(n * pods).div_ceil(total).to_string()),
        None => line.to_owned(),
    });
    scaled.collect::<Vec<_>>().join("\n")
}

/// A `List` of objects.
fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A Deployment; `spec` is that of its pods without containers.
fn deployment(name: &str, replicas: u64, cpu_milli: u64, memory_mib: u64, mut spec: Value) -> Value {
    let requests = json!({"cpu": format!("{cpu_milli}m"), "memory": format!("{memory_mib}Mi")});
    spec["containers"] = json!([{"name": "main", "image": "pause", "resources": {"requests": requests}}]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "bench"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    })
}
