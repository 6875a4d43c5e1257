//! Synthetic pods: sizes drawn uniformly, any number of pods in any number of groups.

use serde_json::{Value, json};

use super::{deployment, list};
use crate::random::SplitMix64;

/// What the pods of a mix are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 50 to 250 millicores, 1 to 2 GiB a core.
    Micro,
    /// A quarter to 4 cores, 2 to 8 GiB a core.
    Balanced,
    /// 4 to 16 cores, 2 to 8 GiB a core.
    Large,
    /// Half of the groups micro, half large.
    Bimodal,
}

pub const KINDS: [Kind; 4] = [Kind::Micro, Kind::Balanced, Kind::Large, Kind::Bimodal];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Balanced => "balanced",
            Self::Large => "large",
            Self::Bimodal => "bimodal",
        }
    }

    /// Millicores and MiB of a group.
    fn size(self, group: usize, random: &mut SplitMix64) -> (u64, u64) {
        let (cpu, per_core) = match self {
            Self::Micro => ((50, 250), (1_024, 2_048)),
            Self::Balanced => ((250, 4_000), (2_048, 8_192)),
            Self::Large => ((4_000, 16_000), (2_048, 8_192)),
            Self::Bimodal if group.is_multiple_of(2) => return Self::Micro.size(group, random),
            Self::Bimodal => return Self::Large.size(group, random),
        };
        let cpu = random.between(cpu.0, cpu.1);
        (cpu, (cpu * random.between(per_core.0, per_core.1)).div_ceil(1_000))
    }
}

/// `pods` pods as `groups` Deployments, each of at least one; the rest falls on them at random.
pub fn deployments(kind: Kind, pods: usize, groups: usize, seed: u64) -> Value {
    let mut random = SplitMix64(seed);
    let sizes: Vec<(u64, u64)> = (0..groups).map(|group| kind.size(group, &mut random)).collect();
    let mut replicas = vec![1_u64; groups];
    for _ in groups..pods {
        let last = u64::try_from(groups - 1).expect("a number of groups");
        replicas[usize::try_from(random.between(0, last)).expect("an index of a list")] += 1;
    }
    let of_group = |(group, ((cpu, memory), replicas)): (usize, (&(u64, u64), &u64))| {
        deployment(&format!("{}-{group}", kind.name()), *replicas, *cpu, *memory, json!({}))
    };
    let groups: Vec<Value> = sizes.iter().zip(&replicas).enumerate().map(of_group).collect();
    list(&groups)
}

/// One to four groups of one to eight pods: few enough for a handful of nodes.
pub fn small_batch(seed: u64) -> Value {
    let mut random = SplitMix64(seed);
    let groups = random.between(1, 4);
    let of_group = |group| {
        let cpu = random.between(100, 4_000);
        let memory = (cpu * random.between(1_024, 8_192)).div_ceil(1_000);
        deployment(&format!("small-{group}"), random.between(1, 8), cpu, memory, json!({}))
    };
    let groups: Vec<Value> = (0..groups).map(of_group).collect();
    list(&groups)
}
