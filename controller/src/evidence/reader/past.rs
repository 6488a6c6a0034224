//! Asking for the requests of the past: now and then, for many at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use tokio::time::sleep;

use super::{Door, MOST_PATIENCE, Reader};
use crate::evidence::Key;
use crate::evidence::answer::{self, Series};
use crate::evidence::fetch::fetch_range;
use crate::evidence::past::{Known, Past, Survey};
use crate::evidence::problem::Problem;

/// The next surveys wait until the last of these is over.
const LONGEST_PATIENCE: Duration = Duration::from_mins(1);

impl Reader {
    /// Says that a Canary wants to know its past traffic; `None` for no more. To say the same again changes
    /// nothing.
    pub fn remember(&self, key: Key, past: Option<Past>) {
        if self.shared.register.lock().note(key, past, Utc::now()) {
            self.shared.newcomers.send_replace(());
        }
    }

    /// What is known of a Canary's past traffic.
    #[must_use]
    pub fn past(&self, key: &Key) -> Known {
        self.shared.register.lock().known(key)
    }

    /// Asks whenever somebody is due, for ever.
    pub(super) async fn look_back(self, changed: Arc<dyn Fn(Key) + Send + Sync>) {
        let mut newcomers = self.shared.newcomers.subscribe();
        loop {
            newcomers.mark_unchanged();
            let due_at = self.shared.register.lock().due_at();
            tokio::select! {
                // In a year, if nobody is: somebody new comes before.
                () = sleep(due_at.map_or(YEAR, |at| (at - Utc::now()).to_std().unwrap_or_default())) => {}
                _ = newcomers.changed() => continue,
            }
            let surveys = self.shared.register.lock().surveys(Utc::now());
            let asked = surveys
                .into_iter()
                .map(|survey| self.survey(survey, &changed));
            join_all(asked).await;
        }
    }

    async fn survey(&self, survey: Survey, changed: &Arc<dyn Fn(Key) + Send + Sync>) {
        let answer = self.series(&survey).await;
        self.failed(&answer);
        if let Err(problem) = &answer {
            let address = &survey.server.address;
            tracing::debug!(address, %problem, "reading the past failed");
        }
        let answer = answer.as_deref().map_err(ToString::to_string);
        let news = self
            .shared
            .register
            .lock()
            .answered(&survey, answer, Utc::now());
        for key in news {
            changed(key);
        }
    }

    async fn series(&self, survey: &Survey) -> Result<Vec<Series>, Problem> {
        let http = Door::default().open(&survey.server, &self.shared).await?;
        let limit = survey.server.timeout.unwrap_or(MOST_PATIENCE);
        let limit = limit.min(LONGEST_PATIENCE);
        self.shared.queries.fetch_add(1, Ordering::Relaxed);
        let (address, query) = (&survey.server.address, &survey.query);
        let (status, body) = fetch_range(&http, address, query, survey.range, limit).await?;
        answer::matrix(status, &body)
    }
}

const YEAR: Duration = Duration::from_hours(366 * 24);
