//! One client: a keep-alive connection, a request at a time, and the rule of when to try again.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Uri,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::io::InspectReader;

use super::{
    Spec, Target,
    hbone::Tunnels,
    outcome::{Answer, Outcome},
};

/// A request that can be sent again and again.
#[derive(Debug, Clone)]
pub(super) struct Request {
    uri: Uri,
    headers: HeaderMap,
}

/// Checks and prepares what `spec` asks to send.
pub(super) fn request(spec: &Spec) -> Result<Request> {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&spec.host).context("host")?);
    for (name, value) in &spec.headers {
        headers.append(
            HeaderName::try_from(name).with_context(|| format!("header {name:?}"))?,
            HeaderValue::from_str(value).with_context(|| format!("value of header {name}"))?,
        );
    }
    Ok(Request {
        uri: spec.path.parse().context("path")?,
        headers,
    })
}

/// A client with at most one connection.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    request: Request,
    tunnels: Arc<Tunnels>,
    slot: usize,
    limit: Duration,
    keep_alive: bool,
    connection: Option<Connection>,
    /// Connections so far.
    opened: usize,
}

/// Requests on a connection to an endpoint of the client's choice, so that it meets all of them soon.
const ON_ONE_ENDPOINT: usize = 10;

#[derive(Debug)]
struct Connection {
    /// Whom to, if the client chose, and for how many requests more.
    choice: Option<(SocketAddr, usize)>,
    sender: SendRequest<Empty<Bytes>>,
    /// Bytes received on it: whether any byte of an answer arrived decides on a repeat.
    received: Arc<AtomicU64>,
}

/// What the demo app says of itself.
#[derive(Deserialize)]
struct Body {
    version: String,
    pod: String,
    greeting: Option<String>,
}

/// Why an attempt has no answer.
enum Broken {
    /// `net/http` would send it again.
    Again(String),
    Failed(Outcome, String),
}

impl Client {
    pub(super) fn new(spec: &Spec, request: Request, tunnels: Arc<Tunnels>, slot: usize) -> Self {
        Self {
            target: spec.target.clone(),
            request,
            tunnels,
            slot,
            limit: spec.timeout,
            keep_alive: spec.keep_alive,
            connection: None,
            opened: 0,
        }
    }

    /// Sends one request and reads its answer.
    pub(super) async fn send(&mut self) -> Answer {
        let mut retried = false;
        let limit = self.limit;
        let sent = timeout(limit, async {
            match self.attempt().await {
                Err(Broken::Again(_)) => {
                    retried = true;
                    self.attempt().await
                }
                other => other,
            }
        })
        .await;
        let mut answer = match sent {
            Ok(Ok(answer)) => answer,
            // A repeat goes out on a new connection, so it never asks for another.
            Ok(Err(Broken::Again(why))) => Answer::failed(Outcome::Reset, why),
            Ok(Err(Broken::Failed(outcome, why))) => Answer::failed(outcome, why),
            Err(_) => {
                self.connection = None;
                Answer::failed(Outcome::Timeout, format!("no answer within {limit:?}"))
            }
        };
        answer.retried = retried;
        answer
    }

    async fn attempt(&mut self) -> Result<Answer, Broken> {
        let mut reused = None;
        if let Some(mut connection) = self.connection.take().filter(|open| self.stays(open)) {
            // False if the server closed it or said `Connection: close`: no client uses it again.
            if connection.sender.ready().await.is_ok() {
                reused = Some(connection);
            }
        }
        let was_used = reused.is_some();
        let mut connection = match reused {
            Some(connection) => connection,
            None => self
                .connect()
                .await
                .map_err(|error| Broken::Failed(Outcome::Connect, format!("{error:#}")))?,
        };
        let before = connection.received.load(Ordering::Relaxed);
        let mut request = hyper::Request::new(Empty::new());
        *request.uri_mut() = self.request.uri.clone();
        *request.headers_mut() = self.request.headers.clone();
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|error| {
                let why = format!("{:#}", anyhow::Error::new(error));
                if was_used && connection.received.load(Ordering::Relaxed) == before {
                    Broken::Again(why)
                } else {
                    Broken::Failed(Outcome::Reset, why)
                }
            })?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| {
            Broken::Failed(
                Outcome::Reset,
                format!("{status}, then {:#}", anyhow::Error::new(error)),
            )
        })?;
        if let Some((_, left)) = &mut connection.choice {
            *left -= 1;
        }
        self.connection = Some(connection).filter(|_| self.keep_alive);
        let body = body.to_bytes();
        // A proxy's own answers are not the app's, and name no version.
        let from_app = serde_json::from_slice::<Body>(&body).ok();
        let outcome = Outcome::Status(status.as_u16());
        let Some(from_app) = from_app else {
            let why = String::from_utf8_lossy(&body).into_owned();
            return Ok(Answer::failed(outcome, why));
        };
        Ok(Answer {
            outcome,
            version: Some(from_app.version),
            pod: Some(from_app.pod),
            greeting: from_app.greeting,
            why: None,
            retried: false,
        })
    }

    /// Whether the client would use a connection again.
    fn stays(&self, connection: &Connection) -> bool {
        match (&self.target, &connection.choice) {
            (Target::Endpoints { of, .. }, Some((endpoint, left))) => {
                *left > 0 && of.borrow().contains(endpoint)
            }
            _ => true,
        }
    }

    async fn connect(&mut self) -> Result<Connection> {
        self.opened += 1;
        match &self.target {
            Target::Direct(address) => {
                let stream = TcpStream::connect(address).await.context("connecting")?;
                stream.set_nodelay(true)?;
                handshake(stream).await
            }
            Target::Endpoints { from, of } => {
                let turn = self.slot + self.opened;
                let endpoint = {
                    let endpoints = of.borrow();
                    let turn = turn.checked_rem(endpoints.len());
                    turn.and_then(|turn| endpoints.get(turn).copied())
                };
                let endpoint = endpoint.context("the Service has no endpoints")?;
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from((*from, 0)))?;
                let stream = socket.connect(endpoint).await.context("connecting")?;
                stream.set_nodelay(true)?;
                let mut connection = handshake(stream).await?;
                connection.choice = Some((endpoint, ON_ONE_ENDPOINT));
                Ok(connection)
            }
            Target::Waypoint {
                address,
                authority,
                tls,
            } => {
                let tunnel = self
                    .tunnels
                    .open(self.slot, *address, authority, tls)
                    .await?;
                handshake(TokioIo::new(tunnel)).await
            }
        }
    }
}

async fn handshake(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection> {
    let received = Arc::new(AtomicU64::new(0));
    let counted = InspectReader::new(io, {
        let received = Arc::clone(&received);
        move |bytes: &[u8]| {
            received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    });
    let (sender, connection) = http1::handshake(TokioIo::new(counted)).await?;
    // Its errors reach the request under way; it ends with its sender.
    tokio::spawn(connection);
    Ok(Connection {
        choice: None,
        sender,
        received,
    })
}
