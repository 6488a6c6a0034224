//! One container as its pod's status shows it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
        ContainerStateWaiting, ContainerStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

use super::image;

/// State of one container.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) state: ContainerState,
    last: Option<ContainerState>,
    pub(super) ready: bool,
    restarts: i32,
    id: Option<String>,
}

impl View {
    /// Not started yet, in a pod with so many init containers.
    pub(super) fn creating(inits: usize) -> Self {
        let mut view = Self::default();
        let reason = if inits > 0 {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        view.waiting(reason, None);
        view
    }

    /// Started just now; `uid` is the pod's.
    pub(super) fn started(&mut self, uid: &str, container: &str) {
        if self.has_run() {
            self.restarts += 1;
        }
        let id = image::hex(format!("{uid}/{container}/{}", self.restarts).as_bytes());
        self.id = Some(format!("containerd://{id}"));
        let running = ContainerStateRunning {
            started_at: Some(Time(Timestamp::now())),
        };
        self.move_to(ContainerState {
            running: Some(running),
            ..ContainerState::default()
        });
    }

    /// Ended just now.
    pub(super) fn ended(&mut self, status: ExitStatus) {
        // A shell's convention, which container runtimes follow.
        let exit_code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let reason = if exit_code == 0 { "Completed" } else { "Error" };
        let running = self.state.running.take();
        self.state = ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: self.id.clone(),
                exit_code,
                reason: Some(reason.to_owned()),
                started_at: running.and_then(|running| running.started_at),
                finished_at: Some(Time(Timestamp::now())),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        };
        self.ready = false;
    }

    /// Waits, for a reason of the kubelet's.
    pub(super) fn waiting(&mut self, reason: &str, message: Option<String>) {
        let waiting = ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        };
        self.move_to(ContainerState {
            waiting: Some(waiting),
            ..ContainerState::default()
        });
    }

    /// What ended is kept as the last state.
    fn move_to(&mut self, state: ContainerState) {
        let before = std::mem::replace(&mut self.state, state);
        if before.terminated.is_some() {
            self.last = Some(before);
        }
        self.ready = false;
    }

    /// Ran at least once.
    pub(super) fn has_run(&self) -> bool {
        self.id.is_some()
    }

    /// The exit code, if it has ended.
    pub(super) fn exit_code(&self) -> Option<i32> {
        self.state
            .terminated
            .as_ref()
            .map(|terminated| terminated.exit_code)
    }

    /// The API's form.
    pub(super) fn status(&self, container: &Container) -> ContainerStatus {
        let image = container.image.clone().unwrap_or_default();
        ContainerStatus {
            name: container.name.clone(),
            image_id: if self.has_run() {
                image::id(&image)
            } else {
                String::new()
            },
            image,
            container_id: self.id.clone(),
            ready: self.ready,
            started: Some(self.state.running.is_some()),
            restart_count: self.restarts,
            state: Some(self.state.clone()),
            last_state: self.last.clone(),
            ..ContainerStatus::default()
        }
    }
}
