//! Secrets of an API server that is not there, and servers that ask who we are.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use http::{Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::json;
use sluice_crds::{BasicAuth, BearerToken};
use tokio::net::TcpListener;
use tower::service_fn;

use super::*;
use crate::evidence::fetch::fetch;

impl Server {
    /// A server that everybody may ask.
    pub(in crate::evidence) fn at(address: &str) -> Self {
        Self {
            address: address.trim_end_matches('/').to_owned(),
            timeout: None,
            headers: vec![],
            ca: None,
            credentials: None,
            namespace: String::new(),
        }
    }
}

/// An API server with these Secrets: their paths, and what is in them.
pub(in crate::evidence) fn of<const N: usize>(secrets: [(&str, &[(&str, &str)]); N]) -> Secrets {
    let pairs = |data: &[(&str, &str)]| {
        let data = data.iter().map(|(key, value)| {
            let value = BASE64_STANDARD.encode(value);
            ((*key).to_owned(), json!(value))
        });
        serde_json::Value::Object(data.collect())
    };
    let all = secrets.map(|(path, data)| (path.to_owned(), pairs(data)));
    let all = Arc::new(all);
    let answer = move |request: Request<Body>| {
        let all = Arc::clone(&all);
        async move {
            let path = request.uri().path();
            let found = all.iter().find(|(name, _)| path.ends_with(name.as_str()));
            let (status, body) = if let Some((_, data)) = found {
                (
                    200,
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": data}),
                )
            } else {
                let told = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "secrets is forbidden", "reason": "Forbidden", "code": 403});
                (403, told)
            };
            let response = Response::builder().status(status);
            response.body(Body::from(body.to_string().into_bytes()))
        }
    };
    Secrets::new(Client::new(service_fn(answer), "default"))
}

fn bearer(secret: &str, key: Option<&str>) -> Credentials {
    Credentials {
        bearer: Some(BearerToken {
            secret: secret.to_owned(),
            key: key.map(str::to_owned),
        }),
        basic: None,
    }
}

fn basic(secret: &str) -> Credentials {
    Credentials {
        bearer: None,
        basic: Some(BasicAuth {
            secret: secret.to_owned(),
        }),
    }
}

fn secrets() -> Secrets {
    of([
        (
            "/namespaces/shop/secrets/tokens",
            &[("token", "abc\n"), ("other", "xyz")],
        ),
        (
            "/namespaces/shop/secrets/user",
            &[("username", "me"), ("password", "pass:word")],
        ),
        ("/namespaces/shop/secrets/broken", &[("token", "a\nb")]),
    ])
}

fn asking(credentials: Credentials) -> Server {
    Server {
        credentials: Some(credentials),
        namespace: "shop".to_owned(),
        ..Server::at("http://prometheus")
    }
}

/// What a server gets to see of `headers`.
async fn seen(server: Server, headers: [&'static str; 2]) -> Result<[String; 2], Problem> {
    // A second test finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    let got = Arc::new(Mutex::new([String::new(), String::new()]));
    let told = Arc::clone(&got);
    let answer = post(move |all: HeaderMap| async move {
        *told.lock() = headers.map(|name| {
            let value = all.get(name).map(|value| value.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        });
        (
            StatusCode::FOUND,
            [("location", "http://127.0.0.1:1/elsewhere")],
            "",
        )
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/query", answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = server.client(&secrets()).await?;
    let answer = fetch(&client, &address, "up", CONNECT).await?;
    assert_eq!(answer.0, 302, "a redirection is followed with credentials");
    let got = got.lock().clone();
    Ok(got)
}

#[tokio::test]
async fn a_server_gets_what_it_asks_for() {
    let tenant = Server {
        headers: vec![Header {
            name: "X-Scope-OrgID".to_owned(),
            value: "shop".to_owned(),
        }],
        ..asking(bearer("tokens", None))
    };
    let headers = ["authorization", "x-scope-orgid"];
    assert!(!tenant.is_open());
    assert_eq!(seen(tenant, headers).await.unwrap(), ["Bearer abc", "shop"]);
    let other = seen(asking(bearer("tokens", Some("other"))), headers);
    assert_eq!(other.await.unwrap(), ["Bearer xyz", ""]);
    let user = seen(asking(basic("user")), headers).await.unwrap();
    assert_eq!(
        user,
        [
            &format!("Basic {}", BASE64_STANDARD.encode("me:pass:word")),
            ""
        ]
    );
}

#[tokio::test]
async fn what_is_missing_is_told_without_a_secret() {
    let problem = async |server: Server| {
        let client = server.client(&secrets()).await;
        client.unwrap_err().to_string()
    };
    let told = problem(asking(bearer("nothing", None))).await;
    assert!(
        told.contains("the Secret shop/nothing cannot be read"),
        "{told}"
    );
    assert!(told.contains("forbidden"), "{told}");
    let told = problem(asking(bearer("user", None))).await;
    assert!(
        told.ends_with("the Secret shop/user has no text token"),
        "{told}"
    );
    let told = problem(asking(bearer("broken", None))).await;
    assert!(
        !told.contains("a\nb") && told.contains("cannot be sent"),
        "{told}"
    );
    let wrong = |ca: &str| Server {
        ca: Some(ca.to_owned()),
        ..Server::at("https://prometheus")
    };
    let told = problem(wrong("nonsense")).await;
    assert!(told.contains("metrics.ca"), "{told}");
}

#[test]
fn a_section_says_all() {
    let metrics: Metrics = serde_json::from_value(json!({
        "address": "https://mimir.monitoring/prometheus/", "timeout": "30s", "ca": "PEM",
        "headers": [{"name": "X-Scope-OrgID", "value": "shop"}],
        "credentials": {"bearer": {"secret": "mimir"}},
    }))
    .unwrap();
    let server = Server::new(&metrics, "shop");
    assert_eq!(server.address, "https://mimir.monitoring/prometheus");
    assert_eq!(server.timeout, Some(Duration::from_secs(30)));
    assert_eq!(
        (server.headers.len(), server.namespace.as_str()),
        (1, "shop")
    );
    assert_eq!(server.credentials, Some(bearer("mimir", None)));
}
