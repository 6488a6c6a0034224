//! The app's own metrics, by a real OpenTelemetry SDK: pushed by OTLP, as apps of users do.

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram, MeterProvider as _},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, WithHttpConfig as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::runtime::Handle;

use super::call;

/// The exporter reads it itself; without it nothing is pushed.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const CONVENTION: &str = "TELEMETRY";
const LIMIT: Duration = Duration::from_secs(5);
/// As the semantic conventions advise, in seconds.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// How a request is recorded.
#[derive(Clone, Copy, Debug)]
enum Convention {
    /// `http.server.request.duration`.
    Http,
    /// `rpc.server.call.duration`: the same requests, as an instrumentation of gRPC would tell of them.
    Rpc,
    /// `rpc.server.duration`, in milliseconds.
    OldRpc,
}

/// Records requests, and pushes what it recorded now and then.
#[derive(Debug)]
pub(super) struct Telemetry {
    provider: SdkMeterProvider,
    durations: Histogram<f64>,
    convention: Convention,
}

impl Telemetry {
    /// As the environment says, for the SDK by its own variables.
    ///
    /// # Errors
    /// When the environment does not parse.
    pub(super) fn from_env(var: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        if var(ENDPOINT).is_none() {
            return Ok(None);
        }
        let convention = match var(CONVENTION).as_deref() {
            None | Some("http") => Convention::Http,
            Some("rpc") => Convention::Rpc,
            Some("rpc-old") => Convention::OldRpc,
            Some(other) => bail!("{CONVENTION} {other:?}"),
        };
        let client = Client {
            runtime: Handle::try_current()?,
        };
        let exporter = MetricExporter::builder()
            .with_http()
            .with_http_client(client);
        let exporter = exporter.build().context("the exporter of metrics")?;
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter)
            .build();
        let meter = provider.meter("demo");
        let (name, unit, scale) = match convention {
            Convention::Http => ("http.server.request.duration", "s", 1.0),
            Convention::Rpc => ("rpc.server.call.duration", "s", 1.0),
            Convention::OldRpc => ("rpc.server.duration", "ms", 1_000.0),
        };
        let durations = meter
            .f64_histogram(name)
            .with_unit(unit)
            .with_boundaries(BOUNDS.map(|bound| bound * scale).into())
            .build();
        Ok(Some(Self {
            provider,
            durations,
            convention,
        }))
    }

    /// Records a request that took so long.
    pub(super) fn answered(&self, status: StatusCode, took: Duration) {
        let failed = status.is_server_error();
        let seconds = took.as_secs_f64();
        match self.convention {
            Convention::Http => {
                let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
                let mut attributes = vec![
                    KeyValue::new("http.request.method", "GET"),
                    KeyValue::new("url.scheme", "http"),
                    code,
                ];
                if failed {
                    attributes.push(KeyValue::new("error.type", status.as_str().to_owned()));
                }
                self.durations.record(seconds, &attributes);
            }
            Convention::Rpc => {
                let code = if failed { "INTERNAL" } else { "OK" };
                let mut attributes = vec![
                    KeyValue::new("rpc.system.name", "grpc"),
                    KeyValue::new("rpc.method", "demo.Demo/Get"),
                    KeyValue::new("rpc.response.status_code", code),
                ];
                if failed {
                    attributes.push(KeyValue::new("error.type", code));
                }
                self.durations.record(seconds, &attributes);
            }
            Convention::OldRpc => {
                let code = KeyValue::new("rpc.grpc.status_code", if failed { 13 } else { 0 });
                let attributes = [
                    KeyValue::new("rpc.system", "grpc"),
                    KeyValue::new("rpc.service", "demo.Demo"),
                    KeyValue::new("rpc.method", "Get"),
                    code,
                ];
                self.durations.record(1_000.0 * seconds, &attributes);
            }
        }
    }

    /// Pushes the rest. It blocks until the runtime has sent it: never call it on the runtime's own thread.
    pub(super) fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown() {
            eprintln!("the last metrics are lost: {error}");
        }
    }
}

/// Sends from the app's runtime: the SDK exports on a thread of its own, which has none.
#[derive(Debug)]
struct Client {
    runtime: Handle,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = self.runtime.spawn(call::send(request, LIMIT));
        Box::pin(async move { Ok(sent.await??) })
    }
}
