//! What Sluice judges rollouts by, in OpenTelemetry's terms: one schema for both layers of a mesh.
//!
//! `registry/` says it, in the form of OpenTelemetry Weaver. From it are made: `rules/`, recording rules for
//! Prometheus ([`recording`]), and `docs/telemetry.md` ([`page`]). What the controller reads and exposes is compared with
//! it by the controller's tests, so neither changes alone.

pub mod page;
pub mod recording;
pub mod registry;
mod select;

use std::path::PathBuf;

/// The command that writes anew what is made from the registry.
pub const COMMAND: &str = "cargo run -p sluice-telemetry --bin telemetrygen";

/// What is made from the registry: each file and its text.
///
/// # Errors
/// When the registry cannot be read; the message names the file.
pub fn made() -> anyhow::Result<[(PathBuf, String); 2]> {
    let registry = registry::Registry::read()?;
    let folder = registry::folder();
    let root = folder.join("../..");
    Ok([
        (
            folder.join("../rules/sluice.yaml"),
            recording::yaml(&registry)?,
        ),
        (root.join("docs/telemetry.md"), page::markdown(&registry)),
    ])
}
