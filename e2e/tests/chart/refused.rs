//! Values that make no sense are refused, with the field and what is wrong with it.

use std::fs;

use e2e::helm;

use super::{files, helm};

/// Each file's first line is what Helm must say.
#[test]
fn values_that_make_no_sense() {
    let refused = files("refused");
    assert!(refused.len() >= 10, "{refused:?}");
    for file in refused {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let says = first.strip_prefix("# ").unwrap();
        let path = file.to_string_lossy();
        match helm().template(&helm::chart(), &["--values", &path]) {
            Ok(_) => panic!("{name} is taken"),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains(says), "{name}: {said}");
            }
        }
    }
}
