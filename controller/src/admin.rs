//! `/metrics`, `/livez` and `/readyz`: of the controller, and of git-sync.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

/// Makes the page of the metrics.
type Page = Arc<dyn Fn() -> Result<String, fmt::Error> + Send + Sync>;

#[derive(Clone)]
struct Shared {
    page: Page,
    ready: watch::Receiver<bool>,
}

/// Serves until `shutdown` says true. `page` makes the page of the metrics, `ready` says whether the program can work.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    page: impl Fn() -> Result<String, fmt::Error> + Send + Sync + 'static,
    ready: watch::Receiver<bool>,
    mut shutdown: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let page: Page = Arc::new(page);
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .with_state(Shared { page, ready });
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("--admin-address: cannot listen on {address}"))?;
    let stop = async move {
        // An error means that the sender is gone: the program ends as well.
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop)
        .await
        .context("the admin server failed")
}

async fn metrics(State(shared): State<Shared>) -> Result<String, StatusCode> {
    (shared.page)().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if *shared.ready.borrow() {
        (StatusCode::OK, "ok")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "what it works with was not read yet",
        )
    }
}
