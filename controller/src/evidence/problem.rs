//! Why a reading gives nothing, in one line that a person can act on.

use super::Service;

/// The longest text of others that is repeated, in characters.
const LONGEST: usize = 200;

/// Why a reading gives nothing, or not all.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Problem {
    /// The address is no URL.
    #[error("{address} is no URL: {cause}")]
    Address {
        /// As the user wrote it.
        address: String,
        /// Why not.
        cause: String,
    },
    /// What is needed to ask is not there.
    #[error("the metrics cannot be asked for: {0}")]
    Access(String),
    /// No answer.
    #[error("{address} cannot be reached: {cause}")]
    Unreachable {
        /// Of the server.
        address: String,
        /// The innermost error.
        cause: String,
    },
    /// No answer in time.
    #[error("{address} gave no answer within {seconds} s")]
    Slow {
        /// Of the server.
        address: String,
        /// How long we waited.
        seconds: u64,
    },
    /// An answer that would fill our memory.
    #[error("the answer is longer than {mebibytes} MiB")]
    TooLong {
        /// The limit.
        mebibytes: usize,
    },
    /// An error instead of an answer.
    #[error("the server answered {status}: {message}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// Something that is no answer of Prometheus' query API.
    #[error("the answer is not one of Prometheus' query API: {0}")]
    Malformed(String),
    /// Some of the data may be missing.
    #[error("the answer is incomplete: {0}")]
    Partial(String),
    /// A value that no counter has.
    #[error("{metric} of {service} is {value}, which is no count of events")]
    NoCount {
        /// The metric's name.
        metric: String,
        /// Whose.
        service: Service,
        /// As the server wrote it.
        value: String,
    },
    /// More than one number for one.
    #[error("the query for the {part} gives several series, one more with {{{one}}}: sum them")]
    Several {
        /// Of the answer.
        part: String,
        /// The labels of the second.
        one: String,
    },
    /// No series.
    #[error(
        "the query for the {part} gives no series; where that means 0, end it with \"or vector(0)\""
    )]
    Empty {
        /// Of the answer.
        part: String,
    },
    /// Something else than a number, or none that can be counted with.
    #[error("the query for the {part} gives {value}")]
    NoNumber {
        /// Of the answer.
        part: String,
        /// As the server wrote it.
        value: String,
    },
    /// More than all.
    #[error("the query for the {part} gives more than that for the total")]
    NoPart {
        /// Of the answer.
        part: String,
    },
    /// Two revisions count under one name.
    #[error(
        "target_info says of {instance} that it belongs to {one} and to {other}: is service.instance.id unique?"
    )]
    SharedInstance {
        /// Job and instance.
        instance: String,
        /// Of whom.
        one: Service,
        /// And of whom.
        other: Service,
    },
    /// Series that were there are gone.
    #[error("the metrics of {service} are gone: {hint}")]
    Gone {
        /// Whose.
        service: Service,
        /// What to look after.
        hint: &'static str,
    },
    /// Requests are counted, but not by duration.
    #[error("{metric} of {service} has no bucket with le=\"{threshold_ms}\"")]
    NoBucket {
        /// The histogram.
        metric: &'static str,
        /// Whose.
        service: Service,
        /// The bound that is missing.
        threshold_ms: u64,
    },
}

/// The first line of a text, cut to a length that fits a condition.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or("(no text)");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_one_short_line() {
        assert_eq!(short("\n  upstream timed out \nmore"), "upstream timed out");
        assert_eq!(short(" \n"), "(no text)");
        assert_eq!(short(&"ü".repeat(500)).chars().count(), LONGEST + 1);
    }
}
