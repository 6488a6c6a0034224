//! One request, one answer.

use std::{
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use parking_lot::RwLock;
use serde_json::json;

use super::{
    behaviour::Behaviour,
    counts::Counters,
    greeting::Greeting,
    long::{self, Body},
    telemetry::Telemetry,
};

/// Bodies are read and dropped; more than this is refused, so a test cannot fill the memory.
const BODY_LIMIT: usize = 1 << 20;

/// One running copy of the app.
#[derive(Debug)]
pub(super) struct App {
    pub(super) behaviour: RwLock<Behaviour>,
    pub(super) image: String,
    pub(super) pod: String,
    pub(super) namespace: String,
    pub(super) greeting: Greeting,
    pub(super) ready: AtomicBool,
    pub(super) counters: Counters,
    pub(super) telemetry: Option<Telemetry>,
    /// Requests begun: the place of each in the even spacing of failures.
    pub(super) begun: AtomicU64,
}

impl App {
    /// Answers one request that came in on `port`.
    pub(super) async fn answer(
        &self,
        port: u16,
        request: Request<Incoming>,
    ) -> Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "body too large or broken");
        };
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/readyz") => self.readyz(),
            (&Method::GET, "/metrics") => {
                let response = Response::builder().header(
                    header::CONTENT_TYPE,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                );
                Ok(response.body(whole(self.counters.metrics()?))?)
            }
            (&Method::GET, "/counts") => json_body(
                StatusCode::OK,
                &serde_json::to_value(self.counters.counts())?,
            ),
            (_, path) if path.starts_with("/admin/") => {
                let body = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
                self.admin(&head.method, path, &body)
            }
            (_, path) => match long::length(path) {
                Some(length) => self.stream(port, length),
                None => self.serve(port).await,
            },
        }
    }

    /// An ordinary request: the only kind that is counted.
    async fn serve(&self, port: u16) -> Result<Response<Body>> {
        let begun = Instant::now();
        let n = self.begun.fetch_add(1, Ordering::Relaxed);
        let (fails, delay) = {
            let behaviour = self.behaviour.read();
            // Slow requests are those before the failing ones: with equal shares both kinds are seen.
            let delay = behaviour.slow.picks(n + 1).then_some(behaviour.delay);
            (behaviour.failing.picks(n), delay)
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let status = if fails {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        self.counters.served(port, status.as_u16());
        if let Some(telemetry) = &self.telemetry {
            telemetry.answered(status, begun.elapsed());
        }
        json_body(status, &self.who(port))
    }

    /// A request whose answer takes its time.
    fn stream(&self, port: u16, length: Duration) -> Result<Response<Body>> {
        self.counters.served(port, StatusCode::OK.as_u16());
        let body = long::after(length, serde_json::to_vec(&self.who(port))?.into());
        Ok(Response::new(body))
    }

    /// What an answer says of the app.
    fn who(&self, port: u16) -> serde_json::Value {
        json!({
            "version": self.behaviour.read().version,
            "image": self.image,
            "pod": self.pod,
            "namespace": self.namespace,
            "port": port,
            "greeting": self.greeting.text(),
        })
    }

    fn readyz(&self) -> Result<Response<Body>> {
        if self.ready.load(Ordering::Relaxed) && !self.behaviour.read().unready {
            text(StatusCode::OK, "ok")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "not ready")
        }
    }

    fn admin(&self, method: &Method, path: &str, body: &str) -> Result<Response<Body>> {
        match (method, path) {
            (&Method::PUT, "/admin/readiness") => match body.parse() {
                Ok(ready) => self.ready.store(ready, Ordering::Relaxed),
                Err(_) => return text(StatusCode::BAD_REQUEST, "want true or false"),
            },
            (&Method::PUT, "/admin/behaviour") => match body.parse() {
                Ok(behaviour) => *self.behaviour.write() = behaviour,
                Err(unknown) => return text(StatusCode::BAD_REQUEST, format!("{unknown}")),
            },
            (&Method::POST, "/admin/exit") => process::exit(body.parse().unwrap_or(1)),
            _ => return text(StatusCode::NOT_FOUND, "no such order"),
        }
        text(StatusCode::OK, "ok")
    }
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Result<Response<Body>> {
    Ok(Response::builder().status(status).body(whole(body))?)
}

fn json_body(status: StatusCode, body: &serde_json::Value) -> Result<Response<Body>> {
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(whole(serde_json::to_vec(body)?))?)
}
