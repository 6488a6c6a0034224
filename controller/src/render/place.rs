//! In place of what an object is to be applied.

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// A version that no object has: with it the API server creates an object, and changes none.
const NEW: &str = "1";

/// An object that the API server takes only in place of `live`, as it was, or of none. A write that was
/// decided long ago and arrives late does nothing then.
#[must_use]
pub fn in_place_of(object: &Value, live: Option<&DynamicObject>) -> Value {
    let mut object = object.clone();
    let version = live.and_then(ResourceExt::resource_version);
    let uid = live.and_then(ResourceExt::uid);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let version = version.unwrap_or_else(|| NEW.to_owned());
        metadata.insert("resourceVersion".to_owned(), version.into());
        metadata.extend(uid.map(|uid| ("uid".to_owned(), uid.into())));
    }
    object
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use serde_json::json;

    use super::*;

    #[test]
    fn it_names_the_version_that_it_was_decided_upon() {
        let object = json!({"metadata": {"name": "a"}, "spec": {"rules": []}});
        let live = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "a", "resourceVersion": "42", "uid": "u"},
        });
        let live: DynamicObject = serde_json::from_value(live).unwrap();
        let metadata = json!({"name": "a", "resourceVersion": "42", "uid": "u"});
        let expected = json!({"metadata": metadata, "spec": {"rules": []}});
        assert_eq!(in_place_of(&object, Some(&live)), expected);
        let metadata = json!({"name": "a", "resourceVersion": "1"});
        let expected = json!({"metadata": metadata, "spec": {"rules": []}});
        assert_eq!(in_place_of(&object, None), expected);
    }
}
