//! Carries the schedule out: one after another for each app, and for each kind of outage.

mod hand;
mod outage;

use anyhow::Result;
use futures::future::try_join_all;

use super::journal::{Done, Journal};
use super::schedule::{Deed, Event, Outage, What};
use crate::stage::Scene;

/// Who acts, on what.
#[derive(Clone, Copy)]
pub(super) struct Actors<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) journal: &'a Journal,
    /// A Canary's spec.
    pub(super) spec: &'a str,
}

impl Actors<'_> {
    /// Returns when all of it is done, and what was down is up again.
    ///
    /// # Errors
    /// When something that was taken down does not come back.
    pub(super) async fn run(self, schedule: &[Event], canaries: usize) -> Result<()> {
        let outages = [Outage::Kill, Outage::Freeze, Outage::Metrics, Outage::Api];
        let outages = outages.map(|kind| self.outages(schedule, kind));
        let deeds = (0..canaries).map(|canary| self.deeds(schedule, canary));
        tokio::try_join!(try_join_all(outages), try_join_all(deeds))?;
        Ok(())
    }

    async fn outages(self, schedule: &[Event], kind: Outage) -> Result<()> {
        for event in schedule {
            if let What::Outage(outage, lasts) = event.what
                && outage == kind
            {
                tokio::time::sleep_until(self.journal.moment(event.at)).await;
                self.outage(outage, lasts).await?;
            }
        }
        Ok(())
    }

    async fn deeds(self, schedule: &[Event], of: usize) -> Result<()> {
        for event in schedule {
            if let What::Deed(canary, deed) = event.what
                && canary == of
            {
                tokio::time::sleep_until(self.journal.moment(event.at)).await;
                self.deed(canary, deed).await;
            }
        }
        Ok(())
    }

    /// Does it, or notes why it could not be done.
    async fn deed(self, canary: usize, deed: Deed) {
        let result = self.attempt(canary, deed).await;
        self.journal.write(|written, at| {
            let name = super::schedule::name(canary);
            let line = |why: &str| format!("{:.1} s, {name}: {deed}: {why}", at.as_secs_f64());
            match result {
                Ok(None) => written.deeds.push(Done { canary, deed, at }),
                Ok(Some(why)) => written.skipped.push(line(why)),
                Err(error) => written.stuck.push(line(&format!("{error:#}"))),
            }
        });
    }
}
