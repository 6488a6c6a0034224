//! A gate between one controller and the API server.
//!
//! Real traffic to the real API server, with a fault in the middle: the controller speaks HTTP to the
//! gate and the gate TLS to the API server, both on loopback, with the controller's own token; watches
//! stream. The gate counts the writes that pass, and on demand strikes right after one of them, refuses
//! some, or lets nothing pass. What it makes up itself is said below; all else is the API server's.

mod route;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api_server;

type Body = BoxBody<Bytes, anyhow::Error>;

/// A gate. Dropping it closes every connection through it.
#[derive(Debug)]
pub struct Gate {
    kubeconfig: PathBuf,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

/// A write that was asked for.
#[derive(Clone, Debug)]
pub struct Write {
    /// For example `PATCH httproutes/shop` or `POST events`.
    pub what: String,
    /// The answer's status.
    pub status: u16,
    /// When it was answered.
    pub at: Instant,
}

impl Write {
    /// Whether it changed something.
    #[must_use]
    pub fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it only tells of something.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.what.ends_with(" events") || self.what.contains(" events/")
    }
}

/// How the gate answers writes in the API server's place: the first `times` of each kind of write, told
/// apart by verb, resource and subresource.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// 409, 429 or 500.
    pub status: u16,
    /// For 429: the header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// How often each kind is refused.
    pub times: usize,
}

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Passage {
    Open,
    /// Connections are closed, old ones and new ones.
    Refusing,
    /// Nobody reads or writes, connections stay open.
    Hanging,
    /// The same; and when it is over, old connections are closed: their other end is dead.
    Struck,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    passage: watch::Sender<Passage>,
    orders: Mutex<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    writes: Vec<Write>,
    strike: Option<Strike>,
    refusal: Option<Refusal>,
}

/// After which write to strike, and whom to tell.
#[derive(Debug)]
struct Strike {
    left: usize,
    events_too: bool,
    tell: mpsc::UnboundedSender<String>,
}

impl Gate {
    /// Opens it at a free port; `kubeconfig` writes the file that leads there.
    pub(super) async fn open_at(
        http: reqwest::Client,
        kubeconfig: impl FnOnce(SocketAddr) -> Result<PathBuf>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no port for a gate")?;
        let kubeconfig = kubeconfig(listener.local_addr()?)?;
        let shared = Arc::new(Shared {
            http,
            passage: watch::Sender::new(Passage::Open),
            orders: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            kubeconfig,
            shared,
            _serving: serving,
        })
    }

    /// The kubeconfig that leads through the gate.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Lets everything pass, and begins to count anew.
    pub fn open(&self) {
        *self.shared.orders.lock() = Orders::default();
        self.shared.passage.send_replace(Passage::Open);
    }

    /// The same, and strikes after `writes` writes: the API server has done the last of them, and its
    /// answer never reaches the controller. From then on nothing passes until the gate is opened again.
    /// What is received names the write. Without `events_too`, Events do not count.
    #[must_use]
    pub fn strike_after(&self, writes: usize, events_too: bool) -> mpsc::UnboundedReceiver<String> {
        let (tell, told) = mpsc::unbounded_channel();
        *self.shared.orders.lock() = Orders {
            strike: Some(Strike {
                left: writes,
                events_too,
                tell,
            }),
            ..Orders::default()
        };
        self.shared.passage.send_replace(Passage::Open);
        told
    }

    /// The same as [`Gate::open`], and refuses writes.
    pub fn refuse(&self, refusal: Refusal) {
        *self.shared.orders.lock() = Orders {
            refusal: Some(refusal),
            ..Orders::default()
        };
        self.shared.passage.send_replace(Passage::Open);
    }

    /// Closes every connection, and every new one at once, until the gate is opened.
    pub fn close(&self) {
        self.shared.passage.send_replace(Passage::Refusing);
    }

