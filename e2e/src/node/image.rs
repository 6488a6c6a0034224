//! Images: which there are, and what a container runtime says of the others.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Config;
use crate::app::Behaviour;

/// Where the chart says that Sluice's images are.
const SLUICE: [&str; 2] = [
    "ghcr.io/sluice-dev/sluice",
    "ghcr.io/sluice-dev/sluice-git-sync",
];

/// The program of an image.
///
/// # Errors
/// What containerd and the kubelet say when it does not exist.
pub(super) fn program<'a>(config: &'a Config, image: &str) -> Result<&'a Path, String> {
    if Behaviour::of_image(image).is_ok() {
        return Ok(&config.app);
    }
    let is = |name: &&str| {
        let rest = image.strip_prefix(*name);
        rest.is_some_and(|rest| rest.starts_with([':', '@']))
    };
    if let Some(sluice) = &config.sluice
        && SLUICE.iter().any(is)
    {
        return Ok(sluice);
    }
    let reference = canonical(image);
    Err(format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{reference}\": \
         failed to resolve reference \"{reference}\": {reference}: not found"
    ))
}

/// The image's digest, as in a container's status.
pub(super) fn id(image: &str) -> String {
    let reference = canonical(image);
    if let Some((named, digest)) = reference.split_once('@') {
        let repository = named.rsplit_once(':').map_or(named, |(name, _)| name);
        return format!("{repository}@{digest}");
    }
    let repository = reference
        .rsplit_once(':')
        .map_or(reference.as_str(), |(name, _)| name);
    format!("{repository}@sha256:{}", hex(reference.as_bytes()))
}

/// The full reference of a short one: Docker Hub's library.
fn canonical(image: &str) -> String {
    let tagged = if image
        .rsplit('/')
        .next()
        .is_some_and(|name| name.contains(':'))
    {
        image.to_owned()
    } else {
        format!("{image}:latest")
    };
    if tagged.contains('/') {
        tagged
    } else {
        format!("docker.io/library/{tagged}")
    }
}

/// SHA-256 in hexadecimal: the form of image and container ids.
pub(super) fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_image_is_told_as_containerd_tells_it() {
        let config = Config::new("demo-app", "run");
        assert_eq!(program(&config, "demo:v1"), Ok(Path::new("demo-app")));
        assert!(program(&config, "ghcr.io/sluice-dev/sluice:0.1.0").is_err());
        assert_eq!(
            program(&config, "nginx").map_err(|error| error.clone()),
            Err(
                "rpc error: code = NotFound desc = failed to pull and unpack image \
                 \"docker.io/library/nginx:latest\": failed to resolve reference \
                 \"docker.io/library/nginx:latest\": docker.io/library/nginx:latest: not found"
                    .to_owned()
            )
        );
        assert!(id("demo:v1").starts_with("docker.io/library/demo@sha256:"));
        // Pulled by its digest it is the same image.
        let pinned = id("demo:v1").replace("demo@", "demo:v1@");
        assert_eq!(id(&pinned), id("demo:v1"));
        assert!(program(&config, &pinned).is_ok());
    }
}
