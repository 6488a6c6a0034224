//! Short hashes for names.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// No vowels and no look-alikes, as Kubernetes' `SafeEncodeString` has it: no hash spells a word.
pub(super) const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Characters of a short hash; 27^8 is 38 bits, enough for names and too little for secrets.
pub(super) const LENGTH: usize = 8;

/// The short hash of a list of texts; the borders between them count.
pub(super) fn short(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    let mut number = digest
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut text = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let base = ALPHABET.len() as u64;
        let digit = usize::try_from(number % base).unwrap_or_default();
        text.extend(ALPHABET.as_bytes().get(digit).map(|byte| char::from(*byte)));
        number /= base;
    }
    text
}

/// Whether a text looks like a short hash.
pub(super) fn is_short(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.as_bytes().contains(&byte))
}

/// JSON with sorted keys and no spaces, whatever order the map type keeps.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            text.push('[');
            for (position, value) in list.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hash_is_short_stable_and_spells_nothing() {
        let hash = short(&["podinfo"]);
        assert!(is_short(&hash));
        // Names of live objects are made of it: it must never change between versions of Sluice.
        assert_eq!(hash, "z5skw8s8");
    }

    #[test]
    fn borders_count() {
        assert_ne!(short(&["ab", "c"]), short(&["a", "bc"]));
    }

    #[test]
    fn canonical_text_is_sorted_and_escaped() {
        let value = json!({"b": [1, {"z": null, "a": "\"x\""}], "a": true});
        assert_eq!(
            canonical(&value),
            r#"{"a":true,"b":[1,{"a":"\"x\"","z":null}]}"#
        );
    }
}
