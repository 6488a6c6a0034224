//! The editor: a text and new values for its marks become another text, and nothing else of it changes by a byte.

use serde::Deserialize as _;
use serde_yaml_ng::Value;

use crate::mark::{Marked, Quote};

/// Why a text cannot be edited.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EditError {
    /// It is no YAML, before or after.
    #[error("line {line}: the file is no valid YAML, so no value of it is written: {problem}")]
    NotYaml {
        /// The first line that was to be written.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A new value has characters that no image has.
    #[error("line {line}: {value:?} is no image")]
    NoImage {
        /// Where it was to be written.
        line: usize,
        /// The value.
        value: String,
    },
    /// What looks like a marked value is part of something else.
    #[error(
        "line {line}: the mark is no comment on a value of its own, but part of a text or of what an anchor is on"
    )]
    NotAValue {
        /// The first line that was to be written.
        line: usize,
    },
}

/// Writes a value in place of each marked one.
///
/// # Errors
/// When the result would differ in anything but those values, as a YAML parser reads it.
pub fn edit(text: &str, changes: &[(&Marked, &str)]) -> Result<String, EditError> {
    let mut changes: Vec<_> = changes
        .iter()
        .filter(|(marked, value)| marked.value != *value)
        .collect();
    changes.sort_by_key(|(marked, _)| marked.range.start);
    let Some((first, _)) = changes.first() else {
        return Ok(text.to_owned());
    };
    let mut edited = text.to_owned();
    for (marked, value) in changes.iter().rev() {
        if !value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte))
        {
            return Err(EditError::NoImage {
                line: marked.line,
                value: (*value).to_owned(),
            });
        }
        if edited.get(marked.range.clone()).is_none() {
            return Err(EditError::NotAValue { line: marked.line });
        }
        edited.replace_range(marked.range.clone(), &written(marked.quote, value));
    }
    let not_yaml = |problem: serde_yaml_ng::Error| EditError::NotYaml {
        line: first.line,
        problem: problem.to_string(),
    };
    let (before, after) = (
        documents(text).map_err(not_yaml)?,
        documents(&edited).map_err(not_yaml)?,
    );
    let mut differing = Vec::new();
    differences(&before, &after, &mut differing);
    let is_wanted = |value: &&Value| changes.iter().any(|(_, new)| value.as_str() == Some(*new));
    if differing.len() == changes.len() && differing.iter().all(is_wanted) {
        Ok(edited)
    } else {
        Err(EditError::NotAValue { line: first.line })
    }
}

fn written(quote: Quote, value: &str) -> String {
    // 6.5 without quotes would be a number.
    let is_text =
        || serde_yaml_ng::from_str(value).is_ok_and(|read: Value| read.as_str() == Some(value));
    match quote {
        Quote::Plain if is_text() => value.to_owned(),
        Quote::Single => format!("'{value}'"),
        Quote::Plain | Quote::Double => format!("\"{value}\""),
    }
}

fn documents(text: &str) -> Result<Value, serde_yaml_ng::Error> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    let documents: Result<Vec<Value>, _> = documents.map(Value::deserialize).collect();
    documents.map(Value::Sequence)
}

