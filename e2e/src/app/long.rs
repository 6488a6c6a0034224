//! A long answer: a download, an event stream, a report that takes its time.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::time::sleep;

/// The body of any answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Between two pieces.
const PAUSE: Duration = Duration::from_millis(100);
/// A test cannot hold a connection for longer.
const LONGEST: Duration = Duration::from_mins(5);

/// How long the answer to `path` takes, in milliseconds: `/stream/5000`.
pub(super) fn length(path: &str) -> Option<Duration> {
    let millis = path.strip_prefix("/stream/")?.parse().ok()?;
    Some(Duration::from_millis(millis).min(LONGEST))
}

/// `answer` after `length`; until then a space now and then, which JSON allows before a value. So only
/// who got all of it has got an answer.
pub(super) fn after(length: Duration, answer: Bytes) -> Body {
    let pieces = stream::unfold(Some((length, answer)), async |rest| {
        let (left, answer) = rest?;
        let frame = |bytes| Ok(Frame::data(bytes));
        if left.is_zero() {
            return Some((frame(answer), None));
        }
        let pause = left.min(PAUSE);
        sleep(pause).await;
        let space = Bytes::from_static(b" ");
        Some((frame(space), Some((left.saturating_sub(pause), answer))))
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[tokio::test]
    async fn the_answer_comes_last_and_on_time() {
        assert_eq!(length("/stream/250"), Some(Duration::from_millis(250)));
        assert_eq!(length("/stream/"), None);
        let begun = std::time::Instant::now();
        let body = after(Duration::from_millis(250), Bytes::from_static(b"{}"));
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(body, "   {}");
        assert!(begun.elapsed() >= Duration::from_millis(250));
    }
}
