//! What fails for all.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::Actors;
use crate::soak::journal::{Span, Written};
use crate::soak::schedule::Outage;

impl Actors<'_> {
    pub(super) async fn outage(self, outage: Outage, lasts: Duration) -> Result<()> {
        self.journal.write(|written, from| {
            let to = None;
            written.outages.push(Span {
                what: outage,
                from,
                to,
            });
        });
        let result = self.suffer(outage, lasts).await;
        self.journal
            .write(|written, now| Written::end(&mut written.outages, &outage, now));
        result
    }

    async fn suffer(self, outage: Outage, lasts: Duration) -> Result<()> {
        let controller = &self.scene.stage.controller;
        let cluster = &self.scene.stage.cluster;
        match outage {
            Outage::Kill => {
                controller.kill().await?;
                sleep(lasts).await;
                // Not until it is ready: the API server may be down just now.
                controller.start_again().await?;
            }
            Outage::Freeze => {
                controller.freeze().await?;
                sleep(lasts).await;
                controller.thaw().await?;
            }
            Outage::Metrics => {
                cluster.prometheus().stop().await?;
                sleep(lasts).await;
                cluster.prometheus().start().await?;
            }
            Outage::Api => {
                cluster.api_server().stop().await?;
                sleep(lasts).await;
                cluster.api_server().start().await?;
            }
        }
        Ok(())
    }
}
