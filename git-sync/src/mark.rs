//! Marks: comments that say which values of a file are Sluice's to write, as Flux's `$imagepolicy` does.
//!
//! ```yaml
//! image: ghcr.io/example/app:1.2.3 # {"$sluice": "shop/app:image"}
//! ```

use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

/// The key of a mark. Comments may hold other tools' keys beside it.
const KEY: &str = "$sluice";

/// Namespace and name of a Canary.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a marked value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The image that was promoted last: written when a rollout is promoted.
    Promoted,
    /// The image that Git asks for: put back when it is rejected.
    Image,
    /// The tag alone of that image, as in Kustomize's `newTag`.
    Tag,
}

/// What a comment says: `NAMESPACE/CANARY:FIELD`, and `:CONTAINER` where the pods have several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Whose value it is.
    pub canary: Key,
    /// What it is.
    pub field: Field,
    /// The container that it is the image of; `None` for the only one.
    pub container: Option<String>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quote {
    /// Without quotes.
    Plain,
    /// `'so'`.
    Single,
    /// `"so"`.
    Double,
}

/// A value with a mark behind it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marked {
    /// What the comment says.
    pub mark: Mark,
    /// The line, from 1.
    pub line: usize,
    /// The bytes of the value in the text, its quotes among them.
    pub range: Range<usize>,
    /// How it is written.
    pub quote: Quote,
    /// The value, without its quotes.
    pub value: String,
}

/// A mark that cannot be used, and why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadMark {
    /// Whose it is, where that can be told.
    pub canary: Option<Key>,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and how to mend it.
    pub what: String,
}

/// Every marked value of a text, in order, and the marks that cannot be used.
#[must_use]
pub fn marks(text: &str) -> (Vec<Marked>, Vec<BadMark>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    let mut begin = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index.saturating_add(1);
        match marked(line, number, begin) {
            Ok(Some(marked)) => found.push(marked),
            Ok(None) => {}
            Err(error) => bad.push(error),
        }
        begin = begin.saturating_add(line.len());
    }
    (found, bad)
}

/// The marked value of a line that begins at a byte of its text.
fn marked(line: &str, number: usize, begin: usize) -> Result<Option<Marked>, BadMark> {
    let Some((before, comment)) = comment(line) else {
        return Ok(None);
    };
    let bad = |canary: Option<&Key>, what: String| BadMark {
        canary: canary.cloned(),
        line: number,
        what,
    };
    let mark = parse(comment).map_err(|what| bad(None, what))?;
    let value = value(before).map_err(|what| bad(Some(&mark.canary), what.to_owned()))?;
    let written = before.get(value.clone()).unwrap_or_default();
    let (quote, text) =
        unquoted(written).map_err(|what| bad(Some(&mark.canary), what.to_owned()))?;
    Ok(Some(Marked {
        line: number,
        range: begin.saturating_add(value.start)..begin.saturating_add(value.end),
        quote,
        value: text.to_owned(),
        mark,
    }))
}

/// What is before a line's mark, and what its comment says.
fn comment(line: &str) -> Option<(&str, &str)> {
    let at = line.find(&format!("\"{KEY}\""))?;
    let hash = line.get(..at)?.rfind('#')?;
    let (before, comment) = line.split_at_checked(hash)?;
    Some((before, comment.trim_start_matches('#').trim()))
}

fn parse(comment: &str) -> Result<Mark, String> {
    let example = "it must be as in # {\"$sluice\": \"shop/app:image\"}";
    let object: Map<String, Value> = serde_json::from_str(comment)
        .map_err(|error| format!("the mark is no JSON ({error}): {example}"))?;
    let text = object.get(KEY).and_then(Value::as_str).unwrap_or_default();
    let mut parts = text.split(':');
    let canary = parts.next().and_then(|canary| canary.split_once('/'));
    let field = match parts.next() {
        Some("promoted") => Some(Field::Promoted),
        Some("image") => Some(Field::Image),
        Some("tag") => Some(Field::Tag),
        _ => None,
    };
    let (container, rest) = (parts.next(), parts.next());
    let (Some((namespace, name)), Some(field), None) = (canary, field, rest) else {
        return Err(format!(
            "the mark {text:?} is not NAMESPACE/CANARY:FIELD or NAMESPACE/CANARY:FIELD:CONTAINER with a field \
             of promoted, image, tag: {example}"
        ));
    };
    if namespace.is_empty() || name.is_empty() || name.contains('/') || container == Some("") {
        return Err(format!(
            "the mark {text:?} has an empty or odd name: {example}"
        ));
    }
    Ok(Mark {
        canary: Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        field,
        container: container.map(str::to_owned),
    })
}

