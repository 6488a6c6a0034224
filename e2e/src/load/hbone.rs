//! HBONE tunnels: HTTP/2 CONNECT streams over a few mTLS connections to a waypoint.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Method, Request,
    client::conn::http2::{self, SendRequest},
    upgrade::{self, Upgraded},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::TlsConnector;

/// ztunnel's defaults, so that flow control is met where it is met in a real mesh.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

type Tls = SendRequest<Empty<Bytes>>;

/// TLS connections that many tunnels share.
#[derive(Debug)]
pub(super) struct Tunnels(Vec<Mutex<Option<Tls>>>);

impl Tunnels {
    pub(super) fn new(connections: usize) -> Self {
        Self((0..connections.max(1)).map(|_| Mutex::new(None)).collect())
    }

    /// Opens a tunnel to `authority` (`ClusterIP:port`) through the waypoint at `address`.
    ///
    /// One attempt: where ztunnel cannot open a tunnel it resets its client's connection.
    pub(super) async fn open(
        &self,
        slot: usize,
        address: SocketAddr,
        authority: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<Upgraded> {
        let mut tls = self.connection(slot, address, config).await?;
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(authority)
            .body(Empty::new())
            .with_context(|| format!("CONNECT {authority}"))?;
        let response = tls.send_request(request).await.context("HBONE CONNECT")?;
        let status = response.status();
        ensure!(status.is_success(), "HBONE CONNECT answered {status}");
        upgrade::on(response).await.context("HBONE tunnel")
    }

    /// The slot's TLS connection; a new one if it was told to go away.
    async fn connection(
        &self,
        slot: usize,
        address: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> Result<Tls> {
        let slot = self.0.get(slot % self.0.len()).context("no slot")?;
        let mut slot = slot.lock().await;
        if let Some(tls) = slot.as_mut()
            && tls.ready().await.is_ok()
        {
            return Ok(tls.clone());
        }
        let tls = handshake(address, config)
            .await
            .with_context(|| format!("mTLS to {address}"))?;
        Ok(slot.insert(tls).clone())
    }
}

async fn handshake(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Tls> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(ServerName::from(address.ip()), stream)
        .await?;
    let (tls, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    // Its errors reach every request on it.
    tokio::spawn(connection);
    Ok(tls)
}
