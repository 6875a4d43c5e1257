//! Rate limits of our own, so that a burst never earns a throttle: one token bucket for each kind of call, of which every attempt
//! takes a token before it is sent.
//!
//! Source: the request token buckets of the EC2 API ("Request throttling for the Amazon EC2 API"), of which we take somewhat less; other
//! programs of the account share them. A call that is throttled all the same halves the rate of its bucket, and calls that go well
//! bring it back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// `Describe*` and the like of EC2.
    Describe,
    /// Everything else of EC2.
    Mutate,
    Launch,
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
            "CreateFleet" => Self::Launch,
            "TerminateInstances" => Self::Terminate,
            "CreateTags" => Self::Tag,
            "CreateLaunchTemplate" | "DeleteLaunchTemplate" | "RunInstances" => Self::Mutate,
            "DescribeCluster" => Self::Other,
            name if name.starts_with("Describe") => Self::Describe,
            _ => Self::Other,
        })
    }

    /// Tokens a second, and how many there are at most.
    fn rate_and_burst(self) -> (f64, f64) {
        match self {
            Self::Describe => (15.0, 75.0),
            Self::Launch | Self::Mutate | Self::Terminate => (4.0, 40.0),
            Self::Tag => (8.0, 80.0),
            Self::Other => (8.0, 20.0),
        }
    }
}

#[derive(Debug)]
struct Bucket {
    /// Below zero: so many calls wait.
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

    /// How long the call has to wait. Whoever asks first waits shortest.
    fn take(&mut self, kind: Kind, now: Instant) -> Duration {
        self.fill(kind, now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / self.rate).max(0.0))
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
pub struct Limits(Mutex<BTreeMap<Kind, Bucket>>);

impl Limits {
    /// Waits until a call may be sent.
    pub async fn pass(&self, operation: &str) {
        let Some(kind) = Kind::of(operation) else { return };
        let now = Instant::now();
        let pause = self.bucket(kind, now, |bucket| bucket.take(kind, now));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// What became of it.
    pub fn note(&self, operation: &str, is_throttled: bool) {
        let Some(kind) = Kind::of(operation) else { return };
        let now = Instant::now();
        self.bucket(kind, now, |bucket| bucket.note(kind, is_throttled, now));
    }

    fn bucket<T>(&self, kind: Kind, now: Instant, of: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of(buckets.entry(kind).or_insert_with(|| Bucket::new(kind, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_comes_after_it_waits_in_turn() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Kind::Launch, now);
        let waits: Vec<Duration> = (0..44).map(|_| bucket.take(Kind::Launch, now)).collect();
        assert!(waits[..40].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[40..], [250, 500, 750, 1_000].map(Duration::from_millis));
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.take(Kind::Launch, later), Duration::ZERO, "eight tokens have come since");
    }

    #[test]
    fn a_throttle_halves_the_rate_and_calls_that_go_well_bring_it_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Kind::Describe, now);
        for _ in 0..10 {
            bucket.note(Kind::Describe, true, now);
        }
        assert_eq!(
            bucket.take(Kind::Describe, now),
            Duration::from_secs(2),
            "one call in two seconds, and none is left"
        );
        for _ in 0..50 {
            bucket.note(Kind::Describe, false, now);
        }
        assert_eq!(bucket.rate.to_bits(), 15.0_f64.to_bits());
    }

    #[test]
    fn calls_are_told_apart() {
        assert_eq!(Kind::of("DescribeInstances"), Some(Kind::Describe));
        assert_eq!(Kind::of("DescribeCluster"), Some(Kind::Other), "that is EKS");
        assert_eq!(Kind::of("CreateFleet"), Some(Kind::Launch));
        assert_eq!(Kind::of("ReceiveMessage"), None);
    }
}
