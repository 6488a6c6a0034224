//! A guarded way to Prometheus, as to a team's Mimir: TLS by an authority that nobody else knows, a bearer token,
//! and a tenant. What it answers is Prometheus' own answer.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Scene;
use crate::tls::Front;

/// The tenant that must be named.
pub const TENANT: &str = "shop";

/// The door. Dropping it closes it.
pub struct Guarded {
    /// Its URL.
    pub url: String,
    /// The certificate of its authority, PEM.
    pub ca: String,
    orders: Arc<Mutex<Orders>>,
    _task: JoinSet<()>,
}

struct Orders {
    token: String,
    partial: bool,
}

impl Guarded {
    /// From now on only this token opens it.
    pub fn wants(&self, token: &str) {
        token.clone_into(&mut self.orders.lock().token);
    }

    /// Whether answers say from now on that they may lack something, as Thanos does when a store is away.
    pub fn partial(&self, partial: bool) {
        self.orders.lock().partial = partial;
    }
}

impl Scene<'_> {
    /// Opens a guarded door to Prometheus.
    ///
    /// # Errors
    /// When no certificate can be made or no port is free.
    pub async fn guarded(&self, token: &str) -> Result<Guarded> {
        let front = Front::open().await?;
        let (url, ca) = (front.url.clone(), front.ca.clone());
        let orders = Arc::new(Mutex::new(Orders {
            token: token.to_owned(),
            partial: false,
        }));
        let prometheus = self.stage.cluster.prometheus_url();
        let mut task = JoinSet::new();
        let known = Arc::clone(&orders);
        task.spawn(front.serve(move |request| answer(prometheus, Arc::clone(&known), request)));
        Ok(Guarded {
            url,
            ca,
            orders,
            _task: task,
        })
    }
}

async fn answer(
    prometheus: &str,
    orders: Arc<Mutex<Orders>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>> {
    let (token, partial) = {
        let orders = orders.lock();
        (format!("Bearer {}", orders.token), orders.partial)
    };
    let (head, body) = request.into_parts();
    let says = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let refusal = if says(AUTHORIZATION.as_str()) != Some(&token) {
        Some((StatusCode::UNAUTHORIZED, "who are you?"))
    } else if says("x-scope-orgid") != Some(TENANT) {
        Some((StatusCode::UNAUTHORIZED, "no org id"))
    } else {
        None
    };
    if let Some((status, text)) = refusal {
        let response = Response::builder().status(status);
        return Ok(response.body(Full::from(text))?);
    }
    let body = body.collect().await?.to_bytes();
    let kind = says(CONTENT_TYPE.as_str()).unwrap_or_default();
    let answer = reqwest::Client::new()
        .post(format!("{prometheus}{}", head.uri.path()))
        .header(CONTENT_TYPE, kind)
        .body(body)
        .send()
        .await?;
    let status = answer.status();
    let mut answer: Value = answer.json().await?;
    if partial {
        let all = answer
            .as_object_mut()
            .context("an answer that is no object")?;
        all.insert("warnings".to_owned(), json!(["store 10.0.0.7 is away"]));
    }
    let response = Response::builder().status(status);
    Ok(response.body(Full::from(serde_json::to_vec(&answer)?))?)
}
