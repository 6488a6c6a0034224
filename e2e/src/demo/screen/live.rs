//! A terminal: lines that stay, and a panel below them that is drawn in place.

use std::io;

use console::{Term, measure_text_width, truncate_str};

/// Clears the rest of a line.
const CLEAR_LINE: &str = "\x1b[K";

/// The terminal. The cursor is hidden until it is dropped.
pub(super) struct Live {
    term: Term,
    /// Every line that stays.
    said: Vec<String>,
    panel: Vec<String>,
    /// Rows of the panel as it was drawn.
    drawn: usize,
    /// Rows and columns then.
    size: (u16, u16),
}

impl Live {
    pub(super) fn new(term: Term) -> Self {
        // A terminal that is gone is noticed by nobody, here and below.
        let _ = term.hide_cursor();
        let size = term.size();
        Self {
            term,
            said: Vec::new(),
            panel: Vec::new(),
            drawn: 0,
            size,
        }
    }

    /// Puts a line above the panel.
    pub(super) fn put(&mut self, line: &str) {
        self.said.push(line.to_owned());
        let _ = self.draw(self.said.len() - 1);
    }

    /// Draws a panel that fits the terminal's columns and rows.
    pub(super) fn show(&mut self, panel: impl FnOnce(usize, usize) -> Vec<String>) {
        let (rows, columns) = self.term.size();
        self.panel = panel(columns.into(), rows.into());
        let _ = self.draw(self.said.len());
    }

    /// Draws the panel, and above it the lines from the one numbered `fresh` on: all in one write,
    /// so that nothing half drawn is seen.
    fn draw(&mut self, fresh: usize) -> io::Result<()> {
        let size = self.term.size();
        let (rows, columns) = (usize::from(size.0), usize::from(size.1).max(2));
        let panel = self.panel.iter().take(rows.saturating_sub(1));
        let panel: Vec<_> = panel
            .map(|line| truncate_str(line, columns - 1, "…"))
            .collect();
        let fresh = if self.size == size {
            self.term.move_cursor_up(self.drawn)?;
            fresh
        } else {
            // Each terminal breaks old lines in its own way, before or after it tells its new size:
            // where they are now is not known.
            self.term.move_cursor_to(0, 0)?;
            let room = rows.saturating_sub(panel.len() + 1);
            self.said.len() - fitting(&self.said, room, columns)
        };
        self.term.write_str("\r")?;
        for line in self
            .said
            .iter()
            .skip(fresh)
            .map(String::as_str)
            .chain(panel.iter().map(AsRef::as_ref))
        {
            self.term.write_line(&format!("{line}{CLEAR_LINE}"))?;
        }
        self.term.clear_to_end_of_screen()?;
        self.drawn = panel.len();
        self.size = size;
        self.term.flush()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.term.show_cursor();
        let _ = self.term.flush();
    }
}

/// How many of the last lines fit into so many rows and columns.
fn fitting(lines: &[String], rows: usize, columns: usize) -> usize {
    let mut left = rows;
    let fits = |line: &&String| {
        let height = measure_text_width(line).div_ceil(columns).max(1);
        let fits = height <= left;
        left = left.saturating_sub(height);
        fits
    };
    lines.iter().rev().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_lines_as_fit_are_drawn_anew() {
        let lines = ["twelve chars", "four", "", "123456"].map(str::to_owned);
        assert_eq!(fitting(&lines, 3, 6), 3);
        assert_eq!(fitting(&lines, 4, 6), 3);
        assert_eq!(fitting(&lines, 5, 6), 4);
        assert_eq!(fitting(&lines, 0, 6), 0);
    }
}
