//! The time that is kept for carrying out the next answer: packing it into nodes, writing the plan, checking and bounding it.
//!
//! How long that takes is not known before, but what the same steps took for the answers so far is. It is no promise: an answer
//! that comes too late is lost, and the one before it stands.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// As multiples of what the steps took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Margins {
    pub packing: f64,
    /// Of writing a plan, checking and bounding it.
    pub writing: f64,
    /// Of formulating the decision.
    pub formulating: f64,
}

impl Margins {
    /// Where the answer is given in this process.
    pub const OWN: Self = Self { packing: 1.25, writing: 1.25, formulating: 0.0 };
    /// Where another process waits for the answer, which reads and checks it once more, and is told what was learned.
    pub const APART: Self = Self { packing: 1.25, writing: 2.75, formulating: 0.5 };
}

/// What the steps took so far in this decision.
#[derive(Debug)]
pub(super) struct Reserve {
    margins: Margins,
    formulating: Duration,
    /// Of the first answer until one was carried out: that finds sold out, forbidden and dear what others then know.
    packing: Cell<Duration>,
    /// Whether one was.
    is_carried_out: Cell<bool>,
    writing: Cell<Duration>,
    bounding: Cell<Duration>,
}

impl Reserve {
    pub fn new(margins: Margins, formulating: Duration) -> Self {
        let none = || Cell::new(Duration::ZERO);
        Self {
            margins,
            formulating,
            packing: none(),
            is_carried_out: Cell::new(false),
            writing: none(),
            bounding: none(),
        }
    }

    /// The steps of the first answer.
    pub fn first(&self, packing: Duration, writing: Duration) {
        self.packing.set(packing);
        self.writing.set(writing);
    }

    /// Carries a packing out; the longest counts.
    pub fn packing<T>(&self, step: impl FnOnce() -> T) -> T {
        let (result, took) = timed(step);
        let before = if self.is_carried_out.replace(true) { self.packing.get() } else { Duration::ZERO };
        self.packing.set(before.max(took));
        result
    }

    /// Writes and checks a plan; the longest counts.
    pub fn writing<T>(&self, step: impl FnOnce() -> T) -> T {
        let (result, took) = timed(step);
        self.writing.set(self.writing.get().max(took));
        result
    }

    /// Bounds a plan that leaves other pods than the one before; the longest counts.
    pub fn bounding<T>(&self, step: impl FnOnce() -> T) -> T {
        let (result, took) = timed(step);
        self.bounding.set(self.bounding.get().max(took));
        result
    }

    /// What is kept. `may_leave_others`: pods are left, so that the next answer may have to be bounded anew.
    pub fn time(&self, may_leave_others: bool) -> Duration {
        let Margins { packing, writing, formulating } = self.margins;
        let bounding = if may_leave_others { self.bounding.get() } else { Duration::ZERO };
        self.packing.get().mul_f64(packing)
            + (self.writing.get() + bounding).mul_f64(writing)
            + self.formulating.mul_f64(formulating)
    }
}

/// What a step returns, and how long it took.
pub(super) fn timed<T>(step: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = step();
    (result, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_follows_the_steps_that_were_taken() {
        let ms = Duration::from_millis;
        let reserve = Reserve::new(Margins { packing: 2.0, writing: 3.0, formulating: 0.5 }, ms(10));
        assert_eq!(reserve.time(false), ms(5));
        reserve.first(ms(100), ms(20));
        assert_eq!(reserve.time(false), ms(200 + 60 + 5));
        reserve.packing(|| ());
        let kept = reserve.time(false);
        assert!(kept < ms(200), "the packing that was carried out counts instead of the first: {kept:?}");
        reserve.writing(|| ());
        assert!(reserve.time(false) >= ms(65), "of writing the longest counts");
        reserve.bounding(std::thread::yield_now);
        assert!(reserve.time(true) >= reserve.time(false), "bounding counts where pods are left");
    }
}
