//! Sending a query to a server.

use std::error::Error;
use std::time::Duration;

use chrono::TimeDelta;
use prometheus_http_query::Client;
use sluice_core::Time;

use super::problem::{Problem, short};

/// The longest answer that is read, in bytes. A series takes some 300.
const MOST: usize = 32 * MEBIBYTE;
const MEBIBYTE: usize = 1024 * 1024;

/// The status and the body of an answer.
pub(super) type Answer = (u16, Vec<u8>);

/// Sends an instant query. The server evaluates it at its own present: its newest samples are
/// seen even when its clock and ours differ.
///
/// By POST, because a query for many Services is longer than proxies let a URL be. Raw, because the
/// client's own types drop the warnings that tell a partial answer from a whole one.
pub(super) async fn fetch(
    http: &reqwest::Client,
    address: &str,
    query: &str,
    limit: Duration,
) -> Result<Answer, Problem> {
    within(http, address, limit, async |client, limit| {
        client.query(query).timeout(limit).post_raw().await
    })
    .await
}

/// When to look: from the oldest to the newest, and so far apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) start: Time,
    pub(super) end: Time,
    pub(super) step: TimeDelta,
}

/// Sends a range query, likewise. By our clock: in hours or a week, a minute more or less makes no difference.
pub(super) async fn fetch_range(
    http: &reqwest::Client,
    address: &str,
    query: &str,
    span: Span,
    limit: Duration,
) -> Result<Answer, Problem> {
    within(http, address, limit, async |client, limit| {
        let (start, end) = (span.start.timestamp(), span.end.timestamp());
        let step = span.step.as_seconds_f64();
        let range = client.query_range(query, start, end, step);
        range.timeout(limit).post_raw().await
    })
    .await
}

/// Sends what `ask` asks, and waits so long for all of the answer.
async fn within(
    http: &reqwest::Client,
    address: &str,
    limit: Duration,
    ask: impl AsyncFnOnce(Client, i64) -> Result<reqwest::Response, prometheus_http_query::Error>,
) -> Result<Answer, Problem> {
    let client = Client::from(http.clone(), address).map_err(|error| Problem::Address {
        address: address.to_owned(),
        cause: cause(&error),
    })?;
    let millis = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    let answer = async {
        let reply = ask(client, millis).await;
        body(
            address,
            reply.map_err(|error| unreachable(address, &error))?,
        )
        .await
    };
    let answer = tokio::time::timeout(limit, answer);
    answer.await.unwrap_or_else(|_| {
        Err(Problem::Slow {
            address: address.to_owned(),
            seconds: limit.as_secs(),
        })
    })
}

async fn body(address: &str, mut reply: reqwest::Response) -> Result<Answer, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = reply
        .chunk()
        .await
        .map_err(|error| unreachable(address, &error))?
    {
        if body.len() + chunk.len() > MOST {
            return Err(Problem::TooLong {
                mebibytes: MOST / MEBIBYTE,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((reply.status().as_u16(), body))
}

fn unreachable(address: &str, error: &dyn Error) -> Problem {
    Problem::Unreachable {
        address: address.to_owned(),
        cause: cause(error),
    }
}

/// The innermost error: the outer ones only say that a request failed.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    short(&innermost.to_string())
}
