//! Prints the manifests, or writes each to a file of the folder named as the only argument.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;

use sluice_crds::manifest;

fn main() -> Result<(), Box<dyn Error>> {
    let manifests = manifest::all()?;
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        let mut out = stdout().lock();
        for manifest in manifests {
            writeln!(out, "---\n{}", manifest.yaml)?;
        }
        return Ok(());
    };
    std::fs::create_dir_all(&folder)?;
    for manifest in manifests {
        std::fs::write(folder.join(&manifest.file_name), manifest.yaml)?;
    }
    Ok(())
}
