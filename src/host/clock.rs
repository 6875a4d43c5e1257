//! When a search must end, and what it has read of its clock: by that it can be repeated.
//!
//! The clock is the only source of difference between two searches of the same question. How far each stage went is therefore
//! said by how often it asked before its time was up, whatever it counts itself.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Search;

/// Steps in which the time that is left is read.
const STEPS: u16 = 10_000;

/// A clock that a search has, with a log of what it said.
pub(super) struct Clock {
    pub started: Instant,
    pub time: Duration,
    pub cancelled: Arc<AtomicBool>,
    said: RefCell<Readings>,
    /// What it says instead of the time.
    repeats: Option<RefCell<Repeated>>,
}

/// What a clock has said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// Of which search.
    #[serde(default)]
    pub search: Search,
    /// Whether the time is up: so often no, then so often yes, and by turns.
    pub is_up: Vec<u64>,
    /// Ten-thousandths of the time that were left, and how often in a row.
    pub left: Vec<(u16, u64)>,
}

impl Readings {
    fn note_up(&mut self, is_up: bool) {
        // runs of no are at even places
        while self.is_up.is_empty() || self.is_up.len() % 2 != usize::from(!is_up) {
            self.is_up.push(0);
        }
        if let Some(run) = self.is_up.last_mut() {
            *run += 1;
        }
    }

    fn note_left(&mut self, left: u16) {
        match self.left.last_mut() {
            Some((known, run)) if *known == left => *run += 1,
            _ => self.left.push((left, 1)),
        }
    }
}

/// Readings that are given again; after the last of them the time is up.
struct Repeated {
    of: Readings,
    /// The run, and how many of it were given.
    up: (usize, u64),
    left: (usize, u64),
}

impl Repeated {
    fn is_up(&mut self) -> bool {
        let (run, given) = &mut self.up;
        while let Some(times) = self.of.is_up.get(*run) {
            if *given < *times {
                *given += 1;
                return *run % 2 == 1;
            }
            (*run, *given) = (*run + 1, 0);
        }
        true
    }

    fn left(&mut self) -> u16 {
        let (run, given) = &mut self.left;
        while let Some((left, times)) = self.of.left.get(*run) {
            if *given < *times {
                *given += 1;
                return *left;
            }
            (*run, *given) = (*run + 1, 0);
        }
        0
    }
}

impl Clock {
    pub fn new(started: Instant, time: Duration, cancelled: Arc<AtomicBool>) -> Self {
        Self { started, time, cancelled, said: RefCell::default(), repeats: None }
    }

    /// Says what another one has said; of its own time only the end counts.
    pub fn repeating(self, readings: Readings) -> Self {
        let repeated = Repeated { of: readings, up: (0, 0), left: (0, 0) };
        Self { repeats: Some(RefCell::new(repeated)), ..self }
    }

    /// What it has said so far, to this search.
    pub fn readings(&self, search: Search) -> Readings {
        Readings { search, ..self.said.borrow().clone() }
    }

    /// What part of the time is left besides `reserve`: nothing only where it is up.
    pub fn left(&self, reserve: Duration) -> f64 {
        let left = match &self.repeats {
            Some(repeated) => repeated.borrow_mut().left(),
            None => self.measured(reserve),
        };
        self.said.borrow_mut().note_left(left);
        f64::from(left) / f64::from(STEPS)
    }

    /// Whether a search must end that leaves `reserve` for writing its answer down and checking it.
    pub fn is_up(&self, reserve: Duration) -> bool {
        let is_up = match &self.repeats {
            Some(repeated) => repeated.borrow_mut().is_up(),
            None => self.is_over(reserve),
        };
        self.said.borrow_mut().note_up(is_up);
        is_up
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 1 to STEPS
    fn measured(&self, reserve: Duration) -> u16 {
        if self.is_over(reserve) {
            return 0;
        }
        let usable = self.time.saturating_sub(reserve).as_secs_f64();
        let left = (usable - self.started.elapsed().as_secs_f64()) / usable;
        (left * f64::from(STEPS)).ceil().clamp(1.0, f64::from(STEPS)) as u16
    }

    fn is_over(&self, reserve: Duration) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.started.elapsed().saturating_add(reserve) >= self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_said_is_said_again_and_then_the_time_is_up() {
        let clock = || Clock::new(Instant::now(), Duration::from_secs(3_600), Arc::default());
        for first in [false, true] {
            let mut readings = Readings::default();
            let ups = [first, first, !first, first];
            for is_up in ups {
                readings.note_up(is_up);
            }
            for left in [10_000, 9_000, 9_000, 1] {
                readings.note_left(left);
            }
            let again = clock().repeating(readings.clone());
            assert_eq!(ups.map(|_| again.is_up(Duration::ZERO)), ups);
            let left = [0; 4].map(|_| again.left(Duration::ZERO).to_string());
            assert_eq!(left, ["1", "0.9", "0.9", "0.0001"]);
            assert_eq!(again.readings(Search::Integer), readings, "and it is what it said itself");
            assert!(again.is_up(Duration::ZERO));
            assert!(again.left(Duration::ZERO) <= 0.0);
        }
        let own = clock();
        assert!(own.left(Duration::ZERO) > 0.99 && !own.is_up(Duration::ZERO));
        own.cancelled.store(true, Ordering::Relaxed);
        assert!(own.left(Duration::ZERO) <= 0.0 && own.is_up(Duration::ZERO));
        assert_eq!(own.readings(Search::Integer).is_up, [1, 1]);
    }
}
