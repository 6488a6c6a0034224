//! Writes anew what Argo CD is to know of a Canary; [`e2e::argocd`] makes it.

fn main() -> anyhow::Result<()> {
    std::fs::write(e2e::argocd::path(), e2e::argocd::text()?)?;
    Ok(())
}
