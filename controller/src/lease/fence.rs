//! The last thing that a write passes before it is sent.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request};
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Layer, Service};

/// Lets writes pass only while this process leads, and abandons those that are still under way when
/// that ends. Clones are one fence.
#[derive(Clone, Debug)]
pub struct Fence {
    until: watch::Receiver<Option<Instant>>,
}

/// Opens a [`Fence`].
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<Option<Instant>>);

/// Why a write was not sent, or is not waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fenced {
    /// This process does not lead.
    #[error("not sent: this process does not hold the lease")]
    Refused,
    /// It led when the request began. Whether the API server took it is not known.
    #[error("abandoned: the lease ran out")]
    Abandoned,
}

impl Gate {
    /// A closed gate, and its fence.
    pub(super) fn new() -> (Self, Fence) {
        let (gate, until) = watch::channel(None);
        (Self(gate), Fence { until })
    }

    /// Lets writes pass until then.
    pub(super) fn open(&self, until: Instant) {
        self.0.send_replace(Some(until));
    }

    /// Lets no more pass.
    pub(super) fn close(&self) {
        self.0.send_replace(None);
    }
}

impl Fence {
    /// Waits until writes may pass.
    pub async fn opened(&self) {
        let mut until = self.until.clone();
        let open = |until: &Option<Instant>| is_open(*until);
        if until.wait_for(open).await.is_err() {
            // Nobody is left to open it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until writes may pass no more. A renewal in time goes unnoticed.
    pub async fn closed(&self) {
        let mut until = self.until.clone();
        loop {
            let end = *until.borrow_and_update();
            let Some(end) = end.filter(|end| Instant::now() < *end) else {
                return;
            };
            if let Ok(Err(_)) = timeout_at(end, until.changed()).await {
                // Nobody is left to renew it, or to close it.
                tokio::time::sleep_until(end).await;
            }
        }
    }

    /// Whether writes may pass now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        is_open(*self.until.borrow())
    }

    /// Waits for an answer for as long as writes may pass. The clock is looked at before the request
    /// goes on at all, not only when a timer fires: this process may have been frozen.
    async fn guard<T>(
        self,
        answer: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, BoxError> {
        if !self.is_open() {
            return Err(Fenced::Refused.into());
        }
        let mut answer = pin!(answer);
        let mut closed = pin!(self.closed());
        poll_fn(|context| {
            if !self.is_open() || closed.poll_unpin(context).is_ready() {
                return Poll::Ready(Err(Fenced::Abandoned.into()));
            }
            answer.poll_unpin(context)
        })
        .await
    }
}

fn is_open(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

impl<S> Layer<S> for Fence {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            fence: self.clone(),
            inner,
        }
    }
}

/// A way to the API server behind a [`Fence`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    fence: Fence,
    inner: S,
}

