//! One container: a process, started again whenever its pod's policy says so.

use std::{process::ExitStatus, time::Duration};

use kube::ResourceExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{image, probe::Prober, slot::Slot, volume};

/// The kubelet waits 10 s at first and 5 min at most; stories cannot.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(16);
/// A container that ran so long starts with the first back-off again.
const FORGIVEN_AFTER: Duration = Duration::from_mins(1);
const IMAGE_BACK_OFF: Duration = Duration::from_secs(1);
/// Between attempts to set a container up, and between renewals of its files.
const SETUP_PERIOD: Duration = Duration::from_millis(500);
const RENEW_PERIOD: Duration = Duration::from_secs(2);
/// What the kubelet leaves a container after its `preStop`, even if no time is left.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// Runs one container.
pub(super) struct Runner {
    slot: Slot,
    /// Its process, while there is one: kept here so that [`Runner::end`] finds it wherever
    /// [`Runner::live`] was interrupted.
    child: Option<Child>,
    /// It is to end, as init containers are.
    once: bool,
}

impl Runner {
    pub(super) fn new(slot: Slot) -> Self {
        Self {
            slot,
            child: None,
            once: false,
        }
    }

    /// As an init container: started again only if it fails.
    pub(super) fn once(self) -> Self {
        Self { once: true, ..self }
    }

    /// Runs the container until `stop` holds the time by which it must have ended.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<Option<Instant>>) {
        let deadline = tokio::select! {
            () = self.live() => return,
            stop = stop.wait_for(Option::is_some) => stop.ok().and_then(|deadline| *deadline),
        };
        self.end(deadline.unwrap_or_else(Instant::now)).await;
    }

    /// Starts the process as often as the restart policy wants it. Returns when it wants no more.
    async fn live(&mut self) {
        self.pull().await;
        let mut back_off = Duration::ZERO;
        loop {
            self.start().await;
            let started = Instant::now();
            let status = self.watch().await;
            self.slot.see(|view| view.ended(status));
            if !self.restarts(status) {
                return;
            }
            if started.elapsed() >= FORGIVEN_AFTER {
                back_off = Duration::ZERO;
            }
            if !back_off.is_zero() {
                let message = format!(
                    "back-off {}s restarting failed container={} pod={}",
                    back_off.as_secs(),
                    self.slot.container.name,
                    self.slot.pod_title()
                );
                self.slot
                    .see(|view| view.waiting("CrashLoopBackOff", Some(message)));
                sleep(back_off).await;
            }
            back_off = (2 * back_off).clamp(FIRST_BACK_OFF, LONGEST_BACK_OFF);
        }
    }

    /// Returns only if the image exists.
    async fn pull(&mut self) {
        let image = self.slot.container.image.clone().unwrap_or_default();
        let Err(error) = image::program(&self.slot.kubelet.config, &image) else {
            return;
        };
        loop {
            self.slot
                .see(|view| view.waiting("ErrImagePull", Some(error.clone())));
            sleep(IMAGE_BACK_OFF).await;
            let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {error}");
            self.slot
                .see(|view| view.waiting("ImagePullBackOff", Some(message)));
            sleep(LONGEST_BACK_OFF).await;
        }
    }

    /// Starts the process once its files and variables are there.
    async fn start(&mut self) {
        loop {
            match self.slot.write_volumes().await {
                Ok(()) => match self.slot.start().await {
                    Ok(child) => {
                        self.child = Some(child);
                        let uid = self.slot.pod.uid().unwrap_or_default();
                        self.slot
                            .see(|view| view.started(&uid, &self.slot.container.name));
                        return;
                    }
                    Err((reason, error)) => {
                        self.slot
                            .see(|view| view.waiting(reason, Some(format!("{error:#}"))));
                    }
                },
                // A kubelet tells this in an Event only; the container stays `ContainerCreating`.
                Err(error) => tracing::debug!(pod = self.slot.pod_title(), "{error:#}"),
            }
            sleep(SETUP_PERIOD).await;
        }
    }

    /// Probes the process and renews its files until it exits.
    async fn watch(&mut self) -> ExitStatus {
        let Self { slot, child, .. } = self;
        let mut prober = Prober::start(&slot.container, slot.address);
        let renews = volume::any(&slot.pod, &slot.container);
        let status = loop {
            tokio::select! {
                status = exit(child) => break status,
                ready = prober.changed() => slot.see(|view| view.ready = ready),
                () = sleep(RENEW_PERIOD), if renews => {
                    // If an object vanished, a running container keeps its files.
                    let _ = slot.write_volumes().await;
                }
            }
        };
        *child = None;
        status
    }

    /// `preStop`, SIGTERM, and SIGKILL at `deadline`.
    async fn end(&mut self, deadline: Instant) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let hook = self
            .slot
            .container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        if let Some(pause) = hook.and_then(|hook| hook.sleep.as_ref()) {
            let pause = Duration::from_secs(u64::try_from(pause.seconds).unwrap_or_default());
            let _ = timeout_at(deadline, sleep(pause)).await;
        }
        if let Some(id) = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
        {
            // Fails only if it has ended already.
            let _ = kill_process(id, Signal::TERM);
        }
        let deadline = deadline.max(Instant::now() + LEAST_GRACE);
        let ended = timeout_at(deadline, child.wait()).await;
        let status = if let Ok(status) = ended {
            status
        } else {
            let _ = child.start_kill();
            child.wait().await
        };
        let status = status.unwrap_or_default();
        self.slot.see(|view| view.ended(status));
    }

    fn restarts(&self, status: ExitStatus) -> bool {
        let spec = self.slot.pod.spec.as_ref();
        match spec.and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => false,
            Some("OnFailure") => !status.success(),
            _ if self.once => !status.success(),
            _ => true,
        }
    }
}

async fn exit(child: &mut Option<Child>) -> ExitStatus {
    match child {
        // An error means that the process cannot be waited for, so it is not there.
        Some(child) => child.wait().await.unwrap_or_default(),
        None => ExitStatus::default(),
    }
}
