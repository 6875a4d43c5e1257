//! A solver process: started, asked how it ended, killed and reaped.

use std::io::{self, Read as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::Worker;
use super::serve::NO_THREAD;
use crate::host::{STACK, spawn};
use crate::plan::failure::Cause;

/// How long a process that was killed is waited for; after that a thread of its own waits. The kernel needs about 0.1 ms to
/// free a MiB.
const REAPING: Duration = Duration::from_millis(10);
/// How much of what a process says on its standard error is read.
const MOST_SAID: u64 = 4 << 10;
/// What Rust, C++ and the solver process itself say where memory is short, before they end.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of", "bad_alloc", NO_THREAD];

/// A process that is killed and reaped when this is dropped, and only then: until then its id is its own.
pub struct Process {
    child: Arc<Mutex<Child>>,
    /// It ends by itself when its standard input does: where this process dies.
    _stdin: Arc<ChildStdin>,
}

/// The ends of its pipes.
pub struct Link {
    pub stdin: Arc<ChildStdin>,
    pub stdout: ChildStdout,
    pub ending: Ending,
}

/// How the process ended, once it has.
pub struct Ending {
    pid: Pid,
    stderr: ChildStderr,
}

impl Process {
    /// `args`: beside `worker`.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn start(worker: &Worker, args: &[&str]) -> io::Result<(Self, Link)> {
        let mut command = Command::new(&worker.program);
        command.arg("worker").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // the allocator would take a gigabyte at once, of which the system says that it is in use
        command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        if let Some(bytes) = worker.memory_limit {
            command.arg("--memory-limit").arg(bytes.to_string());
        }
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let stdin = Arc::new(child.stdin.take().expect("standard input is a pipe"));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let link = Link { stdin: stdin.clone(), stdout, ending: Ending { pid, stderr } };
        Ok((Self { child: Arc::new(Mutex::new(child)), _stdin: stdin }, link))
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        lock(&self.child).id()
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may have ended already
        let _ = lock(&self.child).kill();
        let (done, reaped) = channel();
        let child = self.child.clone();
        let reap = move || {
            let _ = lock(&child).wait();
            let _ = done.send(());
        };
        match spawn("reap", STACK, reap) {
            Ok(_) => drop(reaped.recv_timeout(REAPING)),
            Err(_) => drop(lock(&self.child).wait()),
        }
    }
}

/// The first two lines: of a panic where, and why.
fn beginning(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(2).collect::<Vec<_>>().join(" ")
}

impl Ending {
    /// Waits until the process has ended, and says why, as far as can be told. It is not reaped by that.
    pub fn wait(mut self) -> Cause {
        let status = loop {
            match waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(status) => break status,
                // reaped: nobody waits for this any more
                Err(_) => break None,
            }
        };
        let mut said = Vec::new();
        let _ = (&mut self.stderr).take(MOST_SAID).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let Some(status) = status else { return Cause::Silent };
        let signal = status.terminating_signal();
        if OUT_OF_MEMORY.iter().any(|words| said.contains(words)) {
            return Cause::OutOfMemory;
        }
        match signal {
            Some(signal) => Cause::Killed { signal },
            None => Cause::Ended { code: status.exit_status().unwrap_or(-1), said: beginning(&said) },
        }
    }
}
