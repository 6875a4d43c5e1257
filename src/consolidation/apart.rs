//! A search in a process of its own, which may crash, hang or run out of memory: then it has found nothing.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Policy;
use super::search::{Found, consolidate_with_outlook};
use crate::host::Limits;
use crate::host::worker::message::{self, Hello};
use crate::host::worker::{PackedSnapshot, Process, Worker};
use crate::observe::Snapshot;

/// The time that the answer takes, beside that of the search.
const GRACE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    policy: Policy,
    limits: Limits,
    turn: u64,
    snapshot: PackedSnapshot,
}

/// As [`consolidate_with_outlook`].
///
/// # Errors
/// The process cannot be started, says nothing in time, or ends before; in one sentence.
pub fn consolidate_apart(
    snapshot: &Arc<Snapshot>,
    policy: &Policy,
    limits: Limits,
    turn: u64,
    worker: &Worker,
) -> Result<Found, String> {
    let failed = |error: io::Error| format!("the process of the search: {error}");
    let (process, link) = Process::start(worker, &["--consolidate"]).map_err(failed)?;
    let (snapshot, policy, stdin) = (snapshot.clone(), *policy, link.stdin.clone());
    std::thread::spawn(move || {
        let question = Question { policy, limits, turn, snapshot: PackedSnapshot::of(&snapshot) };
        // where it is gone, the other thread says so
        let _ = message::write(&mut &*stdin, &question);
    });
    let (sender, answer) = channel();
    std::thread::spawn(move || {
        let heard = hear(&mut BufReader::new(link.stdout)).map_err(failed);
        let ended = || format!("the process of the search has ended: {:?}", link.ending.wait());
        let _ = sender.send(heard.and_then(|found| found.ok_or_else(ended)));
    });
    let found = answer.recv_timeout(limits.time.saturating_add(limits.time / 10).saturating_add(GRACE));
    drop(process); // killed and reaped
    found.unwrap_or_else(|_| Err("the process of the search has said nothing in time".to_owned()))
}

fn hear(from: &mut dyn BufRead) -> io::Result<Option<Found>> {
    let Some(hello) = message::read::<Hello>(from, message::MOST_BYTES)? else { return Ok(None) };
    let (theirs, ours) = (hello.version, Hello::own().version);
    if theirs != ours {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("its version is {theirs}, and this is {ours}")));
    }
    message::read(from, message::MOST_BYTES)
}

/// The other side: reads one question and writes the answer.
///
/// # Errors
/// There is no question, or the other side is gone.
pub fn serve(mut from: impl BufRead + Send + 'static, to: &mut dyn Write) -> io::Result<()> {
    message::write(to, &Hello::own())?;
    let fault = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
    let question: Option<Question> = message::read(&mut from, u64::MAX)?;
    let Question { policy, limits, turn, snapshot } = question.ok_or_else(|| fault("no question"))?;
    let snapshot = snapshot.unpacked().ok_or_else(|| fault("a question that names what it does not bring"))?;
    std::thread::spawn(move || {
        // nothing more is sent: this ends when the other side is gone, and so does this process
        let _ = io::copy(&mut from, &mut io::sink());
        std::process::exit(0);
    });
    message::write(to, &consolidate_with_outlook(&snapshot, &policy, limits, turn))
}
