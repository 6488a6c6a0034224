//! Mutations: what users, webhooks, other controllers and broken servers make of an object.

use serde_json::{Value, json};

/// `SplitMix64`: small, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An index of a list that is not empty.
    pub(crate) fn below(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).unwrap()
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// Changes one place of a value.
pub(crate) fn mutate(value: &mut Value, dice: &mut Dice) {
    let mut places = Vec::new();
    collect(value, String::new(), &mut places);
    let place = dice.pick(&places);
    let other = dice.pick(&places);
    match dice.below(8) {
        0 => remove(value, &place),
        1 => rename(value, &place, dice),
        2 => {
            let other = value.pointer(&other).cloned();
            set(value, &place, other.unwrap_or_default());
        }
        3 => repeat(value, &place),
        4 | 5 => {
            if let Some(found) = value.pointer_mut(&place) {
                tweak(found, dice);
            }
        }
        _ => set(value, &place, odd(dice)),
    }
}

fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(inner, format!("{at}/{key}"), places);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                collect(inner, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

fn set(value: &mut Value, place: &str, new: Value) {
    if let Some(found) = value.pointer_mut(place) {
        *found = new;
    }
}

fn parent<'a, 'b>(value: &'a mut Value, place: &'b str) -> Option<(&'a mut Value, &'b str)> {
    let (parent, field) = place.rsplit_once('/')?;
    Some((value.pointer_mut(parent)?, field))
}

fn remove(value: &mut Value, place: &str) {
    match parent(value, place) {
        Some((Value::Object(map), field)) => _ = map.remove(&unescaped(field)),
        Some((Value::Array(list), field)) => _ = list.remove(field.parse::<usize>().unwrap()),
        _ => {}
    }
}

fn rename(value: &mut Value, place: &str, dice: &mut Dice) {
    if let Some((Value::Object(map), field)) = parent(value, place)
        && let Some(inner) = map.remove(&unescaped(field))
    {
        map.insert(dice.pick(&TEXTS).to_owned(), inner);
    }
}

fn repeat(value: &mut Value, place: &str) {
    if let Some((Value::Array(list), field)) = parent(value, place) {
        let index = field.parse::<usize>().unwrap();
        let item = list[index].clone();
        list.extend([item.clone(), item]);
    }
}

fn unescaped(field: &str) -> String {
    field.replace("~1", "/").replace("~0", "~")
}

fn tweak(value: &mut Value, dice: &mut Dice) {
    let text = dice.pick(&TEXTS);
    *value = match &*value {
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or_default();
            json!(dice.pick(&[
                number.wrapping_neg(),
                number.wrapping_add(1),
                number.wrapping_sub(1),
                number.wrapping_mul(1_000_003),
            ]))
        }
        Value::String(whole) => {
            let keep = dice.below(whole.len() + 1);
            let start: String = whole.chars().take(keep).collect();
            json!(dice.pick(&[
                start.clone(),
                format!("{start}{text}"),
                format!("-{whole}"),
                whole.to_uppercase(),
                whole.repeat(40),
            ]))
        }
        Value::Bool(flag) => json!(!*flag),
        other => json!([other.clone()]),
    };
}

const TEXTS: [&str; 30] = [
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "NaN",
    "+Inf",
    "-Inf",
    "99999999999999999999999",
    "18446744073709551615",
    "%",
    "100.0001%",
    "5%",
    "99999h",
    "1d",
    "é",
    "\u{0}",
    "\u{202e}x",
    "👩‍👩‍👧",
    "/",
    "~",
    "..",
    "a/b#c",
    "True",
    "+262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z",
    "{",
    "null",
    "shop",
];

fn odd(dice: &mut Dice) -> Value {
    let deep = || (0..100).fold(json!({}), |inner, _| json!({"a": [inner]}));
    match dice.below(6) {
        0 => Value::Null,
        1 => dice.pick(&[
            json!(true),
            json!([]),
            json!({}),
            json!([null]),
            json!({"": null}),
        ]),
        2 => dice.pick(&[
            json!(0),
            json!(-1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1e308),
            json!(0.5),
        ]),
        3 => deep(),
        _ => json!(dice.pick(&TEXTS)),
    }
}

/// Changes one place of a text that need not be valid any more.
pub(crate) fn mutate_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let mut insert = |part: &[u8]| bytes.splice(at..at, part.iter().copied()).for_each(drop);
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => insert(&[u8::try_from(dice.next() % 256).unwrap()]),
        2 => insert(b"\"a\":1,\"a\":2,"),
        3 => insert(&vec![b'['; 100_000]),
        4 => insert(b"NaN"),
        _ => {
            let end = bytes.len().min(at + dice.below(40));
            let part = bytes[at..end].to_vec();
            bytes.extend(part);
        }
    }
}
