//! A secret discovery server: it gives each waypoint its certificate, in the place of Istio's agent.
//!
//! It serves `StreamSecrets` only, which is what istiod's configuration makes Envoy call. A secret
//! never changes within a run, so each request that is not an acknowledgement gets one answer.

mod message;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use anyhow::{Context, Result};
use futures::future::{BoxFuture, Ready, ready};
use futures::stream::{Stream, StreamExt};
use prost::Message;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::certs::{Authority, spiffe_uri};
use message::{
    Any, DataSource, DiscoveryRequest, DiscoveryResponse, Secret, TlsCertificate, ValidationContext,
};

/// Where the waypoints' static cluster `sds-grpc` points.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15012);

const METHOD: &str = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
/// The name under which Envoy asks for what it trusts; every other name is a certificate.
const TRUSTED: &str = "ROOTCA";

type Answers = Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Status>> + Send>>;

/// Serves until the runtime ends.
pub(super) async fn start(authority: Arc<Authority>) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(ADDRESS)
        .await
        .context("binding the SDS port")?;
    let incoming = futures::stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    tokio::spawn(async move {
        let server = tonic::transport::Server::builder();
        let serving = server.serve_with_incoming(Secrets { authority }, Box::pin(incoming));
        if let Err(error) = serving.await {
            tracing::error!(%error, "the SDS server ended");
        }
    });
    Ok(())
}

#[derive(Clone)]
struct Secrets {
    authority: Arc<Authority>,
}

impl Service<hyper::Request<Body>> for Secrets {
    type Response = hyper::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Task<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        let secrets = self.clone();
        Box::pin(async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented(request.uri().path()).into_http());
            }
            Ok(Grpc::new(ProstCodec::default())
                .streaming(secrets, request)
                .await)
        })
    }
}

impl StreamingService<DiscoveryRequest> for Secrets {
    type Response = DiscoveryResponse;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let authority = Arc::clone(&self.authority);
        // Only the first request of a stream names its node.
        let mut workload = String::new();
        let answers = request.into_inner().filter_map(move |asked| {
            let answer = asked.and_then(|asked| {
                if let Some(node) = &asked.node {
                    workload.clone_from(&node.cluster);
                }
                answer(&authority, &workload, &asked)
            });
            ready(answer.transpose())
        });
        ready(Ok(Response::new(Box::pin(answers))))
    }
}

/// `workload` is the node's cluster, `SERVICE_ACCOUNT.NAMESPACE`.
fn answer(
    authority: &Authority,
    workload: &str,
    asked: &DiscoveryRequest,
) -> Result<Option<DiscoveryResponse>, Status> {
    if let Some(error) = &asked.error_detail {
        tracing::error!(workload, error = error.message, "Envoy refused a secret");
        return Ok(None);
    }
    if !asked.response_nonce.is_empty() {
        return Ok(None);
    }
    let resources = asked.resource_names.iter().map(|name| {
        let secret = secret(authority, workload, name)
            .map_err(|error| Status::internal(format!("{error:#}")))?;
        Ok(Any {
            type_url: message::SECRET.to_owned(),
            value: secret.encode_to_vec(),
        })
    });
    Ok(Some(DiscoveryResponse {
        version_info: "1".to_owned(),
        resources: resources.collect::<Result<_, Status>>()?,
        type_url: message::SECRET.to_owned(),
        nonce: "1".to_owned(),
    }))
}

fn secret(authority: &Authority, workload: &str, name: &str) -> Result<Secret> {
    let inline = |pem: &str| {
        Some(DataSource {
            inline_bytes: pem.as_bytes().to_vec(),
        })
    };
    let mut secret = Secret {
        name: name.to_owned(),
        ..Secret::default()
    };
    if name == TRUSTED {
        let trusted_ca = inline(authority.ca_pem());
        secret.validation_context = Some(ValidationContext { trusted_ca });
    } else {
        let (account, namespace) = workload
            .split_once('.')
            .context("the node has no workload")?;
        let leaf = authority.leaf(&spiffe_uri(namespace, account), &[], &[])?;
        secret.tls_certificate = Some(TlsCertificate {
            certificate_chain: inline(&leaf.cert_pem),
            private_key: inline(&leaf.key_pem),
        });
    }
    Ok(secret)
}
