//! Rate limits of our own, so that a burst never earns a throttle: one token bucket for each kind of call, of which every attempt
//! takes a token before it is sent.
//!
//! Source: the request token buckets of the EC2 API ("Request throttling for the Amazon EC2 API"), of which we take somewhat less; other
//! programs of the account share them. A call that is throttled all the same halves the rate of its bucket, and calls that go well
//! bring it back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// `Describe*` and the like of EC2.
    Describe,
    /// Fleets and launch templates.
    Mutate,
    /// Dry runs alone: EC2 allows five at once, and two a second.
    RunInstances,
    Terminate,
    Tag,
    /// Other services: IAM, SSM, EKS, Pricing.
    Other,
}

impl Kind {
    /// `None`: unlimited, as a long poll limits itself.
    fn of(operation: &str) -> Option<Self> {
        Some(match operation {
            "ReceiveMessage" | "DeleteMessageBatch" | "GetQueueUrl" => return None,
            "TerminateInstances" => Self::Terminate,
            "CreateTags" => Self::Tag,
            "CreateFleet" | "CreateLaunchTemplate" | "DeleteLaunchTemplate" => Self::Mutate,
            "RunInstances" => Self::RunInstances,
            "DescribeCluster" => Self::Other,
            name if name.starts_with("Describe") => Self::Describe,
            _ => Self::Other,
        })
    }

    /// Tokens a second, and how many there are at most.
    fn rate_and_burst(self) -> (f64, f64) {
        match self {
            Self::Describe => (15.0, 75.0),
            Self::Mutate | Self::Terminate => (4.0, 40.0),
            Self::RunInstances => (1.5, 4.0),
            Self::Tag => (8.0, 80.0),
            Self::Other => (8.0, 20.0),
        }
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// As of when.
    at: Instant,
    /// A second, now.
    rate: f64,
}

/// At the least, a second.
const SLOWEST: f64 = 0.5;
/// Of the full rate, that a call which went well brings back.
const RECOVERY: f64 = 0.02;
/// A token that is so nearly there counts as one: pauses are in whole nanoseconds.
const ROUNDING: f64 = 1e-6;

impl Bucket {
    fn new(kind: Kind, now: Instant) -> Self {
        let (rate, burst) = kind.rate_and_burst();
        Self { tokens: burst, at: now, rate }
    }

    fn fill(&mut self, kind: Kind, now: Instant) {
        let (_, burst) = kind.rate_and_burst();
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(burst);
        self.at = now;
    }

    /// Takes a token; where there is none yet, after how long to ask again.
    fn take(&mut self, kind: Kind, now: Instant) -> Result<(), Duration> {
        self.fill(kind, now);
        if self.tokens + ROUNDING < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn note(&mut self, kind: Kind, is_throttled: bool, now: Instant) {
        let (full, _) = kind.rate_and_burst();
        if is_throttled {
            self.fill(kind, now);
            self.tokens = self.tokens.min(0.0);
            self.rate = (self.rate / 2.0).max(SLOWEST);
        } else {
            self.rate = (self.rate + full * RECOVERY).min(full);
        }
    }
}

/// All buckets of a process.
#[derive(Debug, Default)]
pub struct Limits {
    buckets: Mutex<BTreeMap<Kind, Bucket>>,
    /// Who is next at each bucket: locked in the order of asking.
    turns: Mutex<BTreeMap<Kind, Arc<tokio::sync::Mutex<()>>>>,
}

impl Limits {
    /// Waits until a call may be sent. Whoever asks first waits shortest; who gives up has taken nothing.
    pub async fn pass(&self, operation: &str) {
        let Some(kind) = Kind::of(operation) else { return };
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().clone();
        let _turn = turn.lock().await;
        loop {
            let now = Instant::now();
            match self.bucket(kind, now, |bucket| bucket.take(kind, now)) {
                Ok(()) => return,
                Err(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    /// What became of it.
    pub fn note(&self, operation: &str, is_throttled: bool) {
        let Some(kind) = Kind::of(operation) else { return };
        let now = Instant::now();
        self.bucket(kind, now, |bucket| bucket.note(kind, is_throttled, now));
    }

    fn bucket<T>(&self, kind: Kind, now: Instant, of: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        of(buckets.entry(kind).or_insert_with(|| Bucket::new(kind, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_burst_passes_and_what_comes_after_it_waits() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Kind::Mutate, now);
        assert!((0..40).all(|_| bucket.take(Kind::Mutate, now).is_ok()));
        let pause = Duration::from_millis(250);
        assert_eq!(bucket.take(Kind::Mutate, now), Err(pause));
        assert_eq!(bucket.take(Kind::Mutate, now), Err(pause), "nothing was taken");
        assert_eq!(bucket.take(Kind::Mutate, now + pause), Ok(()));
        let later = now + Duration::from_secs(2);
        assert_eq!((0..9).filter(|_| bucket.take(Kind::Mutate, later).is_ok()).count(), 7, "eight have come in all");
    }

    #[test]
    fn who_gives_up_has_taken_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limits = Limits::default();
            let now = Instant::now();
            limits.bucket(Kind::Mutate, now, |bucket| (bucket.tokens, bucket.rate) = (1.0, SLOWEST));
            assert_eq!(limits.pass("CreateFleet").now_or_never(), Some(()));
            for _ in 0..10 {
                assert_eq!(limits.pass("CreateFleet").now_or_never(), None, "it waits, and is dropped");
            }
            let left = limits.bucket(Kind::Mutate, now, |bucket| bucket.tokens);
            assert!(left >= 0.0, "{left}");
        });
    }

    #[test]
    fn a_throttle_halves_the_rate_and_calls_that_go_well_bring_it_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Kind::Describe, now);
        for _ in 0..10 {
            bucket.note(Kind::Describe, true, now);
        }
        let pause = Duration::from_secs(2);
        assert_eq!(bucket.take(Kind::Describe, now), Err(pause), "one call in two seconds, and none is left");
        for _ in 0..50 {
            bucket.note(Kind::Describe, false, now);
        }
        assert_eq!(bucket.rate.to_bits(), 15.0_f64.to_bits());
    }

    #[test]
    fn calls_are_told_apart() {
        assert_eq!(Kind::of("DescribeInstances"), Some(Kind::Describe));
        assert_eq!(Kind::of("DescribeCluster"), Some(Kind::Other), "that is EKS");
        assert_eq!(Kind::of("CreateFleet"), Some(Kind::Mutate));
        assert_eq!(Kind::of("RunInstances"), Some(Kind::RunInstances), "a throttle of dry runs holds up no launch");
        assert_eq!(Kind::of("ReceiveMessage"), None);
    }
}