impl<S, Answer> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Answer>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    Answer: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let reads = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        // A service may send as soon as it is called, before its future is looked at.
        if !reads && !self.fence.is_open() {
            return Box::pin(std::future::ready(Err(Fenced::Refused.into())));
        }
        let answer = self.inner.call(request);
        let answer = async move { answer.await.map_err(Into::into) };
        if reads {
            return Box::pin(answer);
        }
        Box::pin(self.fence.clone().guard(Box::pin(answer)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use kube::Client;
    use tokio::time::sleep;
    use tower::service_fn;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    /// Counts what reaches it, and what it has answered; answers after a while.
    #[derive(Clone, Default)]
    struct Server {
        asked: Arc<AtomicUsize>,
        answered: Arc<AtomicUsize>,
        takes: Duration,
    }

    impl Server {
        fn counts(&self) -> (usize, usize) {
            let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
            (count(&self.asked), count(&self.answered))
        }

        /// A client as the program has it, with this server in place of the network.
        fn client(&self, fence: &Fence) -> Client {
            let server = self.clone();
            let service = service_fn(move |_: Request<Body>| {
                let server = server.clone();
                server.asked.fetch_add(1, Ordering::SeqCst);
                async move {
                    sleep(server.takes).await;
                    server.answered.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, BoxError>(http::Response::new(Body::from(b"{}".to_vec())))
                }
            });
            kube::client::ClientBuilder::new(service, "default")
                .with_layer(fence)
                .build()
        }
    }

    async fn send(client: &Client, method: Method) -> Result<(), Option<Fenced>> {
        let request = Request::builder().method(method).uri("/api/v1/pods");
        let sent = client.send(request.body(Body::empty()).unwrap()).await;
        sent.map(drop).map_err(|error| match error {
            kube::Error::Service(error) => error.downcast_ref().copied(),
            _ => None,
        })
    }

    const WRITES: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    #[tokio::test]
    async fn only_reads_pass_a_closed_fence() {
        let (gate, fence) = Gate::new();
        let server = Server::default();
        let client = server.client(&fence);
        let refused = async |when: &str| {
            for method in WRITES {
                let sent = send(&client, method.clone()).await;
                assert_eq!(sent, Err(Some(Fenced::Refused)), "{when}: {method}");
            }
        };
        refused("never opened").await;
        gate.open(Instant::now());
        refused("ran out").await;
        gate.open(Instant::now() + LONG);
        gate.close();
        refused("closed").await;
        drop(gate);
        refused("abandoned").await;
        assert_eq!(server.counts(), (0, 0));
        assert_eq!(send(&client, Method::GET).await, Ok(()));
        assert_eq!(server.counts(), (1, 1));
    }

    #[tokio::test]
    async fn writes_pass_an_open_fence() {
        let (gate, fence) = Gate::new();
        let server = Server::default();
        let client = server.client(&fence);
        gate.open(Instant::now() + LONG);
        for method in WRITES {
            assert_eq!(send(&client, method).await, Ok(()));
        }
        assert_eq!(server.counts(), (4, 4));
    }

    #[tokio::test]
    async fn a_write_under_way_is_abandoned_when_the_time_is_up() {
        let (gate, fence) = Gate::new();
        let server = Server {
            takes: LONG,
            ..Server::default()
        };
        let client = server.client(&fence);
        let begun = Instant::now();
        gate.open(begun + 2 * MOMENT);
        let sent = send(&client, Method::PATCH).await;
        assert_eq!(sent, Err(Some(Fenced::Abandoned)));
        assert!(begun.elapsed() >= 2 * MOMENT && begun.elapsed() < LONG / 2);
        assert_eq!(server.counts(), (1, 0));
    }

    #[tokio::test]
    async fn a_write_under_way_is_abandoned_when_the_gate_closes() {
        let (gate, fence) = Gate::new();
        let server = Server {
            takes: LONG,
            ..Server::default()
        };
        gate.open(Instant::now() + LONG);
        let client = server.client(&fence);
        let sent = tokio::spawn(async move { send(&client, Method::PATCH).await });
        sleep(MOMENT).await;
        gate.close();
        let sent = tokio::time::timeout(LONG / 2, sent).await.unwrap();
        assert_eq!(sent.unwrap(), Err(Some(Fenced::Abandoned)));
    }

    #[tokio::test]
    async fn a_renewal_keeps_a_write_under_way() {
        let (gate, fence) = Gate::new();
        let server = Server {
            takes: 6 * MOMENT,
            ..Server::default()
        };
        let client = server.client(&fence);
        gate.open(Instant::now() + 3 * MOMENT);
        let renew = async {
            sleep(MOMENT).await;
            gate.open(Instant::now() + LONG);
        };
        let (sent, ()) = tokio::join!(send(&client, Method::PATCH), renew);
        assert_eq!(sent, Ok(()));
    }

    /// As after SIGSTOP and SIGCONT: the time passes while nothing of the program runs.
    #[tokio::test]
    async fn a_frozen_process_sends_nothing_more_when_it_thaws() {
        let (gate, fence) = Gate::new();
        gate.open(Instant::now() + MOMENT);
        let sent = AtomicUsize::new(0);
        let mut first = true;
        // A request that has not been sent when the process freezes, and would be as it goes on.
        let request = poll_fn(|context| {
            if std::mem::take(&mut first) {
                std::thread::sleep(2 * MOMENT);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            sent.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(Ok::<(), BoxError>(()))
        });
        let ended = fence
            .guard(request)
            .await
            .map_err(|e| e.downcast_ref().copied());
        assert_eq!(ended, Err(Some(Fenced::Abandoned)));
        assert_eq!(sent.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn who_leads_learns_of_the_end() {
        let (gate, fence) = Gate::new();
        let begun = Instant::now();
        fence.closed().await;
        gate.open(begun + MOMENT);
        fence.opened().await;
        gate.open(begun + 3 * MOMENT);
        fence.closed().await;
        assert!(begun.elapsed() >= 3 * MOMENT);
        assert!(!fence.is_open());
    }
}
