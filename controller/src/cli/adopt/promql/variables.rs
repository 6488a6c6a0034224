//! Variables of Grafana's dashboards, which stand in queries where a duration, a number, a name or a part of a text
//! does. What they are does not matter here; that they are there is what a parser stumbles over.

/// Whether there may be some: worth another try.
pub(super) fn may_have(query: &str) -> bool {
    query.contains('$') || query.contains("[[")
}

/// Whether a text has one, as in `$namespace`, `${namespace:regex}` or `[[namespace]]`. A `$` at the end of a pattern
/// is none, and neither is a class of characters, as in `[[:alpha:]]`.
pub(super) fn has(text: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    let after = |mark| text.split(mark).skip(1);
    after("$").any(|rest| rest.starts_with(|c| starts(c) || c == '{'))
        || after("[[").any(|rest| rest.starts_with(starts) && rest.contains("]]"))
}

/// Variables outside of texts replaced: by a duration inside of brackets, and by `stand_in` elsewhere.
pub(super) fn filled(query: &str, stand_in: &str) -> String {
    let mut filled = String::with_capacity(query.len());
    let (mut quote, mut brackets) = (None, 0_u32);
    let mut chars = query.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => {
                filled.push(c);
                filled.extend(chars.next());
                continue;
            }
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '$') => {
                let braced = chars.next_if_eq(&'{').is_some();
                if braced {
                    while chars.next_if(|c| *c != '}').is_some() {}
                    chars.next();
                } else {
                    let in_name = |c: &char| c.is_alphanumeric() || *c == '_';
                    while chars.next_if(in_name).is_some() {}
                }
                filled.push_str(if brackets > 0 { "5m" } else { stand_in });
                continue;
            }
            // Of three brackets the first one is PromQL's.
            (None, '[') if chars.peek() == Some(&'[') && chars.clone().nth(1) != Some('[') => {
                while chars.next_if(|c| *c != ']').is_some() {}
                chars.next();
                chars.next();
                filled.push_str(if brackets > 0 { "5m" } else { stand_in });
                continue;
            }
            (None, '[') => brackets += 1,
            (None, ']') => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        filled.push(c);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_and_a_class_are_no_variables() {
        for text in ["$ns", "a-${ns:regex}-b", "[[ns]]", "^podinfo$|$other"] {
            assert!(has(text), "{text}");
        }
        for text in ["podinfo-.*$", "(a|b$)", "[[:alpha:]]+", "podinfo", "$1"] {
            assert!(!has(text), "{text}");
        }
    }
}
