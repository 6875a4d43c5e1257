//! The other side of the pipe: the solver process.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::message::{self, Hello, Question, Told};
use crate::host::clock::Clock;
use crate::host::reserve::Margins;
use crate::host::{DEEP_STACK, STACK, spawn, stages};
use crate::plan::Stop;

/// For want of memory for its stack, as a rule.
pub(super) const NO_THREAD: &str = "failed to start a thread";

/// Allocations of this process fail from now on where they would exceed so many bytes, and it ends. On Linux; elsewhere
/// the system may not enforce it.
///
/// # Errors
/// The system refuses the limit.
pub fn limit_memory(bytes: u64) -> io::Result<()> {
    let most = getrlimit(Resource::Data).maximum.map_or(bytes, |most| most.min(bytes));
    setrlimit(Resource::Data, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}

/// Reads one question, and writes every answer that is better than the one before, or says more about it. Where the search
/// is faster than the pipe, only the last of those that wait is written. The process ends where `from` ends.
///
/// # Errors
/// There is no question, the other side is gone, or the search broke down.
pub fn serve(mut from: impl BufRead + Send + 'static, to: &mut dyn Write) -> io::Result<()> {
    // the time that the question names is running while it is read
    let started = Instant::now();
    message::write(to, &Hello::own())?;
    let fault = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
    let no_thread = |error: io::Error| io::Error::new(error.kind(), format!("{NO_THREAD}: {error}"));
    // it comes from the program that started this one, and is as long as its cluster is large
    let question: Option<Question> = message::read(&mut from, u64::MAX)?;
    let Question { limits, snapshot, carried } = question.ok_or_else(|| fault("no question"))?;
    let snapshot = snapshot.unpacked().ok_or_else(|| fault("a question that names what it does not bring"))?;
    let snapshot = Arc::new(snapshot);
    let watch = move || {
        // nothing more is sent: this ends when the other side is gone, and so does this process
        let _ = io::copy(&mut from, &mut io::sink());
        std::process::exit(0);
    };
    spawn("watch", STACK, watch).map_err(no_thread)?;
    let (sender, answers) = channel();
    let clock = Clock::new(started, limits.time, Arc::new(AtomicBool::new(false)));
    let asked = snapshot.clone();
    let solve = move || {
        stages::run(&asked, &carried, limits, &clock, Margins::APART, &|decision| drop(sender.send(decision)));
    };
    spawn("solve", DEEP_STACK, solve).map_err(no_thread)?;
    let mut before = None;
    while let Ok(decision) = answers.recv() {
        let decision = answers.try_iter().last().unwrap_or(decision);
        let told = Told::of(&decision, before.as_ref());
        if decision.certificate.stop != Stop::Unfinished {
            let learned = decision.carried(&snapshot);
            let is_sound = learned.is_finite(); // JSON has no other numbers
            return message::write(to, &Told { learned: is_sound.then_some(learned), ..told });
        }
        message::write(to, &told)?;
        before = Some(decision);
    }
    Err(io::Error::other("the search broke down"))
}
