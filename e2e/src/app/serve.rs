//! The process: listeners, SIGTERM, and the order in which it leaves.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use parking_lot::RwLock;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use super::{
    answer::App, behaviour::Behaviour, counts::Counters, greeting::Greeting, telemetry::Telemetry,
};

/// A pod is told to stop at the same moment as its endpoint starts to go: it serves on until every
/// proxy has heard of it. Enough for one pod at a time. While many pods change, istiod sends nothing
/// until it had 100 ms of quiet, and then pods need a `preStop` sleep, here as in production
/// (measured: 40 pods replaced in 2 s under load failed 5 requests without, none with 5 s).
const LINGER: Duration = Duration::from_millis(1500);
const CRASH_AFTER: Duration = Duration::from_millis(200);
const DEFAULT_PORT: u16 = 8080;

/// Runs the app as its environment says, until SIGTERM.
///
/// Prints `listening on ADDRESS` for each port. Returns once every request that was begun is
/// answered; it sets no limit itself, the node agent's SIGKILL does.
///
/// # Errors
/// When the environment does not parse or a port cannot be bound.
pub async fn run() -> Result<()> {
    let app = Arc::new(from_env()?);
    let address: IpAddr = match var("POD_IP") {
        Some(ip) => ip.parse().with_context(|| format!("POD_IP {ip:?}"))?,
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    if app.behaviour.read().crash {
        tokio::time::sleep(CRASH_AFTER).await;
        eprintln!("{}: panic: this version is broken", app.image);
        process::exit(1);
    }
    let graceful = Arc::new(GracefulShutdown::new());
    let told = Arc::new(connections()?);
    let mut listeners = JoinSet::new();
    for port in ports()? {
        let listener = TcpListener::bind((address, port))
            .await
            .with_context(|| format!("listening on {address}:{port}"))?;
        println!("listening on {}", listener.local_addr()?);
        listeners.spawn(accept(
            listener,
            Arc::clone(&app),
            Arc::clone(&graceful),
            Arc::clone(&told),
        ));
    }
    terminate.recv().await;
    tokio::time::sleep(LINGER).await;
    listeners.shutdown().await;
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
    tokio::task::spawn_blocking(move || app.telemetry.as_ref().map(Telemetry::shutdown)).await?;
    Ok(())
}

fn from_env() -> Result<App> {
    let image = var("IMAGE").context("IMAGE is not set")?;
    Ok(App {
        behaviour: RwLock::new(Behaviour::of_image(&image)?),
        image,
        pod: var("POD_NAME").unwrap_or_default(),
        namespace: var("POD_NAMESPACE").unwrap_or_default(),
        greeting: Greeting::from_env(var),
        ready: AtomicBool::new(true),
        counters: Counters::new(),
        telemetry: Telemetry::from_env(var)?,
        begun: AtomicU64::new(0),
    })
}

fn var(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn ports() -> Result<Vec<u16>> {
    let Some(ports) = var("PORTS").filter(|ports| !ports.is_empty()) else {
        return Ok(vec![DEFAULT_PORT]);
    };
    let parsed = ports.split(',').map(str::parse).collect::<Result<_, _>>();
    parsed.with_context(|| format!("PORTS {ports:?}"))
}

/// Where to tell of connections, if anybody listens.
fn connections() -> Result<Option<UnixDatagram>> {
    let Some(name) = var("CONNECTIONS_TO") else {
        return Ok(None);
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let address = SocketAddr::from_abstract_name(name.as_bytes())?;
    socket
        .connect_addr(&address)
        .with_context(|| format!("CONNECTIONS_TO {name:?}"))?;
    Ok(Some(socket))
}

async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    graceful: Arc<GracefulShutdown>,
    told: Arc<Option<UnixDatagram>>,
) {
    let own = listener.local_addr();
    let port = own.as_ref().map_or(0, std::net::SocketAddr::port);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let (Some(told), Ok(own)) = (told.as_ref(), &own) {
                    // A lost message is one connection uncounted, and no reason not to serve.
                    let _ = told.send(format!("{} {}", own.ip(), peer.ip()).as_bytes());
                }
                serve(stream, port, &app, &graceful);
            }
            // Out of file descriptors, most likely: connections will close.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn serve(stream: TcpStream, port: u16, app: &Arc<App>, graceful: &GracefulShutdown) {
    // Small answers must not wait for a full segment.
    let _ = stream.set_nodelay(true);
    let app = Arc::clone(app);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { app.answer(port, request).await }
    });
    let connection = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that went away is no event of this server.
        let _ = connection.await;
    });
}