/// Where the value is in what is before the comment: behind dashes and a key.
fn value(before: &str) -> Result<Range<usize>, &'static str> {
    let line = before.trim_end();
    if line.len() == before.len() {
        return Err("the mark is no comment: there must be a space before its #");
    }
    let end = line.len();
    let mut rest = line.trim_start();
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    if rest.starts_with(['{', '[']) {
        return Err(
            "the value is in braces or brackets, and the mark could be that of any other there: write it on a line of its own",
        );
    }
    let scalar = key(rest).unwrap_or(rest).trim_start();
    if scalar.is_empty() || scalar.ends_with(':') || scalar == "-" {
        return Err("there is no value before the mark: write the one that holds at present");
    }
    Ok(end.saturating_sub(scalar.len())..end)
}

/// What is behind a key; `None` where there is none.
fn key(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let behind = if let Some(quote) = quote {
        let (_, behind) = text.get(1..)?.split_once(quote)?;
        behind.trim_start().strip_prefix(':')?
    } else {
        let colon = text.find(": ").or_else(|| text.find(":\t"))?;
        text.get(colon.saturating_add(1)..)?
    };
    behind.starts_with([' ', '\t']).then_some(behind)
}

fn unquoted(written: &str) -> Result<(Quote, &str), &'static str> {
    let inner = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
    let odd = "the value is no single word in plain or quoted style: write it as one, without anchors and escapes";
    let (quote, text) = match written.chars().next() {
        Some('"') => (Quote::Double, inner('"').ok_or(odd)?),
        Some('\'') => (Quote::Single, inner('\'').ok_or(odd)?),
        Some('&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' | '{' | '[' | ',') | None => {
            return Err(odd);
        }
        Some(_) => (Quote::Plain, written),
    };
    let is_odd =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '{' | '}' | '[' | ']' | ',');
    if text.is_empty() || text.contains(is_odd) {
        return Err(odd);
    }
    Ok((quote, text))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failed unwrap is a failed test"
    )]

    use super::*;

    fn only(text: &str) -> Marked {
        let (mut found, bad) = marks(text);
        assert_eq!((found.len(), bad.as_slice()), (1, [].as_slice()), "{text}");
        found.remove(0)
    }

    #[test]
    fn values_are_found_however_they_are_written() {
        for (line, value, quote) in [
            (
                "image: app:1 # {\"$sluice\": \"shop/app:image\"}\n",
                "app:1",
                Quote::Plain,
            ),
            (
                "  - image: 'app:1'   # {\"$sluice\": \"shop/app:image\"}\r\n",
                "app:1",
                Quote::Single,
            ),
            (
                "- - r:5000/app:1@sha256:ab # {\"$sluice\":\"shop/app:image\"}",
                "r:5000/app:1@sha256:ab",
                Quote::Plain,
            ),
            (
                "\"image\" : \"app:1\" #{\"$sluice\": \"shop/app:image\"}",
                "app:1",
                Quote::Double,
            ),
            (
                "newTag: 6.5 # {\"$imagepolicy\": \"a:b:tag\", \"$sluice\": \"shop/app:image\"}",
                "6.5",
                Quote::Plain,
            ),
        ] {
            let marked = only(&format!("a: b\n{line}"));
            assert_eq!(
                (marked.value.as_str(), marked.quote, marked.line),
                (value, quote, 2),
                "{line}"
            );
            assert_eq!(marked.mark.canary.to_string(), "shop/app");
        }
    }

    #[test]
    fn a_mark_names_field_and_container() {
        let marked = only("x: y # {\"$sluice\": \"shop/app:promoted:side-car\"}");
        assert_eq!(marked.mark.field, Field::Promoted);
        assert_eq!(marked.mark.container.as_deref(), Some("side-car"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_line() {
        let mark = "# {\"$sluice\": \"shop/app:image\"}";
        for (line, says) in [
            (format!("image: {mark}"), "no value"),
            (format!("- {mark}"), "no value"),
            (format!("image: app:1{mark}"), "a space before"),
            (format!("- {{name: app, image: app:1}} {mark}"), "braces"),
            (format!("image: &it app:1 {mark}"), "single word"),
            (format!("image: \"app\\t1\" {mark}"), "single word"),
            (
                "image: a # {\"$sluice\": \"app:image\"}".to_owned(),
                "NAMESPACE/CANARY",
            ),
            (
                "image: a # {\"$sluice\": \"shop/app:name\"}".to_owned(),
                "promoted, image, tag",
            ),
            (
                "image: a # {\"$sluice\": \"shop/app:image\"".to_owned(),
                "no JSON",
            ),
        ] {
            let (found, bad) = marks(&format!("a: b\n\n{line}\n"));
            assert!(found.is_empty(), "{line}");
            let told = bad[0].to_string();
            assert!(
                told.starts_with("line 3: ") && told.contains(says),
                "{line}: {told}"
            );
        }
    }

    #[test]
    fn other_comments_are_none() {
        let text = "image: app:1 # {\"$imagepolicy\": \"flux-system:app\"}\nother: \"$sluice\"\n";
        assert_eq!(marks(text), (Vec::new(), Vec::new()));
    }
}
