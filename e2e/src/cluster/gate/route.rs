//! What a request's path is about.

use hyper::Method;

/// The path behind group, version and namespace: resource, name, subresource.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // `api/v1` or `apis/GROUP/VERSION`.
    let prefix = if parts.first() == Some(&"api") { 2 } else { 3 };
    parts.drain(..prefix.min(parts.len()));
    if parts.first() == Some(&"namespaces") && parts.len() > 2 {
        parts.drain(..2);
    }
    parts.into_iter()
}

/// Resource and subresource: `canaries/status`, `httproutes`.
pub(super) fn kind(path: &str) -> String {
    let mut parts = parts(path);
    let resource = parts.next().unwrap_or_default().to_owned();
    match parts.nth(1) {
        Some(sub) => format!("{resource}/{sub}"),
        None => resource,
    }
}

/// A request as a person would name it: `PATCH canaries/shop/status`.
pub(super) fn about(method: &Method, path: &str) -> String {
    format!("{method} {}", parts(path).collect::<Vec<_>>().join("/"))
}

/// Whether a request that is named so is of this kind.
pub(super) fn is_of(about: &str, method: &Method, kind: &str) -> bool {
    let Some((verb, rest)) = about.split_once(' ') else {
        return false;
    };
    verb == method.as_str() && self::kind(&format!("/api/v1/{rest}")) == kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_request_is_about() {
        for (path, named, of) in [
            ("/api/v1/namespaces/a/services", "POST services", "services"),
            (
                "/apis/sluice.dev/v1alpha1/namespaces/a/canaries/shop/status",
                "POST canaries/shop/status",
                "canaries/status",
            ),
            ("/api/v1/namespaces/a", "POST namespaces/a", "namespaces"),
            (
                "/apis/apps/v1/namespaces/namespaces/deployments/shop",
                "POST deployments/shop",
                "deployments",
            ),
        ] {
            assert_eq!(about(&Method::POST, path), named);
            assert_eq!(kind(path), of);
            assert!(is_of(named, &Method::POST, of), "{named}");
            assert!(!is_of(named, &Method::PATCH, of));
        }
    }
}
