//! A decision that was made, in a directory (`docs/decision-directory.md`): with what it started from and how far its search
//! went, so that it can be repeated.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::stored::{stored_decision, work_of};
use super::{Decision, Limits, Readings, Search, repeat};
use crate::observe::Snapshot;
use crate::solve::carried::Carried;
use crate::verify::decision::{self, CARRIED, SEARCH};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub snapshot: Arc<Snapshot>,
    /// What the search started from.
    pub carried: Arc<Carried>,
    pub limits: Limits,
}

/// `search.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSearch {
    /// Of the program: another one may search otherwise.
    pub version: String,
    pub search: Search,
    /// What the search has read of its clock, which says where each of its stages stopped; missing where it was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Readings>,
    /// By pod and by NodePool of the Snapshot: which of them share their template, and their instance types.
    pub templates: Vec<usize>,
    pub catalogs: Vec<usize>,
}

/// A directory that was read.
#[derive(Debug)]
pub struct Recorded {
    pub question: Question,
    pub decision: decision::Decision,
    /// `None` in one that was exported without it.
    pub search: Option<StoredSearch>,
}

/// Writes a decision into a directory, which is made; `files`: hashes of others that are part of it.
///
/// # Errors
/// One sentence that names what cannot be written.
pub fn write(
    folder: &Path,
    question: &Question,
    decided: &Decision,
    mut files: BTreeMap<String, String>,
) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let Question { snapshot, carried, limits } = question;
    if **carried != Carried::default() && carried.is_finite() {
        files.insert(CARRIED.to_owned(), decision::put(folder, CARRIED, &**carried)?);
    }
    let search = StoredSearch {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        search: limits.search,
        clock: decided.clock.as_deref().cloned(),
        templates: places(snapshot.pods.iter().map(|pod| &pod.template)),
        catalogs: places(snapshot.node_pools.iter().map(|pool| &pool.instance_types)),
    };
    files.insert(SEARCH.to_owned(), decision::put(folder, SEARCH, &search)?);
    decision::write(folder, snapshot, |hash| decision::Decision {
        files_sha256: files,
        ..stored_decision(snapshot, decided, hash, *limits)
    })
}

/// Reads a decision directory.
///
/// # Errors
/// As [`decision::read`].
pub fn read(folder: &Path) -> Result<Recorded, String> {
    let (mut snapshot, decision) = decision::read(folder)?;
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let has = |name: &str| decision.files_sha256.contains_key(name);
    let carried = if has(CARRIED) { decision::parsed(folder, CARRIED, &text(CARRIED)?)? } else { Carried::default() };
    let search: Option<StoredSearch> =
        if has(SEARCH) { Some(decision::parsed(folder, SEARCH, &text(SEARCH)?)?) } else { None };
    if let Some(search) = &search {
        share(&search.templates, snapshot.pods.iter_mut().map(|pod| &mut pod.template));
        share(&search.catalogs, snapshot.node_pools.iter_mut().map(|pool| &mut pool.instance_types));
    }
    let limits = Limits {
        time: std::time::Duration::from_millis(decision.time_limit_ms),
        search: search.as_ref().map_or(Search::Integer, |search| search.search),
        work: work_of(decision.work),
        worth: None,
    };
    let question = Question { snapshot: Arc::new(snapshot), carried: Arc::new(carried), limits };
    Ok(Recorded { question, decision, search })
}

impl Recorded {
    /// Decides again, with a search that goes as far as the recorded one; `None` where that is not known.
    #[must_use]
    pub fn again(&self) -> Option<Decision> {
        let Question { snapshot, carried, limits } = &self.question;
        let clock = self.search.as_ref()?.clock.clone()?;
        Some(repeat(snapshot, carried.clone(), *limits, clock))
    }

    /// Whether a decision has the recorded plan, byte for byte.
    ///
    /// # Errors
    /// A plan that cannot be written as JSON: it has a number that is none.
    pub fn has_plan_of(&self, decision: &Decision) -> serde_json::Result<bool> {
        let again = stored_decision(&self.question.snapshot, decision, String::new(), self.question.limits);
        Ok(serde_json::to_string(&again.plan)? == serde_json::to_string(&self.decision.plan)?)
    }
}

/// Equal numbers for what is shared.
fn places<'t, T: 't>(things: impl Iterator<Item = &'t Arc<T>>) -> Vec<usize> {
    let mut known: HashMap<*const T, usize> = HashMap::new();
    let place = |thing: &Arc<T>| {
        let next = known.len();
        *known.entry(Arc::as_ptr(thing)).or_insert(next)
    };
    things.map(place).collect()
}

/// Shares again what was shared.
fn share<'t, T: PartialEq + 't>(places: &[usize], things: impl Iterator<Item = &'t mut Arc<T>>) {
    let mut known: HashMap<usize, Arc<T>> = HashMap::new();
    for (place, thing) in places.iter().zip(things) {
        let first = known.entry(*place).or_insert_with(|| thing.clone());
        // what was written may be anything
        if **first == **thing {
            *thing = first.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::decide_from;
    use crate::host::tests::worlds::{MIXED, world};
    use crate::plan::{Stage, Stop};

    fn folder(name: u64) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("packwright-recorded-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    /// As far as a limit of time lets it, on question after question.
    #[test]
    fn a_search_that_time_has_cut_off_is_repeated_byte_for_byte() {
        let (mut cut, mut later) = (0, 0);
        for seed in 0..24 {
            let snapshot = Arc::new(world(seed, MIXED));
            let limits = Limits::of_time(Duration::from_millis(20 << (seed % 5)), Search::Integer);
            let question = Question { snapshot: snapshot.clone(), carried: Arc::default(), limits };
            let decided = decide_from(&snapshot, question.carried.clone(), limits);
            let folder = folder(seed);
            write(&folder, &question, &decided, BTreeMap::new()).expect("it can be written");
            let recorded = read(&folder).expect("what was written is read");
            assert_eq!(*recorded.question.snapshot, *snapshot);
            std::fs::remove_dir_all(&folder).expect("it is there");
            let Some(again) = recorded.again() else {
                assert_eq!(decided.certificate.stop, Stop::Deadline, "{seed}: it was cut off");
                continue;
            };
            assert!(recorded.has_plan_of(&again).expect("JSON"), "{seed}: {:?}", again.certificate);
            assert_eq!(again.clock, decided.clock, "{seed}: the same was asked of the clock");
            cut += usize::from(decided.certificate.stop == Stop::Deadline);
            later += usize::from(decided.certificate.stage != Stage::Greedy);
        }
        assert!(cut > 0 && later > 0, "{cut} were cut off, {later} better than the first answer");
    }

    #[test]
    fn what_is_shared_stays_shared() {
        let all = [Arc::new(1), Arc::new(2)];
        let shared = [&all[0], &all[1], &all[0]];
        let places = places(shared.into_iter());
        assert_eq!(places, [0, 1, 0]);
        let mut read = [Arc::new(1), Arc::new(2), Arc::new(1)];
        share(&places, read.iter_mut());
        assert!(Arc::ptr_eq(&read[0], &read[2]) && !Arc::ptr_eq(&read[0], &read[1]));
        let mut others = [Arc::new(1), Arc::new(2), Arc::new(3)];
        share(&places, others.iter_mut());
        assert_eq!(*others[2], 3, "what is not equal is not shared");
    }
}
