//! The demo app: an ordinary HTTP server (HTTP/1.1 and h2c) whose behaviour is its image tag
//! ([`Behaviour`]), so that a story ships a bad version as a team would: by a new tag.
//!
//! | Environment | Meaning |
//! |---|---|
//! | `IMAGE` | image reference; its tag is the behaviour |
//! | `POD_NAME`, `POD_NAMESPACE`, `POD_IP` | who it is; it listens on `POD_IP` (default 127.0.0.1) |
//! | `PORTS` | comma-separated ports, default 8080; 0 picks a free one |
//! | `GREETING` | put into every answer |
//! | `GREETING_FILE` | file with the greeting when `GREETING` is not set, default `/etc/config/greeting`; re-read each second |
//! | `CONNECTIONS_TO` | abstract Unix datagram socket that is told `POD_IP PEER_IP` of every connection accepted |
//! | `POD_ROOT` | where the container's mounts are: `GREETING_FILE` is looked up below it |
//! | `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | where its OpenTelemetry SDK pushes what it measures of ordinary requests; the SDK reads its other `OTEL_` variables too |
//! | `TELEMETRY` | how it names that: `http` (default), `rpc` or `rpc-old`; the requests are the same |
//!
//! | Path | Answer |
//! |---|---|
//! | `/stream/MS` | the same, streamed over so many milliseconds, and never failing or slow by its tag |
//! | any other | JSON `{version, image, pod, namespace, port, greeting}`; counted |
//! | `/readyz` | 200 or 503 |
//! | `/metrics` | Prometheus text: `demo_requests_total{port,code}` |
//! | `/counts` | JSON [`Counts`] |
//! | `PUT /admin/readiness` | body `true` or `false` |
//! | `PUT /admin/behaviour` | body: a tag; behave so from now on |
//! | `POST /admin/exit` | body: the code to exit with at once, as a crash |

pub mod admin;
mod answer;
mod behaviour;
pub mod call;
mod counts;
mod greeting;
mod long;
mod serve;
mod telemetry;

pub use behaviour::{Behaviour, REPOSITORY, Share, Unknown};
pub use counts::Counts;
pub use serve::run;
