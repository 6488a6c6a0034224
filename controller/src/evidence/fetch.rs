//! Sending a query to a server.

use std::error::Error;
use std::time::Duration;

use prometheus_http_query::Client;

use super::past::Range;
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
    within(limit, address, send(http, address, query, None, limit)).await
}

/// Sends a range query, likewise. By our clock: a week more or less a minute is a week.
pub(super) async fn fetch_range(
    http: &reqwest::Client,
    address: &str,
    query: &str,
    range: Range,
    limit: Duration,
) -> Result<Answer, Problem> {
    let answer = send(http, address, query, Some(range), limit);
    within(limit, address, answer).await
}

async fn within(
    limit: Duration,
    address: &str,
    answer: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Answer, Problem> {
    let reply = tokio::time::timeout(limit, answer);
    reply.await.unwrap_or_else(|_| {
        Err(Problem::Slow {
            address: address.to_owned(),
            seconds: limit.as_secs(),
        })
    })
}

async fn send(
    http: &reqwest::Client,
    address: &str,
    query: &str,
    range: Option<Range>,
    limit: Duration,
) -> Result<Answer, Problem> {
    let unreachable = |error: &dyn Error| Problem::Unreachable {
        address: address.to_owned(),
        cause: cause(error),
    };
    let client = Client::from(http.clone(), address).map_err(|error| Problem::Address {
        address: address.to_owned(),
        cause: cause(&error),
    })?;
    let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    let reply = match range {
        None => client.query(query).timeout(limit).post_raw().await,
        Some(Range { start, end, step }) => {
            let step = step.as_seconds_f64();
            let asked = client.query_range(query, start.timestamp(), end.timestamp(), step);
            asked.timeout(limit).post_raw().await
        }
    };
    let mut reply = reply.map_err(|error| unreachable(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(|error| unreachable(&error))? {
        if body.len() + chunk.len() > MOST {
            return Err(Problem::TooLong {
                mebibytes: MOST / MEBIBYTE,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((reply.status().as_u16(), body))
}

/// The innermost error: the outer ones only say that a request failed.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    short(&innermost.to_string())
}
