//! What the cluster says of a Canary: what serves, and what was rejected.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodTemplate};
use kube::ResourceExt as _;
use sluice_core::Record;
use sluice_crds::{Canary, Phase, annotations};

use crate::mark::Key;

/// How a revision ended up.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its name.
    pub revision: String,
    /// What its snapshot remembers.
    pub record: Record,
    /// The image of every container by its name, as Git had it.
    pub images: BTreeMap<String, String>,
    /// The names of its containers that are no init containers.
    pub containers: Vec<String>,
}

/// What is to be told to Git of a Canary.
#[derive(Clone, Debug, PartialEq)]
pub struct Stance {
    /// Whose it is.
    pub canary: Key,
    /// What serves, if it was promoted.
    pub serving: Option<Ended>,
    /// What Git asks for, if it was rejected.
    pub rejected: Option<Ended>,
}

impl Ended {
    /// Reads a revision's snapshot.
    #[must_use]
    pub fn read(snapshot: &PodTemplate) -> Option<Self> {
        let verdict = snapshot.annotations().get(annotations::VERDICT)?;
        let spec = snapshot.template.as_ref()?.spec.as_ref()?;
        let names = |container: &Container| container.name.clone();
        let init = spec.init_containers.iter().flatten();
        let images = spec.containers.iter().chain(init);
        Some(Self {
            revision: snapshot.name_any(),
            record: serde_json::from_str(verdict).ok()?,
            images: images
                .filter_map(|container| Some((container.name.clone(), container.image.clone()?)))
                .collect(),
            containers: spec.containers.iter().map(names).collect(),
        })
    }

    /// The image of a container, or of the only one.
    ///
    /// # Errors
    /// What is wrong with the name, and which there are.
    pub fn image(&self, container: Option<&str>) -> Result<(&str, &str), String> {
        let name = match (container, self.containers.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => {
                return Err(format!(
                    "the pods have several containers: name one of {} behind the field, as in \":image:{}\"",
                    self.names(),
                    self.containers
                        .first()
                        .map(String::as_str)
                        .unwrap_or_default()
                ));
            }
        };
        let image = self.images.get_key_value(name);
        image
            .map(|(name, image)| (name.as_str(), image.as_str()))
            .ok_or_else(|| {
                format!(
                    "revision {} has no container {name}, but {}",
                    self.revision,
                    self.names()
                )
            })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.images.keys().map(String::as_str).collect();
        names.join(", ")
    }

    /// When it was judged, as told in commits; tells one judgement of a revision from the next.
    #[must_use]
    pub fn decided_at(&self) -> String {
        self.record.at.map_or_else(
            || "unknown".to_owned(),
            |at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        )
    }
}

/// What is to be told of a Canary. `snapshot` finds one of its namespace by name.
#[must_use]
pub fn stance(canary: &Canary, snapshot: impl Fn(&str) -> Option<Ended>) -> Stance {
    let key = Key {
        namespace: canary.namespace().unwrap_or_default(),
        name: canary.name_any(),
    };
    let none = Stance {
        canary: key,
        serving: None,
        rejected: None,
    };
    // Suspended, nothing is written: neither to the cluster nor to Git.
    let leaves = canary.spec.suspend || canary.metadata.deletion_timestamp.is_some();
    let Some(status) = canary.status.as_ref().filter(|_| !leaves) else {
        return none;
    };
    let find = |name: &Option<String>| name.as_deref().and_then(&snapshot);
    let serving = find(&status.stable).filter(|ended| ended.record.is_promoted());
    let failed = status.phase == Some(Phase::Failed) && status.candidate != status.stable;
    let rejected = find(&status.candidate).filter(|ended| failed && ended.record.is_rejected());
    Stance {
        serving,
        rejected,
        ..none
    }
}

/// The digest of each container's image, as its pods say. Pods that disagree, as when a tag was moved between two
/// pulls, say nothing.
#[must_use]
pub fn digests(pods: &[Pod]) -> BTreeMap<String, String> {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref());
    let statuses = statuses.flat_map(|status| {
        let main = status.container_statuses.iter().flatten();
        main.chain(status.init_container_statuses.iter().flatten())
    });
    let mut digests: BTreeMap<String, Option<String>> = BTreeMap::new();
    for status in statuses.filter(|status| !status.image_id.is_empty()) {
        let digest = digest(&status.image_id);
        let known = digests
            .entry(status.name.clone())
            .or_insert_with(|| digest.clone());
        if *known != digest {
            *known = None;
        }
    }
    let known = digests.into_iter();
    known
        .filter_map(|(name, digest)| Some((name, digest?)))
        .collect()
}

