//! A pod's status, put together from its containers.

use k8s_openapi::{
    api::core::v1::{HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

use super::view::View;

/// What a pod's status says besides its containers, from its start on.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) host: String,
    pub(super) address: String,
    pub(super) started_at: Time,
    conditions: Vec<PodCondition>,
}

impl Facts {
    /// Conditions keep the times that `pod` has, where they hold on.
    pub(super) fn of(pod: &Pod, host: String, address: String) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        Self {
            host,
            address,
            started_at: status.start_time.unwrap_or_else(|| Time(Timestamp::now())),
            conditions: status.conditions.unwrap_or_default(),
        }
    }

    /// The status now, of views of all init containers, then of the others. `stopping` once the pod is being deleted.
    pub(super) fn status(&mut self, spec: &PodSpec, views: &[View], stopping: bool) -> PodStatus {
        let inits = spec.init_containers.as_deref().unwrap_or_default();
        let (of_inits, views) = views.split_at(inits.len().min(views.len()));
        let initialized = of_inits.iter().all(|view| view.exit_code() == Some(0));
        let phase = phase(spec, views, stopping);
        let unready: Vec<_> = (spec.containers.iter().zip(views))
            .filter(|(_, view)| !view.ready)
            .map(|(container, _)| container.name.as_str())
            .collect();
        let (reason, message) = match phase {
            _ if unready.is_empty() => (None, None),
            "Succeeded" => (Some("PodCompleted"), None),
            "Failed" => (Some("PodFailed"), None),
            _ => {
                let names = unready.join(" ");
                (
                    Some("ContainersNotReady"),
                    Some(format!("containers with unready status: [{names}]")),
                )
            }
        };
        let started = of_inits.iter().chain(views).any(View::has_run);
        for (type_, holds, reason, message) in [
            ("PodReadyToStartContainers", started, None, None),
            ("Initialized", initialized, None, None),
            ("Ready", unready.is_empty(), reason, message.clone()),
            ("ContainersReady", unready.is_empty(), reason, message),
            ("PodScheduled", true, None, None),
        ] {
            self.set(type_, holds, reason, message);
        }
        PodStatus {
            phase: Some(phase.to_owned()),
            conditions: Some(self.conditions.clone()),
            container_statuses: Some(
                spec.containers
                    .iter()
                    .zip(views)
                    .map(|(c, view)| view.status(c))
                    .collect(),
            ),
            init_container_statuses: (!inits.is_empty()).then(|| {
                let statuses = inits.iter().zip(of_inits);
                statuses.map(|(c, view)| view.status(c)).collect()
            }),
            host_ip: Some(self.host.clone()),
            host_ips: Some(vec![HostIP {
                ip: self.host.clone(),
            }]),
            pod_ip: Some(self.address.clone()),
            pod_ips: Some(vec![PodIP {
                ip: self.address.clone(),
            }]),
            start_time: Some(self.started_at.clone()),
            ..PodStatus::default()
        }
    }

    fn set(&mut self, type_: &str, holds: bool, reason: Option<&str>, message: Option<String>) {
        let status = if holds { "True" } else { "False" };
        let before = self
            .conditions
            .iter()
            .position(|condition| condition.type_ == type_);
        let before = before.map(|index| self.conditions.remove(index));
        let since = before
            .filter(|condition| condition.status == status)
            .and_then(|condition| condition.last_transition_time)
            .unwrap_or_else(|| Time(Timestamp::now()));
        self.conditions.push(PodCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            message,
            last_transition_time: Some(since),
            ..PodCondition::default()
        });
    }
}

/// The rules of the kubelet's `getPhase`.
fn phase(spec: &PodSpec, views: &[View], stopping: bool) -> &'static str {
    let ended: Vec<i32> = views.iter().filter_map(View::exit_code).collect();
    let all_ended = ended.len() == views.len();
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let failed = ended.iter().any(|code| *code != 0);
    if views.iter().any(|view| !view.has_run()) {
        return if stopping { "Failed" } else { "Pending" };
    }
    match (all_ended, stopping, policy, failed) {
        (true, true, _, true) | (true, _, "Never", true) => "Failed",
        (true, true, _, false) | (true, _, "Never" | "OnFailure", false) => "Succeeded",
        _ => "Running",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    fn spec(policy: &str) -> PodSpec {
        let containers = [serde_json::json!({"name": "app", "image": "demo:v1"})];
        let spec = serde_json::json!({"containers": containers, "restartPolicy": policy});
        serde_json::from_value(spec).unwrap()
    }

    fn facts() -> Facts {
        Facts::of(
            &Pod::default(),
            "198.18.0.1".to_owned(),
            "198.18.0.2".to_owned(),
        )
    }

    fn condition<'a>(status: &'a PodStatus, type_: &str) -> &'a PodCondition {
        status
            .conditions
            .as_ref()
            .unwrap()
            .iter()
            .find(|c| c.type_ == type_)
            .unwrap()
    }

    #[test]
    fn readiness_is_told_in_the_kubelets_words() {
        let mut facts = facts();
        let mut view = View::creating(0);
        let status = facts.status(&spec("Always"), &[view.clone()], false);
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        let ready = condition(&status, "Ready");
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_deref()),
            ("False", Some("ContainersNotReady"))
        );
        assert_eq!(
            ready.message.as_deref(),
            Some("containers with unready status: [app]")
        );

        view.started("uid", "app");
        view.ready = true;
        let status = facts.status(&spec("Always"), &[view], false);
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert_eq!(condition(&status, "Ready").status, "True");
        assert_eq!(condition(&status, "Ready").message, None);
    }

    #[test]
    fn init_containers_come_first() {
        let mut facts = facts();
        let mut spec = spec("Always");
        spec.init_containers = Some(spec.containers.clone());
        let mut init = View::creating(1);
        let app = View::creating(1);
        init.started("uid", "init");
        let status = facts.status(&spec, &[init.clone(), app.clone()], false);
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        assert_eq!(condition(&status, "Initialized").status, "False");
        init.ended(ExitStatus::default());
        let status = facts.status(&spec, &[init, app], false);
        assert_eq!(condition(&status, "Initialized").status, "True");
        assert_eq!(status.init_container_statuses.unwrap().len(), 1);
        assert_eq!(status.container_statuses.unwrap().len(), 1);
    }

    #[test]
    fn a_crash_is_the_last_state_of_the_next_start() {
        let mut view = View::creating(0);
        view.started("uid", "app");
        view.ended(ExitStatus::from_raw(1 << 8));
        assert_eq!(phase(&spec("Always"), &[view.clone()], false), "Running");
        assert_eq!(phase(&spec("Never"), &[view.clone()], false), "Failed");
        view.waiting("CrashLoopBackOff", None);
        view.started("uid", "app");
        let spec = spec("Always");
        let status = view.status(spec.containers.first().unwrap());
        assert_eq!(status.restart_count, 1);
        let last = status.last_state.unwrap().terminated.unwrap();
        assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
    }

    #[test]
    fn a_killed_process_has_the_runtimes_exit_code() {
        let mut view = View::creating(0);
        view.started("uid", "app");
        view.ended(ExitStatus::from_raw(9));
        assert_eq!(view.exit_code(), Some(137));
        assert_eq!(phase(&spec("Always"), &[view], true), "Failed");
    }
}
