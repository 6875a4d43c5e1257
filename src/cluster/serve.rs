//! What a controller answers to: whether it lives, whether it is ready, and what it counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::lease::Stand;
use super::telling::Metrics;

/// `/healthz` and `/readyz`. It is ready where everything was read and it acts, or would if another process of ours did not; not beside another program.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_health(
    address: SocketAddr,
    stand: watch::Receiver<Stand>,
    is_synced: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let ready = move || {
        let (stand, is_synced) = (stand.borrow().clone(), is_synced.load(Ordering::Relaxed));
        async move {
            match stand {
                _ if !is_synced => (StatusCode::SERVICE_UNAVAILABLE, "not everything is read yet".to_owned()),
                Stand::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "not yet".to_owned()),
                Stand::Leads { .. } | Stand::Shadows | Stand::StandsBy(_) => (StatusCode::OK, "ok".to_owned()),
                Stand::Conflict { holder, namespace, name } => {
                    (StatusCode::SERVICE_UNAVAILABLE, format!("{holder} holds the lease {namespace}/{name}"))
                }
                Stand::Blocked(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
            }
        }
    };
    let routes = Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(ready));
    axum::serve(TcpListener::bind(address).await?, routes).await
}

/// `/metrics`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_metrics(address: SocketAddr, metrics: Metrics) -> std::io::Result<()> {
    let routes = Router::new().route("/metrics", get(async move || metrics.render()));
    axum::serve(TcpListener::bind(address).await?, routes).await
}
