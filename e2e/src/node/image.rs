//! Images: which there are, and what a container runtime says of the others.

use sha2::{Digest, Sha256};

use crate::app::Behaviour;

/// What containerd and the kubelet say when `image` does not exist; `None` if it does.
pub(super) fn pull_error(image: &str) -> Option<String> {
    if Behaviour::of_image(image).is_ok() {
        return None;
    }
    let reference = canonical(image);
    Some(format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{reference}\": \
         failed to resolve reference \"{reference}\": {reference}: not found"
    ))
}

/// The image's digest, as in a container's status.
pub(super) fn id(image: &str) -> String {
    let reference = canonical(image);
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
        assert_eq!(pull_error("demo:v1"), None);
        assert_eq!(
            pull_error("nginx").as_deref(),
            Some(
                "rpc error: code = NotFound desc = failed to pull and unpack image \
                 \"docker.io/library/nginx:latest\": failed to resolve reference \
                 \"docker.io/library/nginx:latest\": docker.io/library/nginx:latest: not found"
            )
        );
        assert!(id("demo:v1").starts_with("docker.io/library/demo@sha256:"));
    }
}
