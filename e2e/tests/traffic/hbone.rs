//! A small HBONE server that ends tunnels at will: the awkward moments of a real waypoint, on time.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use e2e::certs::{Authority, spiffe_uri};
use http_body_util::Empty;
use hyper::{Method, Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// A running server; every tunnel leads to one backend.
pub(crate) struct Waypoint {
    authority: Authority,
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    backend: SocketAddr,
    tunnels: AtomicUsize,
    connections: AtomicUsize,
    cut_used: AtomicUsize,
    cut_new: AtomicUsize,
    close_idle: watch::Sender<u32>,
    go_away: watch::Sender<u32>,
}

impl Waypoint {
    pub(crate) async fn start(authority: Authority, backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&authority)));
        let state = Arc::new(State {
            backend,
            tunnels: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            cut_used: AtomicUsize::new(0),
            cut_new: AtomicUsize::new(0),
            close_idle: watch::Sender::new(0),
            go_away: watch::Sender::new(0),
        });
        let accepted = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&accepted)));
            }
        });
        Self {
            authority,
            address,
            state,
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tunnels opened so far.
    pub(crate) fn tunnels(&self) -> usize {
        self.state.tunnels.load(Ordering::SeqCst)
    }

    /// TLS connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The next `n` requests on tunnels that served one before lose their tunnel unanswered.
    pub(crate) fn cut_used(&self, n: usize) {
        self.state.cut_used.store(n, Ordering::SeqCst);
    }

    /// The next `n` first requests of a tunnel lose it unanswered.
    pub(crate) fn cut_new(&self, n: usize) {
        self.state.cut_new.store(n, Ordering::SeqCst);
    }

    /// Closes every tunnel.
    pub(crate) fn close_idle(&self) {
        self.state.close_idle.send_modify(|times| *times += 1);
    }

    /// Ends every TLS connection as a draining proxy does: GOAWAY, then the end of each tunnel.
    pub(crate) fn go_away(&self) {
        self.state.go_away.send_modify(|times| *times += 1);
        self.close_idle();
    }
}

fn server_config(authority: &Authority) -> ServerConfig {
    let leaf = authority
        .leaf(&spiffe_uri("shop", "waypoint"), &[], &[])
        .unwrap();
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    state.connections.fetch_add(1, Ordering::SeqCst);
    let mut go_away = state.go_away.subscribe();
    let service = service_fn(|request| {
        let response = connect(request, Arc::clone(&state));
        async { Ok::<_, Infallible>(response) }
    });
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = go_away.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

fn connect(request: Request<Incoming>, state: Arc<State>) -> Response<Empty<Bytes>> {
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.uri().to_string(), "10.0.0.1:80");
    state.tunnels.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        if let Ok(tunnel) = hyper::upgrade::on(request).await {
            let _ = carry(TokioIo::new(tunnel), &state).await;
        }
    });
    Response::new(Empty::new())
}

/// Carries bytes between a tunnel and the backend until either ends or the tunnel is to be cut.
async fn carry(tunnel: TokioIo<hyper::upgrade::Upgraded>, state: &State) -> std::io::Result<()> {
    let mut close = state.close_idle.subscribe();
    let (mut from_client, mut to_client) = tokio::io::split(tunnel);
    let (mut from_app, mut to_app) = TcpStream::connect(state.backend).await?.into_split();
    let requests = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut used = false;
        loop {
            let n = from_client.read(&mut buffer).await?;
            let cut = if used {
                &state.cut_used
            } else {
                &state.cut_new
            };
            let is_cut = |left: usize| left.checked_sub(1);
            if n == 0
                || cut
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_cut)
                    .is_ok()
            {
                return Ok(());
            }
            used = true;
            to_app.write_all(&buffer[..n]).await?;
        }
    };
    tokio::select! {
        ended = requests => ended,
        ended = tokio::io::copy(&mut from_app, &mut to_client) => ended.map(drop),
        _ = close.changed() => Ok(()),
    }
}
