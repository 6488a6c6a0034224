//! One HTTP/1.1 request on a connection of its own: what a kubelet's probe does.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Sends `method path` with `body` to `address`, and reads the whole answer.
///
/// # Errors
/// When there is no complete answer within `limit`. An answer of any status is no error.
pub async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
    limit: Duration,
) -> Result<(StatusCode, Bytes)> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Full::new(body.into()))?;
    timeout(limit, exchange(address, request))
        .await
        .with_context(|| format!("no answer from {address} within {limit:?}"))?
}

/// Sends a request to the address in its URL, and reads the whole answer.
///
/// # Errors
/// When there is no complete answer within `limit`.
pub(super) async fn send(request: Request<Bytes>, limit: Duration) -> Result<Response<Bytes>> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().context("a URL without a host")?;
    let address: SocketAddr = authority.as_str().parse()?;
    let host = HeaderValue::from_str(authority.as_str())?;
    head.headers.insert(header::HOST, host);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse()?;
    let request = Request::from_parts(head, Full::new(body));
    let (status, body) = timeout(limit, exchange(address, request))
        .await
        .with_context(|| format!("no answer from {address} within {limit:?}"))??;
    Ok(Response::builder().status(status).body(body)?)
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    // Driven here rather than in a task of its own, so nothing is left behind by a timeout.
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}