/// The digest in `docker.io/library/app@sha256:…`. A bare `sha256:…` names an image on its node alone.
fn digest(image_id: &str) -> Option<String> {
    let (_, digest) = image_id.rsplit_once('@')?;
    let hex = digest.strip_prefix("sha256:")?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| digest.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a failed unwrap is a failed test"
    )]

    use serde_json::json;

    use super::*;

    fn snapshot(name: &str, image: &str, verdict: &str) -> PodTemplate {
        let verdict = json!({"outcome": verdict, "at": "2026-01-01T00:00:00.123Z", "reason": "so"});
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "annotations": {"sluice.dev/verdict": verdict.to_string()}},
            "template": {"spec": {
                "initContainers": [{"name": "migrate", "image": "db:1"}],
                "containers": [{"name": "app", "image": image}],
            }},
        }))
        .unwrap()
    }

    fn canary(status: &serde_json::Value) -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Canary", "metadata": {"name": "app", "namespace": "shop"},
            "spec": {"targetRef": {"kind": "Deployment", "name": "app"}}, "status": status,
        }))
        .unwrap()
    }

    fn told(canary: &Canary) -> (Option<String>, Option<String>) {
        let stance = stance(canary, |name| match name {
            "app-1" => Ended::read(&snapshot("app-1", "app:1", "Promoted")),
            "app-2" => Ended::read(&snapshot("app-2", "app:2", "Rejected")),
            _ => None,
        });
        assert_eq!(stance.canary.to_string(), "shop/app");
        let revision = |ended: Option<Ended>| ended.map(|ended| ended.revision);
        (revision(stance.serving), revision(stance.rejected))
    }

    #[test]
    fn a_stance_is_what_serves_and_what_was_rejected() {
        let (one, two) = (Some("app-1".to_owned()), Some("app-2".to_owned()));
        let failed = json!({"phase": "Failed", "stable": "app-1", "candidate": "app-2"});
        assert_eq!(told(&canary(&failed)), (one.clone(), two));
        let judged = json!({"phase": "Progressing", "stable": "app-1", "candidate": "app-2"});
        assert_eq!(told(&canary(&judged)), (one, None));
        let unknown = json!({"phase": "Failed", "stable": "app-9", "candidate": "app-1"});
        assert_eq!(
            told(&canary(&unknown)),
            (None, None),
            "the one is gone, the other was not rejected"
        );
        let mut suspended = canary(&failed);
        suspended.spec.suspend = true;
        assert_eq!(told(&suspended), (None, None));
    }

    #[test]
    fn a_container_is_named_where_there_are_several() {
        let mut ended = Ended::read(&snapshot("app-1", "app:1", "Promoted")).unwrap();
        assert_eq!(ended.image(None), Ok(("app", "app:1")));
        assert_eq!(ended.image(Some("migrate")), Ok(("migrate", "db:1")));
        assert_eq!(
            ended.image(Some("web")).unwrap_err(),
            "revision app-1 has no container web, but app, migrate"
        );
        ended.containers.push("proxy".to_owned());
        assert!(ended.image(None).unwrap_err().contains("\":image:app\""));
        assert_eq!(ended.decided_at(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn pods_that_agree_tell_a_digest() {
        let pod = |app: &str, proxy: &str| -> Pod {
            let statuses = [("app", app), ("proxy", proxy)].map(|(name, id)| {
                json!({"name": name, "imageID": id, "image": "x", "ready": true, "restartCount": 0})
            });
            serde_json::from_value(json!({"status": {"containerStatuses": statuses}})).unwrap()
        };
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let at = |repository: &str, hex: &str| format!("{repository}@sha256:{hex}");
        let pods = [
            pod(&at("docker.io/library/app", &a), &at("proxy", &a)),
            pod(&at("docker-pullable://app", &a), &at("proxy", &b)),
            pod("", &at("proxy", &a)),
        ];
        let known = digests(&pods);
        assert_eq!(
            known,
            BTreeMap::from([("app".to_owned(), format!("sha256:{a}"))])
        );
        assert_eq!(
            digests(&[pod(&format!("sha256:{a}"), "proxy:1")]),
            BTreeMap::new()
        );
    }
}
