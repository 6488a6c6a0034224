//! Whose turn it is to be looked at: first come, first served.
//!
//! Among those that are due, kube's runner takes any (`kube-runtime` 3, `scheduler.rs`: a `HashSet`). When more are asked for
//! than can be looked at, as with hundreds of rollouts and a short scrape interval, it takes some again and again and others
//! never. So it is given only as many as it can run at once.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use sluice_crds::Canary;

type Key = ObjectRef<Canary>;

/// Turns of Canaries. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    line: Line,
    waker: Option<Waker>,
}

impl Turns {
    /// At most so many at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        let shared = Shared {
            line: Line::new(at_once),
            waker: None,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The requests, each when it is its turn; several for one Canary become one. Ends with them, whoever waits.
    pub fn take<S>(&self, requests: S) -> impl Stream<Item = ReconcileRequest<Canary>> + use<S>
    where
        S: Stream<Item = ReconcileRequest<Canary>>,
    {
        let shared = Arc::clone(&self.shared);
        let mut requests = Box::pin(requests);
        stream::poll_fn(move |context| {
            while let Poll::Ready(request) = requests.poll_next_unpin(context) {
                let Some(request) = request else {
                    return Poll::Ready(None);
                };
                shared.lock().line.join(request.obj_ref);
            }
            let mut shared = shared.lock();
            if let Some(key) = shared.line.next() {
                return Poll::Ready(Some(ReconcileRequest::from(key)));
            }
            shared.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// A Canary was looked at, or is not there.
    pub fn end(&self, key: &Key) {
        let mut shared = self.shared.lock();
        if shared.line.end(key)
            && let Some(waker) = shared.waker.take()
        {
            waker.wake();
        }
    }
}

/// Those who wait, and those whose turn it is.
#[derive(Debug)]
struct Line {
    at_once: usize,
    waiting: VecDeque<Key>,
    /// The same, to be found.
    asked: HashSet<Key>,
    /// More are looked at than these: those whose own time has come.
    out: HashSet<Key>,
}

impl Line {
    fn new(at_once: usize) -> Self {
        Self {
            at_once,
            waiting: VecDeque::new(),
            asked: HashSet::new(),
            out: HashSet::new(),
        }
    }

    fn join(&mut self, key: Key) {
        if self.asked.insert(key.clone()) {
            self.waiting.push_back(key);
        }
    }

    fn next(&mut self) -> Option<Key> {
        if self.out.len() >= self.at_once {
            return None;
        }
        let key = self.waiting.pop_front()?;
        self.asked.remove(&key);
        self.out.insert(key.clone());
        Some(key)
    }

    /// Whether it was its turn.
    fn end(&mut self, key: &Key) -> bool {
        self.out.remove(key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use futures::channel::mpsc;

    use super::*;

    fn key(name: &str) -> Key {
        ObjectRef::new(name).within("shop")
    }

    fn names(line: &mut Line) -> Vec<String> {
        std::iter::from_fn(|| line.next())
            .map(|key| key.name)
            .collect()
    }

    #[test]
    fn who_is_asked_for_all_the_time_keeps_nobody_waiting() {
        let mut line = Line::new(2);
        for name in ["one", "two", "three", "one"] {
            line.join(key(name));
        }
        assert_eq!(names(&mut line), ["one", "two"]);
        line.join(key("one"));
        line.join(key("one"));
        assert!(line.end(&key("one")));
        assert_eq!(names(&mut line), ["three"]);
        assert!(!line.end(&key("four")), "its own time had come");
        assert!(line.end(&key("two")));
        assert_eq!(names(&mut line), ["one"]);
        assert!(line.end(&key("three")) && line.end(&key("one")));
        assert_eq!(names(&mut line), [""; 0]);
    }

    #[tokio::test]
    async fn a_turn_that_ends_wakes_the_next() {
        let turns = Turns::new(1);
        let (queue, requests) = mpsc::unbounded();
        let mut given = Box::pin(turns.take(requests));
        for name in ["one", "two"] {
            queue
                .unbounded_send(ReconcileRequest::from(key(name)))
                .unwrap();
        }
        assert_eq!(given.next().await.unwrap().obj_ref, key("one"));
        let next = tokio::spawn(async move {
            let next = given.next().await;
            (next, given)
        });
        tokio::task::yield_now().await;
        turns.end(&key("one"));
        let (next, mut given) = next.await.unwrap();
        assert_eq!(next.unwrap().obj_ref, key("two"));
        // The end of the program waits for nobody's turn.
        queue
            .unbounded_send(ReconcileRequest::from(key("three")))
            .unwrap();
        drop(queue);
        assert!(given.next().await.is_none());
    }
}
