//! Clients of a Service: a steady stream of requests, and what became of every one of them.
//!
//! Stands in for an application and the ztunnel beside it. The way in is the mesh's own: HBONE
//! (HTTP/2 CONNECT over mTLS) to the waypoint, keep-alive HTTP/1.1 inside the tunnel. What a user
//! would not notice is not counted as failed, and nothing else is forgiven:
//!
//! - a failed request is any answer but 2xx and 3xx, or none within the time limit;
//! - a request is sent again, once, only where Go's `net/http` would do so: the connection had
//!   been used before, and the server closed it before any byte of the answer. Such repeats are
//!   counted ([`Totals::retried`]);
//! - `Connection: close` is honoured, as every client library does.
//!
//! The load is *open*: requests are due at even intervals whether or not earlier ones are
//! answered, and a late start counts as latency.

mod client;
mod hbone;
mod log;
mod outcome;
mod pace;
mod report;
pub mod stats;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use tokio::{
    runtime,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

pub use outcome::{Ended, Failure, Outcome, Tally, Totals, Window};
pub use report::{Report, Snapshot};
pub use tls::mesh_client;

use crate::process::until;
use client::Client;
use log::Log;
use pace::Pace;

/// How far back the window of [`Load::snapshot`] reaches.
pub const RECENT: Duration = Duration::from_secs(5);

/// Where requests go.
#[derive(Debug, Clone)]
pub enum Target {
    /// Plain HTTP/1.1 to an address, past the mesh.
    Direct(SocketAddr),
    /// Plain HTTP/1.1 to endpoints that the client picks itself: connections go round, end after a few
    /// requests, and leave an endpoint that is none any more.
    Endpoints {
        /// The client's own address.
        from: Ipv4Addr,
        /// The endpoints of the moment.
        of: watch::Receiver<Vec<SocketAddr>>,
    },
    /// HBONE to a waypoint.
    Waypoint {
        /// The waypoint's IP, port 15008.
        address: SocketAddr,
        /// `:authority` of the CONNECT: `ClusterIP:port` of the Service.
        authority: String,
        /// mTLS identity, see [`mesh_client`].
        tls: Arc<ClientConfig>,
    },
}

/// What to send, how fast, and for how long at most.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where requests go.
    pub target: Target,
    /// `Host` header.
    pub host: String,
    /// Path with query.
    pub path: String,
    /// More headers, e.g. for a step that matches one.
    pub headers: Vec<(String, String)>,
    /// Requests per second at the start; 0 sends none until [`Load::set_rate`].
    pub rate: f64,
    /// Keep-alive connections. Also the bound on requests under way.
    pub connections: usize,
    /// Whether a connection serves more than one request.
    pub keep_alive: bool,
    /// TLS connections that the tunnels to a waypoint share; ztunnel too opens few.
    pub tls_connections: usize,
    /// Time limit of one request, its repeat included.
    pub timeout: Duration,
    /// The load ends by itself after this time …
    pub max_duration: Duration,
    /// … or after so many requests (each takes 24 bytes of memory).
    pub max_requests: usize,
}

impl Spec {
    /// GET / at `rate` requests per second: 20 connections, at most 30 min and 1,000,000 requests.
    #[must_use]
    pub fn new(target: Target, host: impl Into<String>, rate: f64) -> Self {
        Self {
            target,
            host: host.into(),
            path: "/".to_owned(),
            headers: Vec::new(),
            rate,
            connections: 20,
            keep_alive: true,
            tls_connections: 2,
            timeout: Duration::from_secs(10),
            max_duration: Duration::from_mins(30),
            max_requests: 1_000_000,
        }
    }
}

/// A running load. Dropping it ends it.
#[derive(Debug)]
pub struct Load {
    control: watch::Sender<Control>,
    log: Arc<Log>,
    done: oneshot::Receiver<()>,
}

/// Sends single requests until one is answered well: a proxy needs a moment to learn of a new Service.
///
/// # Errors
/// With the last failure, if none is within the time given.
pub async fn until_answered(spec: &Spec, within: Duration) -> Result<()> {
    let one = Spec {
        rate: 1000.0,
        connections: 1,
        max_requests: 1,
        ..spec.clone()
    };
    until("a good answer", within, async || {
        let report = Load::start(one.clone())?.finished().await;
        ensure!(report.totals.all.failed == 0, "{report}");
        Ok(())
    })
    .await
}