/// What of the second is not as in the first.
fn differences<'a>(before: &Value, after: &'a Value, found: &mut Vec<&'a Value>) {
    match (before, after) {
        (Value::Mapping(a), Value::Mapping(b)) if a.len() == b.len() && a.keys().eq(b.keys()) => {
            for (a, b) in a.values().zip(b.values()) {
                differences(a, b, found);
            }
        }
        (Value::Sequence(a), Value::Sequence(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differences(a, b, found);
            }
        }
        (Value::Tagged(a), Value::Tagged(b)) if a.tag == b.tag => {
            differences(&a.value, &b.value, found);
        }
        _ if before == after => {}
        _ => found.push(after),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::string_slice,
        reason = "a failed unwrap is a failed test"
    )]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::mark::marks;

    const MARK: &str = "# {\"$sluice\": \"shop/app:image\"}";

    /// Writes one value in place of all marked ones.
    fn all(text: &str, value: &str) -> Result<String, EditError> {
        let (found, _) = marks(text);
        let changes: Vec<_> = found.iter().map(|marked| (marked, value)).collect();
        edit(text, &changes)
    }

    #[test]
    fn several_documents_with_carriage_returns_and_no_last_newline() {
        let text = format!(
            "# a\r\nkind: A\r\nspec:\r\n  images:\r\n  - name: app   # its name\r\n    image: \"app:1\"\t{MARK}\r\n---\r\n\
             kind:   B\r\nimage: 'app:1' {MARK}"
        );
        assert_eq!(all(&text, "app:2").unwrap(), text.replace("app:1", "app:2"));
    }

    #[test]
    fn a_number_becomes_a_text() {
        let text = format!("newTag: v1 {MARK}\n");
        assert_eq!(
            all(&text, "6.5").unwrap(),
            format!("newTag: \"6.5\" {MARK}\n")
        );
    }

    #[test]
    fn what_is_no_comment_is_left() {
        let block = format!("data:\n  values: |\n    image: app:1 {MARK}\n");
        assert_eq!(all(&block, "app:2"), Err(EditError::NotAValue { line: 3 }));
        let anchored = format!("a: &a\n  image: app:1 {MARK}\nb: *a\n");
        assert_eq!(
            all(&anchored, "app:2"),
            Err(EditError::NotAValue { line: 2 })
        );
        let template = format!("{{{{- if .Values.a }}}}\nimage: app:1 {MARK}\n{{{{- end }}}}\n");
        assert!(matches!(
            all(&template, "app:2"),
            Err(EditError::NotYaml { line: 2, .. })
        ));
        let text = format!("image: app:1 {MARK}\n");
        assert!(matches!(
            all(&text, "app:2 # x"),
            Err(EditError::NoImage { line: 1, .. })
        ));
    }

    /// A line of a list: a value, how it is quoted, and what is behind it.
    fn line() -> impl Strategy<Value = (String, bool)> {
        let value = "[a-z]{1,6}(:5000)?(/[a-z]{1,4})?:[a-z0-9.]{1,6}(@sha256:[0-9a-f]{4})?";
        let mark = MARK.to_owned();
        let blank = prop_oneof![Just(" "), Just("  "), Just("\t")];
        let quoted = (value, 0..3_u8).prop_map(|(value, quote)| match quote {
            0 => format!("x{value}"),
            1 => format!("'{value}'"),
            _ => format!("\"{value}\""),
        });
        prop_oneof![
            2 => (quoted.clone(), blank).prop_map(move |(value, blank)| (format!("- image: {value}{blank}{mark}"), true)),
            1 => quoted.prop_map(|value| (format!("-   other: {value}   # and {{\"$imagepolicy\": \"a:b\"}}"), false)),
            1 => Just(("# a comment: with - all {kinds} of [things]".to_owned(), false)),
            1 => Just((String::new(), false)),
            1 => Just(("- text: |2\n    kept: as # it is\n      here ".to_owned(), false)),
        ]
    }

    proptest! {
        #[test]
        fn nothing_but_the_marked_values_changes(
            documents in vec(vec(line(), 0..8), 1..4), crlf: bool, last: bool, new in "[a-z]{1,6}:[a-z0-9.]{1,8}",
        ) {
            let newline = if crlf { "\r\n" } else { "\n" };
            let bodies: Vec<String> = documents.iter().map(|lines| {
                let lines: Vec<_> = lines.iter().map(|(line, _)| line.replace('\n', newline)).collect();
                format!("items:{newline}{}", lines.join(newline))
            }).collect();
            let mut text = bodies.join(&format!("{newline}---{newline}"));
            if last {
                text.push_str(newline);
            }
            let (before, bad) = marks(&text);
            prop_assert!(bad.is_empty(), "{bad:?}");
            let expected = documents.iter().flatten().filter(|(_, marked)| *marked).count();
            prop_assert_eq!(before.len(), expected);

            let edited = all(&text, &new).unwrap();
            let (after, _) = marks(&edited);
            // Between the values every byte is as it was.
            let outside = |text: &str, marked: &[Marked]| {
                let mut begin = 0;
                let mut parts = Vec::new();
                for marked in marked {
                    parts.push(text[begin..marked.range.start].to_owned());
                    begin = marked.range.end;
                }
                parts.push(text[begin..].to_owned());
                parts
            };
            prop_assert_eq!(outside(&text, &before), outside(&edited, &after));
            prop_assert!(after.iter().all(|marked| marked.value == new));
            let quotes = |marked: &[Marked]| marked.iter().map(|m| m.quote).collect::<Vec<_>>();
            prop_assert_eq!(quotes(&before), quotes(&after), "a tag is a text by its letters");
            prop_assert_eq!(all(&edited, &new).unwrap(), edited.clone());
        }
    }
}
