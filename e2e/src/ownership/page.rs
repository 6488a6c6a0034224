//! The table as people read it, in `docs/ownership.md`.

use std::fmt::Write as _;

use super::owner::Owner;
use super::table::{BEYOND, ROWS, Row};

/// The page's tables, in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut text = "| object | fields | owner | also | |\n|---|---|---|---|---|\n".to_owned();
    for row in ROWS {
        let object = format!("{} {}", row.whose.word(), row.kinds.join(", "));
        let (fields, also) = (fields(row), also(row));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {object} | {fields} | {} | {also} | {} |",
            row.owner.name(),
            row.note
        );
    }
    text += "\nNot compared by the stories:\n\n";
    text += "| what | part | owner | | why not compared |\n|---|---|---|---|---|\n";
    for row in BEYOND {
        let owner = row.owner.map_or("nobody", Owner::name);
        let _ = writeln!(
            text,
            "| {} | {} | {owner} | {} | {} |",
            row.object, row.fields, row.note, row.why
        );
    }
    text += "\nThe field managers by which the API server knows them:\n\n";
    text += "| owner | field managers |\n|---|---|\n";
    for owner in Owner::ALL {
        let managers: Vec<_> = owner
            .managers()
            .iter()
            .map(|(manager, whose)| format!("`{manager}` ({whose})"))
            .collect();
        let _ = writeln!(text, "| {} | {} |", owner.name(), managers.join(", "));
    }
    text
}

fn fields(row: &Row) -> String {
    let name = |field: &&str| match *field {
        "" => "all".to_owned(),
        field => format!("`{field}`"),
    };
    let fields: Vec<_> = row.fields.iter().map(name).collect();
    fields.join(", ")
}

fn also(row: &Row) -> String {
    let also: Vec<_> = row
        .also
        .iter()
        .map(|(owner, when)| format!("{}: {when}", owner.name()))
        .collect();
    also.join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::fs;

    use super::*;
    use crate::paths;

    const BEGIN: &str = "<!-- made from e2e/src/ownership/table.rs -->\n";
    const END: &str = "<!-- end of what is made -->\n";
    /// Writes the page anew.
    const BLESS: &str = "SLUICE_BLESS=1 cargo test -p e2e --lib ownership";

    #[test]
    fn the_page_has_the_table_that_stories_are_compared_with() {
        let path = paths::workspace().join("docs/ownership.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let made = format!("{before}{BEGIN}{}{END}{after}", tables());
        if std::env::var_os("SLUICE_BLESS").is_some() {
            return fs::write(&path, made).unwrap();
        }
        assert!(
            page == made,
            "docs/ownership.md has another table. Read the difference that this writes:\n  {BLESS}"
        );
    }
}