    /// Lets every connection hang, as a network that loses all packets, until the gate is opened.
    pub fn hang(&self) {
        self.shared.passage.send_replace(Passage::Hanging);
    }

    /// Writes since the gate was last told something, renewals of leases apart, in the order of their
    /// answers.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.shared.orders.lock().writes.clone()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection of the controller, served only while the gate is open.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut passage = shared.passage.subscribe();
    let service = service_fn(|request| shared.pass(request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        let now = *passage.borrow_and_update();
        let changed = match now {
            Passage::Refusing => return,
            Passage::Open => tokio::select! {
                biased;
                changed = passage.changed() => changed,
                // The controller closed it, or the API server was not there.
                _ = &mut connection => return,
            },
            Passage::Hanging => passage.changed().await,
            Passage::Struck => {
                // An error means that the gate is gone.
                let _ = passage.changed().await;
                return;
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Takes one request to the API server and its answer back.
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let kind = route::kind(head.uri.path());
        let writes = !matches!(head.method, Method::GET | Method::HEAD) && kind != "leases";
        let about = route::about(&head.method, head.uri.path());
        if writes && let Some(refused) = self.refused(&head.method, &kind, &about)? {
            return Ok(refused);
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{path}", api_server::url());
        let mut headers = head.headers;
        headers.remove(header::HOST);
        headers.remove(header::CONNECTION);
        // An error closes the connection, as the API server would by not being there.
        let answer = self
            .http
            .request(head.method, url)
            .headers(headers)
            .body(body)
            .send()
            .await?;
        if writes {
            self.count(about, answer.status().as_u16()).await;
        }
        let mut answer = Response::from(answer);
        answer.headers_mut().remove(header::TRANSFER_ENCODING);
        answer.headers_mut().remove(header::CONNECTION);
        Ok(answer.map(|body| body.map_err(anyhow::Error::from).boxed()))
    }

    /// Notes a write that the API server answered. If this is the one to strike after, its answer goes
    /// nowhere.
    async fn count(&self, what: String, status: u16) {
        let write = Write {
            what,
            status,
            at: Instant::now(),
        };
        let struck = {
            let mut orders = self.orders.lock();
            orders.writes.push(write.clone());
            orders.strike.as_mut().is_some_and(|strike| {
                let counts = write.is_done() && (strike.events_too || !write.is_event());
                strike.left = strike.left.saturating_sub(usize::from(counts));
                let now = counts && strike.left == 0;
                if now {
                    // Nobody listens any more: the run that armed it has ended.
                    let _ = strike.tell.send(write.what);
                }
                now
            })
        };
        if struck {
            self.passage.send_replace(Passage::Struck);
            std::future::pending::<()>().await;
        }
    }

    /// The gate's own answer to a write, if it is to be refused: worded as the API server's.
    fn refused(&self, method: &Method, kind: &str, about: &str) -> Result<Option<Response<Body>>> {
        let mut orders = self.orders.lock();
        let Some(refusal) = orders.refusal else {
            return Ok(None);
        };
        let of_kind = |write: &&Write| {
            write.status == refusal.status && route::is_of(&write.what, method, kind)
        };
        if orders.writes.iter().filter(of_kind).count() >= refusal.times {
            return Ok(None);
        }
        orders.writes.push(Write {
            what: about.to_owned(),
            status: refusal.status,
            at: Instant::now(),
        });
        let reason = match refusal.status {
            409 => "Conflict",
            429 => "TooManyRequests",
            _ => "InternalError",
        };
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("{reason}, by the gate"), "reason": reason, "code": refusal.status,
        });
        let mut answer = Response::builder()
            .status(refusal.status)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(seconds) = refusal.retry_after {
            answer = answer.header(header::RETRY_AFTER, seconds);
        }
        let body = Full::new(Bytes::from(status.to_string()));
        Ok(Some(answer.body(body.map_err(|n| match n {}).boxed())?))
    }
}
