//! A namespace with a Sluice of its own, which can be killed right behind a write.

use std::cell::Cell;
use std::future::pending;

use anyhow::Result;
use e2e::stage::app::{merged, quick_policy};
use e2e::stage::{Gated, Scene, Stage};

/// When Sluice is killed. It is started again at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kill {
    Never,
    /// After so many writes, once.
    After(usize),
    /// After every write but Events: those are told again until the status knows of them.
    AfterEvery,
}

/// What became of a run, or of one of its halves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Whether Sluice was killed in it.
    pub(super) struck: bool,
    /// How many writes were done, Events too, since it began or was struck last.
    pub(super) writes: usize,
}

/// A scene and its Sluice.
pub(super) struct Lane<'a> {
    pub(super) scene: Scene<'a>,
    sluice: Gated,
}

impl<'a> Lane<'a> {
    pub(super) async fn set(stage: &'a Stage, name: &str) -> Result<Self> {
        Ok(Self {
            scene: stage.scene(name).await?,
            sluice: stage.gated(name).await?,
        })
    }

    /// A Canary's spec with these sections.
    pub(super) fn policy(&self, more: &str) -> String {
        let prometheus = self.scene.stage.cluster.prometheus_url();
        merged(&quick_policy(prometheus), more)
    }

    /// Does something, and waits for its end while Sluice is killed.
    pub(super) async fn survive(
        &self,
        kill: Kill,
        act: impl AsyncFnOnce() -> Result<()>,
        end: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<Run> {
        let Gated { gate, controller } = &self.sluice;
        let arm = || match kill {
            Kill::Never => gate.strike_after(usize::MAX, true),
            Kill::After(writes) => gate.strike_after(writes, true),
            Kill::AfterEvery => gate.strike_after(1, false),
        };
        let mut told = arm();
        let struck = Cell::new(false);
        let killing = async {
            while told.recv().await.is_some() {
                struck.set(true);
                controller.kill().await?;
                if kill == Kill::AfterEvery {
                    told = arm();
                } else {
                    gate.open();
                }
                controller.restart().await?;
            }
            // Struck once: the gate has forgotten.
            pending::<Result<()>>().await
        };
        let all = async {
            act().await?;
            end().await
        };
        let result = tokio::select! {
            result = all => result,
            result = killing => result,
        };
        let writes = gate.writes().iter().filter(|write| write.is_done()).count();
        // Whatever was under way as the end was reached.
        gate.open();
        controller.restart().await?;
        result?;
        Ok(Run {
            struck: struck.get(),
            writes,
        })
    }

    pub(super) async fn close(self) -> Result<()> {
        // The stage's own Sluice lets the Canary go.
        self.scene.close().await
    }
}
