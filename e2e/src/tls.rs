//! TLS before a service of the harness, by an authority that nobody else knows.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::Result;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certs::Authority;

/// A port of the loopback that speaks TLS.
pub(crate) struct Front {
    /// `https://…`, without a path.
    pub(crate) url: String,
    /// The certificate of its authority, PEM.
    pub(crate) ca: String,
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Front {
    /// Takes a free port.
    ///
    /// # Errors
    /// When no certificate can be made or no port is free.
    pub(crate) async fn open() -> Result<Self> {
        let authority = Authority::new()?;
        let leaf = authority.leaf("", &[IpAddr::V4(Ipv4Addr::LOCALHOST)], &[])?;
        let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            url: format!("https://{}", listener.local_addr()?),
            ca: authority.ca_pem().to_owned(),
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Answers until it is dropped.
    pub(crate) async fn serve<F, A, B>(self, answer: F)
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Response<B>>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = self.listener.accept().await {
            let (acceptor, answer) = (self.acceptor.clone(), answer.clone());
            connections.spawn(async move {
                // A client that does not trust us is no event here.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let server = auto::Builder::new(TokioExecutor::new());
                let service = service_fn(answer);
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }
}
