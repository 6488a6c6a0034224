//! One history: events, then peace; and what must be true at its end.

use chrono::TimeDelta;
use sluice_core::{
    Action, ErrorBudget, Indicator, PastTraffic, Plan, Requirement, RevisionName, Slo, Step, Weight,
};

use crate::audit::{Audit, Breach};
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::controller::{Controller, Decide, Outage};
use crate::event::{self, Event};

/// What differs between histories, apart from the events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// `spec.replicas` of the Canary, or the target's own.
    pub(crate) replicas: Option<u32>,
    /// What follows a verdict that stays open.
    pub(crate) inconclusive: Action,
    /// What the stable revision keeps for a while after the last step.
    pub(crate) holdback: Option<Holdback>,
    /// Where a person must approve.
    pub(crate) approvals: Approvals,
}

/// The weights, in percent, at which a plan asks for an approval: none of them, or some.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Approvals(pub(crate) &'static [u32]);

/// The holdback of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holdback {
    /// In percent; below 10 the SLO has an objective.
    pub(crate) percent: u32,
    pub(crate) seconds: u16,
}

impl Setting {
    pub(crate) fn plan(self) -> Plan {
        let bake = TimeDelta::seconds(30);
        let approved = |percent: u32| {
            let asks = self.approvals.0.contains(&percent);
            asks.then_some(Requirement::Approval)
        };
        let steps = [5, 25, 50].map(|percent| {
            let mut step = Step::weighted(Weight::from_percent(percent), bake);
            step.requires.extend(approved(percent));
            step
        });
        let holdback = self.holdback.map(|holdback| {
            let share = Weight::from_percent(holdback.percent);
            Step::holding_back(share, TimeDelta::seconds(holdback.seconds.into()))
        });
        let alone = self.holdback.is_some_and(|holdback| holdback.percent < 10);
        Plan {
            entry: approved(0).into_iter().collect(),
            steps: steps.into_iter().chain(holdback).collect(),
            min_requests: 100,
            inconclusive_after: TimeDelta::minutes(3),
            inconclusive_action: self.inconclusive,
            progress_deadline: TimeDelta::minutes(10),
            rollback_window: 2,
            slos: vec![Slo {
                name: "availability".to_owned(),
                objective_ppm: alone.then_some(990_000),
                indicator: Indicator::Availability,
            }],
            drain_delay: TimeDelta::minutes(1),
            settle: TimeDelta::seconds(2),
            error_budget: None,
        }
    }
}

pub(crate) struct History {
    pub(crate) cluster: Cluster,
    pub(crate) controller: Controller,
    cache: Cache,
    pub(crate) audit: Audit,
}

impl History {
    pub(crate) fn new(setting: Setting, decide: Decide, only: Option<u8>) -> Self {
        let plan = setting.plan();
        Self {
            cluster: Cluster::new(setting.replicas),
            controller: Controller::new(decide, plan.clone()),
            cache: Cache::default(),
            audit: Audit::new(plan, only),
        }
    }

    /// The policy limits what a release may spend: of 99.9 %, by a past of so many requests a second.
    pub(crate) fn limit(&mut self, budget: ErrorBudget, past: f64) {
        let plan = self.controller.plan_mut();
        plan.error_budget = Some(budget);
        for slo in &mut plan.slos {
            slo.objective_ppm = Some(999_000);
        }
        self.audit.facts.plan.clone_from(plan);
        let week = TimeDelta::days(7);
        self.cluster.world.traffic = Some(PastTraffic::measured(past, week));
    }

    /// Lets everything happen, then waits for rest. The first breach ends it.
    pub(crate) fn run(&mut self, events: &[Event]) -> Result<(), Breach> {
        for event in events {
            if let Some(journal) = &mut self.audit.journal
                && !matches!(event, Event::Wait(_))
            {
                journal.note(&format!("{event:?}"), self.cluster.now);
            }
            self.happen(*event)?;
            self.let_go()?;
        }
        self.end()
    }

    /// When the Canary was let go: what it left behind is right, and whatever comes after it begins anew.
    fn let_go(&mut self) -> Result<(), Breach> {
        if !self.cluster.gone {
            return Ok(());
        }
        let adopted = self.audit.facts.adopted();
        // One that was never claimed goes without a word, and nothing changes.
        if self.cluster.world.claimed {
            self.found(crate::rest::after_deletion(&self.cluster, adopted))?;
        }
        if self.cluster.world.revisions.is_empty() {
            self.audit.anew();
        }
        self.lose_canary();
        Ok(())
    }

