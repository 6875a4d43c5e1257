//! Waiting for what the cluster does, with a limit.

use std::time::{Duration, Instant};

use kube::Error;

/// Between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Long enough for a busy machine.
const IN_TIME: Duration = Duration::from_secs(60);

/// Looks until something is there.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<Option<T>, Error>) -> T {
    until_within(IN_TIME, what, look).await
}

/// As [`until`], for what takes longer.
pub async fn until_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Error>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await.unwrap() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited in vain for {what}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Looks until what is seen has stayed the same for so long, or `is_done`.
pub async fn until_still<T: PartialEq>(
    still: Duration,
    is_done: impl Fn(&T) -> bool,
    mut look: impl AsyncFnMut() -> Result<T, Error>,
) -> T {
    let mut seen = look().await.unwrap();
    let mut since = Instant::now();
    while since.elapsed() < still && !is_done(&seen) {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = look().await.unwrap();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    seen
}
