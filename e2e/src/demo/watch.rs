//! Looks at everything a few times a second.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::manifests::{NAME, NAMESPACE};
use super::moment::{Moment, shares};
use super::screen::Screen;
use super::slo;
use crate::app::Behaviour;
use crate::load::{Load, Tally};
use crate::stage::{Scene, weights};

/// How often.
const PERIOD: Duration = Duration::from_millis(250);
/// How far back "now" reaches for rates and shares: short enough to follow a step, long enough for
/// a share of 5 % to be seen.
const RECENT: Duration = Duration::from_secs(2);

/// Follows one app and its users.
pub(super) struct Watch<'a> {
    scene: &'a Scene<'a>,
    load: &'a Load,
    moments: watch::Sender<Moment>,
    slos: Mutex<slo::Reader>,
    /// The version of every revision seen so far.
    versions: Mutex<BTreeMap<String, String>>,
    /// What there was when the chapter began.
    before: Mutex<Tally>,
}

impl<'a> Watch<'a> {
    /// Looks once.
    pub(super) async fn start(scene: &'a Scene<'a>, load: &'a Load) -> Result<Self> {
        let nothing = Moment {
            recent: load.since(load.now()),
            chapter: Tally::default(),
            shares: Vec::new(),
            slos: Vec::new(),
            status: sluice_crds::CanaryStatus::default(),
        };
        let watch = Self {
            scene,
            load,
            moments: watch::Sender::new(nothing),
            slos: Mutex::default(),
            versions: Mutex::default(),
            before: Mutex::default(),
        };
        watch.moments.send_replace(watch.look().await?);
        Ok(watch)
    }

    /// Looks on and on, and shows what it sees.
    pub(super) async fn run(&self, screen: &Screen) -> Result<Infallible> {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let moment = self.look().await?;
            screen.show(&moment);
            self.moments.send_replace(moment);
        }
    }

    /// The newest moment, and those to come.
    pub(super) fn moments(&self) -> watch::Receiver<Moment> {
        self.moments.subscribe()
    }

    /// The users.
    pub(super) fn load(&self) -> &Load {
        self.load
    }

    /// Begins a chapter, at this time of the load's clock.
    pub(super) fn begin_chapter(&self) -> Duration {
        *self.before.lock() = self.load.snapshot().totals.all;
        self.load.now()
    }

    async fn look(&self) -> Result<Moment> {
        let status = self.status().await?;
        let routes = self.scene.routes(NAME).await?;
        let weights = routes.first().and_then(weights).unwrap_or_default();
        if !weights
            .keys()
            .chain(&status.stable)
            .all(|revision| self.knows(revision))
        {
            self.learn().await?;
        }
        let page = self.scene.stage.controller.metrics().await?;
        let slos = self.slos.lock().read(&page, (NAMESPACE, NAME), &status);
        let recent = self.load.since(self.load.now().saturating_sub(RECENT));
        let (all, before) = (self.load.snapshot().totals.all, *self.before.lock());
        Ok(Moment {
            shares: shares(&status, &weights, &self.versions.lock(), &recent),
            chapter: Tally {
                requests: all.requests.saturating_sub(before.requests),
                failed: all.failed.saturating_sub(before.failed),
            },
            recent,
            slos,
            status,
        })
    }

    /// The Canary's status; nothing before there is a Canary.
    async fn status(&self) -> Result<sluice_crds::CanaryStatus> {
        let canaries = self.scene.api::<sluice_crds::Canary>();
        let canary = canaries
            .get_opt(NAME)
            .await
            .context("looking at the Canary")?;
        Ok(canary.and_then(|canary| canary.status).unwrap_or_default())
    }

    fn knows(&self, revision: &str) -> bool {
        self.versions.lock().contains_key(revision)
    }

    /// A revision's version is the tag of the image in its snapshot.
    async fn learn(&self) -> Result<()> {
        for snapshot in self.scene.snapshots(NAME).await? {
            let image = snapshot.data.pointer("/template/spec/containers/0/image");
            let image = image.and_then(Value::as_str).unwrap_or_default();
            if let Ok(behaviour) = Behaviour::of_image(image) {
                self.versions
                    .lock()
                    .insert(snapshot.name_any(), behaviour.version);
            }
        }
        Ok(())
    }
}