    fn lose_canary(&mut self) {
        self.cluster.lose_canary();
        self.controller.forget(&mut self.cluster, &mut self.cache);
    }

    pub(crate) fn happen(&mut self, event: Event) -> Result<(), Breach> {
        let (cluster, cache) = (&mut self.cluster, &mut self.cache);
        match event {
            Event::Wait(seconds) => {
                for part in event::parts(seconds) {
                    self.pass(part)?;
                }
                return Ok(());
            }
            // A last look at an old cache may leave a revision, which serves as well.
            Event::Lag(_) if cluster.world.deleting => {}
            Event::Delete if !cluster.absent => {
                cache.catch_up();
                event.happen(cluster);
            }
            Event::Lag(kind) => cache.delay(kind, &cluster.world),
            Event::CatchUp => cache.catch_up(),
            Event::Force => self.lose_canary(),
            Event::Create => cluster.absent = false,
            Event::Delete => {}
            Event::Api(outage) => {
                self.controller.suffer(outage);
                match outage {
                    Outage::Down => cache.delay_all(&cluster.world),
                    Outage::None | Outage::Flaky => cache.catch_up(),
                }
            }
            Event::Land => self.controller.land(cluster, &mut self.audit),
            Event::Crash => self.controller.restart(cluster, cache),
            Event::KillBehindWrites(on) => self.controller.kill_behind_writes(on),
            Event::LoseStatus => self.controller.forget(cluster, cache),
            Event::Arm(fault, writes) => self.controller.arm(fault, writes),
            _ => event.happen(cluster),
        }
        // Nobody can tell of a verdict that somebody deleted.
        let world = &self.cluster.world;
        let is_there =
            |name: &RevisionName| world.record(name).is_some_and(|r| r.outcome.is_some());
        self.controller.untold.retain(is_there);
        self.reconcile()
    }

    /// Time passes, and the controller looks.
    fn pass(&mut self, by: TimeDelta) -> Result<(), Breach> {
        self.cluster.advance(by);
        self.cluster.scrape();
        self.reconcile()
    }

    fn reconcile(&mut self) -> Result<(), Breach> {
        let (cluster, cache, audit) = (&mut self.cluster, &mut self.cache, &mut self.audit);
        audit.tick(cluster);
        self.controller.reconcile(cluster, cache, audit);
        audit.tick(cluster);
        if let (Some(journal), Some(decision)) = (&mut audit.journal, &self.controller.last) {
            journal.decision(decision, cluster);
        }
        audit.breach().map_or(Ok(()), |breach| Err(breach.clone()))
    }

    /// Peace: all works, and nobody writes any more. Then the Canary comes to rest.
    pub(crate) fn end(&mut self) -> Result<(), Breach> {
        self.controller.land(&mut self.cluster, &mut self.audit);
        event::heal(&mut self.cluster);
        self.cache.catch_up();
        self.controller.disarm();
        self.cluster.absent = false;
        let mut calm = 0;
        for _ in 0..200 {
            let before = self.controller.memory.clone();
            let last = self.controller.last.as_ref();
            let wake_at = last.and_then(|decision| decision.wake_at);
            let by = wake_at.map_or(TimeDelta::seconds(20), |at| at - self.cluster.now);
            self.pass(by.clamp(TimeDelta::seconds(1), TimeDelta::seconds(20)))?;
            if self.cluster.gone {
                return self.let_go();
            }
            let last = self.controller.last.as_ref();
            let still = last.is_some_and(|d| d.effects.is_empty() && d.wake_at.is_none());
            calm = if still && self.controller.memory == before {
                calm + 1
            } else {
                0
            };
            if calm == 3 {
                return self.rest();
            }
        }
        let last = self.controller.last.as_ref();
        if last.is_some_and(crate::rest::is_held_back) {
            return self.rest();
        }
        let waiting = last.and_then(|decision| decision.waiting.clone());
        self.found(Err((4, format!("it never comes to rest: {waiting:?}"))))
    }

    fn rest(&mut self) -> Result<(), Breach> {
        let untold = &self.controller.untold;
        if !untold.is_empty() {
            let what = format!("the verdict on {untold:?} was never told");
            return self.found(Err((4, what)));
        }
        let last = self.controller.last.as_ref();
        self.found(crate::rest::check(&self.cluster, last))
    }

    fn found(&mut self, found: Result<(), (u8, String)>) -> Result<(), Breach> {
        self.audit.note(self.cluster.now, found);
        self.audit
            .breach()
            .map_or(Ok(()), |breach| Err(breach.clone()))
    }
}