/// What the clients are told while they run.
#[derive(Debug, Clone, Copy)]
struct Control {
    rate: f64,
    stopped: bool,
}

impl Load {
    /// Starts the clients, in a thread of their own: a busy story cannot delay them, and they never
    /// take more than one core.
    ///
    /// # Errors
    /// When the request is not valid HTTP or the thread cannot start.
    pub fn start(spec: Spec) -> Result<Self> {
        let request = client::request(&spec)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (control, told) = watch::channel(Control {
            rate: spec.rate,
            stopped: false,
        });
        let log = Arc::new(Log::new(spec.max_requests));
        let (finished, done) = oneshot::channel();
        thread::Builder::new()
            .name("load".to_owned())
            .spawn({
                let log = Arc::clone(&log);
                move || {
                    runtime.block_on(run(&spec, request, &log, &told));
                    let _ = finished.send(());
                }
            })
            .context("starting the load's thread")?;
        Ok(Self { control, log, done })
    }

    /// Sends `rate` requests per second from now on; 0 sends none.
    pub fn set_rate(&self, rate: f64) {
        self.control.send_modify(|control| control.rate = rate);
    }

    /// Everything so far, and the last [`RECENT`] seconds.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.log.now();
        Snapshot {
            elapsed: now,
            totals: self.log.totals(),
            recent: self.log.window(now.saturating_sub(RECENT), now),
        }
    }

    /// When it began, on the clock that others have too.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        SystemTime::now() - self.now()
    }

    /// The load's clock: time since its start, for [`Load::since`] and [`Report::window`].
    #[must_use]
    pub fn now(&self) -> Duration {
        self.log.now()
    }

    /// Requests that were sent at or after `mark` and are answered.
    #[must_use]
    pub fn since(&self, mark: Duration) -> Window {
        self.log.window(mark, self.log.now())
    }

    /// Every request so far, in the order in which they ended.
    #[must_use]
    pub fn ended(&self) -> Vec<Ended> {
        self.log.ended()
    }

    /// Sends no more, waits for the answers under way, and reports.
    pub async fn stop(self) -> Report {
        self.control.send_modify(|control| control.stopped = true);
        self.finished().await
    }

    /// Waits until the load reaches one of its limits, and reports.
    pub async fn finished(mut self) -> Report {
        // An error means the thread is gone, so there is nothing left to wait for.
        let _ = (&mut self.done).await;
        Report::new(Arc::clone(&self.log))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.control.send_modify(|control| control.stopped = true);
    }
}

async fn run(
    spec: &Spec,
    request: client::Request,
    log: &Arc<Log>,
    told: &watch::Receiver<Control>,
) {
    let pace = Arc::new(Pace::new(Instant::now()));
    let tunnels = Arc::new(hbone::Tunnels::new(spec.tls_connections));
    let deadline = Instant::now() + spec.max_duration;
    let mut clients = JoinSet::new();
    for slot in 0..spec.connections {
        let client = Client::new(spec, request.clone(), Arc::clone(&tunnels), slot);
        clients.spawn(send(
            client,
            Arc::clone(&pace),
            Arc::clone(log),
            told.clone(),
            deadline,
        ));
    }
    // Answers under way at the deadline are waited for, as long as one request may take.
    tokio::select! {
        () = async { while clients.join_next().await.is_some() {} } => {}
        () = sleep(spec.max_duration + 2 * spec.timeout) => clients.shutdown().await,
    }
    log.skipped(pace.skipped());
}

/// One client: a request at a time, each when it is due.
async fn send(
    mut client: Client,
    pace: Arc<Pace>,
    log: Arc<Log>,
    mut told: watch::Receiver<Control>,
    deadline: Instant,
) {
    loop {
        let due = tokio::select! {
            due = pace.arrival(&mut told) => due,
            () = tokio::time::sleep_until(deadline) => None,
        };
        let Some(due) = due else { return };
        if !log.admit() {
            return;
        }
        let answer = client.send().await;
        log.record(due.into_std(), answer);
        log.skipped(pace.skipped());
    }
}
