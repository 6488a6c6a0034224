//! A guarded way to Prometheus, as to a team's Mimir: TLS by an authority that nobody else knows, a bearer token,
//! and a tenant. What it answers is Prometheus' own answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Scene;
use crate::certs::Authority;

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
        let authority = Authority::new()?;
        let leaf = authority.leaf("", &[IpAddr::V4(Ipv4Addr::LOCALHOST)], &[])?;
        let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let orders = Arc::new(Mutex::new(Orders {
            token: token.to_owned(),
            partial: false,
        }));
        let prometheus = self.stage.cluster.prometheus_url();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, acceptor, prometheus, Arc::clone(&orders)));
        Ok(Guarded {
            url,
            ca: authority.ca_pem().to_owned(),
            orders,
            _task: task,
        })
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    prometheus: &'static str,
    orders: Arc<Mutex<Orders>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, orders) = (acceptor.clone(), Arc::clone(&orders));
        connections.spawn(async move {
            // A client that does not trust us is no event here.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service =
                service_fn(move |request| answer(prometheus, Arc::clone(&orders), request));
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
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
