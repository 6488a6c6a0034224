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

    /// Does something, and waits for its end while Sluice is killed. Tells whether it was.
    pub(super) async fn survive(
        &self,
        kill: Kill,
        act: impl AsyncFnOnce() -> Result<()>,
        end: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<bool> {
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
        // Whatever was under way as the end was reached.
        gate.open();
        controller.restart().await?;
        result?;
        Ok(struck.get())
    }

    pub(super) async fn close(self) -> Result<()> {
        // The stage's own Sluice lets the Canary go.
        self.scene.close().await
    }
}
