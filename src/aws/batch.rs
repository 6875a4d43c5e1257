//! Requests that come at about the same time are sent together.
//!
//! Source: the reference's `pkg/batcher`: a batch is closed when none came for a while, when it is as old as it may be, or when it is full.

use std::time::Duration;

use metrics::histogram;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

/// When a batch is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// What it is called in metrics.
    pub name: &'static str,
    /// None came for so long.
    pub idle: Duration,
    /// It is so old.
    pub longest: Duration,
    /// It has so many.
    pub most: usize,
}

/// The reference's windows.
pub(super) const CREATE_FLEET: Window =
    Window { name: "create_fleet", idle: Duration::from_millis(35), longest: Duration::from_secs(1), most: 1_000 };
pub(super) const TERMINATE: Window = Window {
    name: "terminate_instances",
    idle: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    most: 500,
};

/// The next batch; `None` where nobody sends any more.
pub(super) async fn next<T>(requests: &mut UnboundedReceiver<T>, window: Window) -> Option<Vec<T>> {
    let mut batch = vec![requests.recv().await?];
    let began = Instant::now();
    while batch.len() < window.most {
        let until = (began + window.longest).min(Instant::now() + window.idle);
        match timeout_at(until, requests.recv()).await {
            Ok(Some(request)) => batch.push(request),
            Ok(None) | Err(_) => break,
        }
    }
    let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    histogram!("karpenter_cloudprovider_batcher_batch_size", "batcher" => window.name).record(f64::from(count));
    histogram!("karpenter_cloudprovider_batcher_batch_time_seconds", "batcher" => window.name)
        .record(began.elapsed().as_secs_f64());
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[test]
    fn what_comes_together_is_a_batch_until_it_is_full() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (sender, mut requests) = unbounded_channel();
            (0..5).for_each(|number| sender.send(number).unwrap());
            let window = Window { most: 3, ..CREATE_FLEET };
            assert_eq!(next(&mut requests, window).await, Some(vec![0, 1, 2]));
            assert_eq!(next(&mut requests, window).await, Some(vec![3, 4]), "none came for a while");
            drop(sender);
            assert_eq!(next(&mut requests, window).await, None);
        });
    }
}
