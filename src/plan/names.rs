//! Names of the claims of a plan: `<pool>-` and five characters, as the reference's generated names look.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::observe::Snapshot;

/// The alphabet of generated Kubernetes names: no vowels, so no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const LENGTH: usize = 5;

/// Names already in use.
pub(super) struct Names(BTreeSet<Arc<str>>);

impl Names {
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut used: BTreeSet<Arc<str>> = snapshot.nodes.iter().map(|node| node.name.clone()).collect();
        used.extend(snapshot.nodes.iter().filter_map(|node| node.claim.clone()));
        Self(used)
    }

    /// A name derived from the pool and the claim's pods: equal plans have equal names.
    pub fn claim(&mut self, pool: &str, pods: &[usize]) -> Arc<str> {
        let mut hash = fnv1a(pool.bytes());
        for pod in pods {
            hash = pod.to_le_bytes().into_iter().fold(hash, step);
        }
        loop {
            let name: Arc<str> = format!("{pool}-{}", suffix(hash)).into();
            if self.0.insert(name.clone()) {
                return name;
            }
            hash = step(hash, 0);
        }
    }
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

fn suffix(mut hash: u64) -> String {
    hash ^= hash >> 32;
    let mut text = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let size = ALPHABET.len() as u64;
        let index = usize::try_from(hash % size).expect("smaller than the alphabet");
        text.push(char::from(ALPHABET[index]));
        hash /= size;
    }
    text
}
