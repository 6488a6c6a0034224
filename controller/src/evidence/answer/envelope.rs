//! What every answer of Prometheus' HTTP API comes in.

use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sluice_core::Time;

use crate::evidence::problem::{Problem, short};
use crate::evidence::source::Labels;

/// The envelope of Prometheus' HTTP API, v1.
#[derive(Deserialize)]
struct Envelope<T> {
    status: Option<String>,
    data: Option<Data<T>>,
    error: Option<String>,
    /// Prometheus and Thanos: the answer may lack something.
    #[serde(default)]
    warnings: Vec<String>,
    /// `VictoriaMetrics` says the same in this way.
    #[serde(default, rename = "isPartial")]
    partial: bool,
}

/// An instant vector, or a matrix.
#[derive(Deserialize)]
struct Data<T> {
    result: Vec<T>,
}

#[derive(Clone, Deserialize)]
pub(in crate::evidence) struct Element {
    pub(super) metric: Labels,
    /// Time and value; a native histogram has none.
    pub(super) value: Option<(f64, String)>,
}

/// One series over time.
#[derive(Deserialize)]
pub(in crate::evidence) struct Series {
    #[serde(rename = "metric")]
    pub(in crate::evidence) labels: Labels,
    #[serde(default)]
    values: Vec<(f64, String)>,
    /// Of a native histogram, of which only the times matter.
    #[serde(default)]
    histograms: Vec<(f64, IgnoredAny)>,
}

impl Series {
    /// Times, in seconds, and values. A point that is no number is none.
    pub(in crate::evidence) fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.values.iter().filter_map(|(at, value)| {
            let value = value.parse().ok().filter(|value: &f64| value.is_finite());
            Some((*at, value?))
        })
    }
}

/// What an instant vector has at one time.
pub(in crate::evidence) type Instant = Vec<Element>;

/// The series of the answer to a range query.
pub(in crate::evidence) fn matrix(status: u16, body: &[u8]) -> Result<Vec<Series>, Problem> {
    results(status, body)
}

/// The series of an answer, and their values as the server wrote them; a native histogram has none.
pub(in crate::evidence) fn vector(
    status: u16,
    body: &[u8],
) -> Result<Vec<(Labels, Option<String>)>, Problem> {
    let series = elements(status, body)?.into_iter();
    let series = series.map(|Element { metric, value }| (metric, value.map(|(_, value)| value)));
    Ok(series.collect())
}

/// The series of the answer to an instant query.
pub(in crate::evidence) fn elements(status: u16, body: &[u8]) -> Result<Vec<Element>, Problem> {
    results(status, body)
}

fn results<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<Vec<T>, Problem> {
    let ok = (200..300).contains(&status);
    let envelope: Envelope<T> = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(error) if ok => return Err(Problem::Malformed(short(&error.to_string()))),
        Err(_) => {
            let message = short(&String::from_utf8_lossy(body));
            return Err(Problem::Refused { status, message });
        }
    };
    if !ok || envelope.status.as_deref() != Some("success") {
        let message = short(&envelope.error.unwrap_or_default());
        return Err(Problem::Refused { status, message });
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(Problem::Partial(short(warning)));
    }
    if envelope.partial {
        return Err(Problem::Partial("isPartial is true".to_owned()));
    }
    let data = envelope.data;
    let data = data.ok_or_else(|| Problem::Malformed("it has no data".to_owned()))?;
    Ok(data.result)
}

/// What instant queries would have answered at `count` times, `step` apart: a series is there where it has a value.
pub(in crate::evidence) fn instants(
    series: Vec<Series>,
    start: Time,
    step: TimeDelta,
    count: usize,
) -> impl Iterator<Item = Instant> {
    let (start, step) = (start.timestamp_millis(), step.num_milliseconds().max(1));
    let index = move |seconds: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "saturates")]
        let after = (seconds * 1e3).round() as i64 - start;
        after.saturating_add(step / 2).div_euclid(step)
    };
    let mut series: Vec<_> = series
        .into_iter()
        .map(|one| {
            let floats = one.values.into_iter();
            let floats = floats.map(|(at, value)| (index(at), Some((at, value))));
            let histograms = one.histograms.into_iter();
            let histograms = histograms.map(|(at, _)| (index(at), None));
            let mut points: Vec<_> = floats.chain(histograms).collect();
            points.sort_by_key(|(index, _)| *index);
            (one.labels, points.into_iter().peekable())
        })
        .collect();
    (0..i64::try_from(count).unwrap_or(i64::MAX)).map(move |now| {
        let present = series.iter_mut().filter_map(|(metric, points)| {
            while points.next_if(|(index, _)| *index < now).is_some() {}
            let (_, value) = points.next_if(|(index, _)| *index == now)?;
            Some(Element {
                metric: metric.clone(),
                value,
            })
        });
        present.collect()
    })
}
