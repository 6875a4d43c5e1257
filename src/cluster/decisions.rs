//! The last decisions, each in a directory of its own: written beside the loop, which never waits for that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tracing::{error, warn};

use crate::host::Decision;
use crate::host::recorded::{self, Question};
use crate::verify::decision::DECISION;

/// Decisions that wait to be written; with more of them the disk is slower than the cluster.
const WAITING: usize = 2;

/// Directories that are not complete have this before their name.
const UNFINISHED: &str = ".new-";

/// What is written on a thread of its own.
#[derive(Debug, Clone)]
pub struct Recorder(SyncSender<Record>);

/// One decision.
#[derive(Debug)]
struct Record {
    number: u64,
    question: Question,
    decision: Decision,
}

/// What is kept of them: the last ones.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// At most so many.
    pub decisions: usize,
    /// In at most so many bytes, as long as the last one alone has no more.
    pub bytes: u64,
}

impl Recorder {
    /// Writes decisions into `folder` from now on, which is made.
    ///
    /// # Errors
    /// The folder cannot be made, or there is no thread.
    pub fn start(folder: PathBuf, kept: Kept) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for name in names(&folder).iter().filter(|name| name.starts_with(UNFINISHED)) {
            fs::remove_dir_all(folder.join(name))?; // of a process that has died
        }
        let (sender, records) = sync_channel(WAITING);
        let write_all = move || {
            for record in records {
                if let Err(reason) = write(&folder, kept, &record) {
                    error!(controller = "decisions", decision = record.number, "failed to record a decision: {reason}");
                }
            }
        };
        std::thread::Builder::new().name("record".to_owned()).spawn(write_all)?;
        Ok(Self(sender))
    }

    /// Has a decision written, unless too many wait.
    pub fn record(&self, number: u64, question: Question, decision: Decision) {
        match self.0.try_send(Record { number, question, decision }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                warn!(
                    controller = "decisions",
                    decision = number,
                    "a decision is not recorded: others are still written"
                );
            }
            Err(TrySendError::Disconnected(_)) => {
                warn!(
                    controller = "decisions",
                    decision = number,
                    "a decision is not recorded: nobody writes any more"
                );
            }
        }
    }
}

/// Writes one, complete or not at all. Room is made for it first.
fn write(folder: &Path, kept: Kept, record: &Record) -> Result<(), String> {
    let fault = |error: io::Error| format!("{}: {error}", folder.display());
    let before = recorded_in(folder);
    let many = (before.len() + 1).saturating_sub(kept.decisions);
    let size = before.last().map_or(0, |(_, bytes)| *bytes); // the next one will be as long
    remove_oldest(folder, before, many, kept.bytes.saturating_sub(size)).map_err(fault)?;
    let name = name(record);
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let written = recorded::write(&unfinished, &record.question, &record.decision, std::collections::BTreeMap::new())
        .and_then(|()| fs::rename(&unfinished, folder.join(name)).map_err(fault));
    if written.is_err() {
        let _ = fs::remove_dir_all(&unfinished); // it may not be there
        return written;
    }
    let mut after = recorded_in(folder);
    let last = after.pop().map_or(0, |(_, bytes)| bytes);
    remove_oldest(folder, after, 0, kept.bytes.saturating_sub(last)).map_err(fault)
}

/// At least so many, and as many as it takes for the rest to have no more bytes.
fn remove_oldest(folder: &Path, all: Vec<(String, u64)>, many: usize, most: u64) -> io::Result<()> {
    let mut bytes: u64 = all.iter().map(|(_, bytes)| bytes).sum();
    for (index, (name, own)) in all.into_iter().enumerate() {
        if index >= many && bytes <= most {
            break;
        }
        fs::remove_dir_all(folder.join(name))?;
        bytes -= own;
    }
    Ok(())
}

/// The decisions in a folder with their bytes, oldest first.
fn recorded_in(folder: &Path) -> Vec<(String, u64)> {
    let bytes = |name: &str| {
        let files = fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|of| of.len()).sum()
    };
    let names = names(folder).into_iter().filter(|name| is_recorded(folder, name));
    names.map(|name| (bytes(&name), name)).map(|(bytes, name)| (name, bytes)).collect()
}

/// In the order in which they were taken: the time of the Snapshot, and the number of the question.
fn name(Record { number, question, .. }: &Record) -> String {
    format!("{}-{number:06}", question.snapshot.taken_at.strftime("%Y%m%dT%H%M%S%.3fZ"))
}

/// Everything in a folder, sorted; nothing where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Nothing else in the folder is ever removed.
fn is_recorded(folder: &Path, name: &str) -> bool {
    let is_time = |text: &str| text.ends_with('Z') && text.starts_with(|first: char| first.is_ascii_digit());
    let is_named = name.rsplit_once('-').is_some_and(|(time, number)| is_time(time) && number.parse::<u64>().is_ok());
    is_named && folder.join(name).join(DECISION).exists()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::bench::instances;
    use crate::host::{Limits, Search, decide};

    #[test]
    fn the_last_ones_are_kept_and_a_full_disk_costs_one_record() {
        let folder = std::env::temp_dir().join(format!("packwright-decisions-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("00000101T000000.000Z-notes")).expect("a folder");
        let instance = instances::all().into_iter().find(|instance| instance.name == "wide-kwok").expect("an instance");
        let snapshot = instance.snapshot(0).expect("a snapshot");
        let limits = Limits::of_time(Duration::from_secs(60), Search::Greedy);
        let decision = decide(&snapshot, limits);
        let question = Question { snapshot, carried: Arc::default(), limits };
        let record = |number| Record { number, question: question.clone(), decision: decision.clone() };
        let kept = Kept { decisions: 2, bytes: u64::MAX };
        for number in 1..=4 {
            write(&folder, kept, &record(number)).expect("it can be written");
        }
        let left = names(&folder);
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left[0].ends_with("-notes"), "{left:?}: of others nothing is removed");
        assert!(left[1].ends_with("-000003") && left[2].ends_with("-000004"), "{left:?}");
        let read = recorded::read(&folder.join(&left[2])).expect("it can be read");
        assert!(read.has_plan_of(&read.again().expect("it came to its end")).expect("JSON"));
        // what cannot be written leaves nothing behind
        fs::write(folder.join(format!("{UNFINISHED}{}", name(&record(5)))), "in the way").expect("a file");
        assert!(write(&folder, kept, &record(5)).is_err());
        assert_eq!(names(&folder).iter().filter(|name| name.ends_with("-000005") && !name.starts_with('.')).count(), 0);
        // bytes bind as well, but the last one stays
        let numbers = |folder: &Path| -> Vec<String> {
            recorded_in(folder).iter().map(|(name, _)| name.rsplit('-').next().unwrap_or_default().to_owned()).collect()
        };
        let one = recorded_in(&folder).last().map_or(0, |(_, bytes)| *bytes);
        write(&folder, Kept { decisions: 9, bytes: one * 5 / 2 }, &record(6)).expect("it can be written");
        assert_eq!(numbers(&folder), ["000004", "000006"]);
        write(&folder, Kept { decisions: 9, bytes: 1 }, &record(7)).expect("it can be written");
        assert_eq!(numbers(&folder), ["000007"]);
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
