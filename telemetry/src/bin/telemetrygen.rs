//! Writes anew what is made from the registry.

fn main() -> anyhow::Result<()> {
    for (path, text) in sluice_telemetry::made()? {
        std::fs::write(path, text)?;
    }
    Ok(())
}
