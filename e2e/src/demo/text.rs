//! Numbers and sentences as people read them.

use std::time::Duration;

use console::measure_text_width;

/// Minutes and seconds: `1:05`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Seconds with one decimal: `2.9 s`.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Milliseconds, or a dash.
pub(super) fn millis(time: Option<Duration>) -> String {
    time.map_or_else(
        || "–".to_owned(),
        |time| format!("{:.0} ms", time.as_secs_f64() * 1000.0),
    )
}

/// A count with commas between the thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A percentage with at most one decimal: `5 %`, `24.8 %`.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{value:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// A ratio as a percentage, rounded down to two decimals: what is not all is never `100 %`.
pub(super) fn ratio(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000;
    match hundredths.checked_div(u128::from(whole)) {
        None => "–".to_owned(),
        Some(n) if n.is_multiple_of(100) => format!("{} %", n / 100),
        Some(n) => format!("{}.{:02} %", n / 100, n % 100),
    }
}

/// `1 request`, `2 requests`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// Breaks a sentence into lines of at most `width` columns; a longer word gets its own line.
pub(super) fn wrap(sentence: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(
            [7, 1_000, 1_234_567].map(count),
            ["7", "1,000", "1,234,567"]
        );
        assert_eq!([5.0, 24.84, 99.96].map(percent), ["5 %", "24.8 %", "100 %"]);
        assert_eq!(ratio(99_999, 100_000), "99.99 %");
        assert_eq!(ratio(3, 3), "100 %");
        assert_eq!(ratio(0, 0), "–");
        assert_eq!(plural(1, "pod"), "1 pod");
    }

    #[test]
    fn lines_hold_what_fits() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("extraordinary", 5), ["extraordinary"]);
        assert_eq!(wrap("", 5), [""; 0]);
    }
}
