//! What happens to a Canary, in any order.
//!
//! What the stories on the real stack play, and what stands for it here:
//!
//! | story | here |
//! |---|---|
//! | crash | [`Event::Crash`], [`Fault::Crash`] before any write, [`Event::KillBehindWrites`] |
//! | status lost | [`Event::LoseStatus`] |
//! | two controllers | [`Fault::Late`] and [`Event::Land`]: one leads no more, and its write comes through later |
//! | API outage | [`Event::Api`], [`Fault::Refuse`] (conflict, 429), [`Fault::Lost`], [`Event::Lag`]; for the mesh [`Event::Behind`] |
//! | adoption | how every history begins; [`Event::ScaleTarget`], [`Event::KeepReplicas`], [`Event::ScaleBeside`], [`Event::DropReplicas`], [`Event::Autoscale`], and a push while it is under way |
//! | made anew from Git | [`Event::Promoted`] |
//! | deletion | [`Event::Delete`], [`Event::Force`]; how others propagate it is nothing to core: no object of ours has an owner |
//! | removal of the app | [`Event::Delete`], [`Event::DeleteTarget`] and [`Event::Parent`], in any order |
//! | uninstall | [`Event::Delete`] first, or the controller first: [`Event::Api`] down, as nobody writes, and [`Event::Force`] |
//! | draining | [`Event::Mesh`] or [`Event::Proxies`] not following while a backend leaves; connections themselves are the mesh's |
//! | around the waypoint | [`Event::Around`], [`Event::Ingress`], [`Event::Waive`], [`Event::Strict`] |
//! | orders, approvals | [`Event::Order`], [`Event::Approve`]: given, late, for others, withdrawn |
//! | others' routes | [`Event::Block`]: core knows that something is in the way, and not what |
//! | DestinationRule | [`Event::Outdate`]: core knows that a revision lacks what the Service has; what a copy says is in `render` |
//! | no waypoint | [`Event::Waypoint`], [`Event::Unbind`], [`Event::Parent`] |
//! | foreign edit | [`Event::EditRoute`], [`Event::EditNotes`], [`Event::DeleteRoute`], [`Event::DeletePart`], [`Event::Garble`]; [`Event::Suspend`] |
//! | quota, pending | [`Fault::Refuse`], [`Pods::Stuck`], a template that never gets ready |
//! | unready stable | [`Event::Unready`], [`Event::KillPods`] |
//! | scale | [`Event::Scale`], [`Event::Autoscale`] |
//! | names | [`Event::Push`] back while a namesake goes; a name's letters are `render`'s, and opaque to core |
//! | many pushes | [`Event::Push`] and [`Event::Configure`] at any time |

use chrono::TimeDelta;
use sluice_core::{
    Admission, Approval, Autoscaler, Blocked, Named, Part, Revision, Scaled, Source, Weight, World,
};

use crate::cache::{KINDS, Kind};
use crate::cluster::{BAD, CRASHING, Cluster, Pods, image, images, template_of};
use crate::controller::{Fault, Outage};
use crate::others::{self, Edit, Notes};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// Seconds go by.
    Wait(u16),
    /// Git gets a template, with the configuration as it is.
    Push(u8),
    /// Git gets a configuration, with the template as it is.
    Configure(u8),
    /// The Canary's `spec.replicas`.
    Scale(u32),
    /// Somebody sets `spec.replicas` of the target.
    ScaleTarget(u32),
    /// Git applies `spec.replicas` of the target, and keeps it.
    KeepReplicas(u32),
    /// A hand or an autoscaler scales the target, whose manifest says another size: as whoever applies from the client
    /// notes it, that stays known.
    ScaleBeside(u32),
    /// Git drops `spec.replicas` of the target.
    DropReplicas {
        /// Who applies it tries so dry first, as Flux does, and writes nothing where the object would stay as it is.
        dry_first: bool,
    },
    /// Git tells that this template was promoted last, or nothing of it.
    Promoted(Option<u8>),
    /// An autoscaler is there, pointed at this.
    Autoscale(Option<Scaled>),
    Pods(Pods),
    /// The ready pods of the revision with this index die.
    KillPods(u8),
    /// The pods of the revision with this index are not ready, until others are or all are again.
    Unready(Option<u8>),
    Mesh(bool),
    /// The mesh's proxies follow it, or go on as they were while it says that they do.
    Proxies(bool),
    Waypoint(bool),
    Metrics(bool),
    Traffic(bool),
    Incident(bool),
    /// A person orders something for the revision that Git asks for: by its image, or by its name and for the
    /// so manieth time.
    Order(Verb, u8),
    /// A person approves, instead of what was approved before.
    Approve(Whom, Option<u32>),
    Suspend(bool),
    Block(bool),
    /// The Service that clients call selects by role.
    Strict(bool),
    /// A client picks pods itself.
    Around(bool),
    /// An ingress brings requests past the weights.
    Ingress(bool),
    /// A person accepts what goes around the weights.
    Waive(bool),
    Delete,
    DeleteTarget,
    /// The Service that clients call is gone, or back.
    Parent(bool),
    /// The finalizer is removed by force: the Canary is gone, and all that it has made stays.
    Force,
    /// A Canary of the same name is created.
    Create,
    /// Somebody else writes the route.
    EditRoute(Edit),
    EditNotes(Notes),
    DeleteRoute,
    /// Somebody else deletes a part of the revision with this index.
    DeletePart(u8, Part),
    /// The verdict on the revision with this index cannot be read any more.
    Garble(u8),
    /// The mesh loses the Service of the revision with this index.
    Unbind(u8),
    /// What says how the Service that clients call is called, a port or a `DestinationRule`, is another: no
    /// revision's Service has it yet. With an index, somebody took it from that one.
    Outdate(Option<u8>),
    /// A kind of cache stops following.
    Lag(Kind),
    CatchUp,
    /// The API server was away: for so many seconds the mesh may be behind.
    Behind(u8),
    Crash,
    /// From now on the controller dies right behind each write and starts with fresh caches, or lives.
    /// Not drawn at random: two ends differ then. A revision that was put away and is asked for again runs before
    /// the status forgets how it drained, and is put away in turn, for ever; and whoever backdates our note on the
    /// route brings a weight back that was taken away.
    KillBehindWrites(bool),
    /// Crash, and the status is wiped.
    LoseStatus,
    /// After so many further writes, one goes wrong.
    Arm(Fault, u8),
    /// The API server takes no writes, or not all.
    Api(Outage),
    /// A write that was under way when its controller lost the lease comes through.
    Land,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verb {
    Promote,
    Abort,
    Retry,
}

/// Whom an approval names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Whom {
    /// Nobody: what was approved is withdrawn.
    Nobody,
    /// The revision that Git asks for, by its name.
    Wanted,
    /// The same by its image.
    Image,
    /// The revision with this index, which may be another.
    Other(u8),
    /// An image that all have.
    Shared,
}

/// So many of 64 events pick this; the smaller a number, the simpler the event, so that a failing
/// history shrinks to waiting.
const WAITS: [u16; 8] = [5, 1, 10, 30, 30, 60, 120, 600];

impl Event {
    /// Any two bytes are an event.
    pub(crate) fn decode((kind, what): (u8, u8)) -> Self {
        let flag = !what.is_multiple_of(3);
        let version = what % 6;
        match kind {
            0..98 => Self::Wait(WAITS[usize::from(what % 8)]),
            98..105 => Self::Approve(
                match what % 8 {
                    0 => Whom::Nobody,
                    1..4 => Whom::Wanted,
                    4..6 => Whom::Image,
                    6 => Whom::Other(what / 8),
                    _ => Whom::Shared,
                },
                [None, Some(0), Some(25), None, Some(50)][usize::from(what / 8 % 5)],
            ),
            105 if what < 64 => Self::Promoted(Some(version).filter(|_| flag)),
            105 => Self::Behind(what),
            106..108 => Self::Strict(flag),
            109 if what < 48 => Self::Ingress(flag),
            109 if what < 96 => Self::Waive(flag),
            108..110 => Self::Around(flag),
            110..134 => Self::Push(version),
            134..140 => Self::Configure(what % 3),
            140..144 => Self::Scale(if what < 12 { 0 } else { u32::from(version) + 1 }),
            144 if what < 128 => Self::ScaleTarget(u32::from(version)),
            144 => Self::ScaleBeside(u32::from(version)),
            145 => Self::KeepReplicas(u32::from(version)),
            146 if what < 128 => Self::DropReplicas {
                dry_first: what % 2 == 0,
            },
            146 => Self::Autoscale(
                [None, Some(Scaled::Target), Some(Scaled::Canary)][usize::from(what % 3)],
            ),
            147..155 => {
                Self::Pods([Pods::Quick, Pods::OneByOne, Pods::Stuck][usize::from(what % 3)])
            }
            155..158 if what < 128 => Self::KillPods(version),
            155..158 => Self::Unready(Some(version).filter(|_| what % 4 > 0)),
            158 => Self::Unbind(version),
            159..163 => Self::Mesh(flag),
            163..165 => Self::Proxies(flag),
            165..169 => Self::Waypoint(flag),
            169..177 => Self::Metrics(flag),
            177..183 => Self::Traffic(flag),
            183..187 => Self::Incident(!flag),
            187..199 => Self::Order(
                [Verb::Promote, Verb::Abort, Verb::Retry][usize::from(what % 3)],
                what / 64,
            ),
            199..203 => Self::Suspend(!flag),
            203..206 => Self::Block(!flag),
            206 if what < 64 => Self::Delete,
            206 if what < 96 => Self::Force,
            206 | 207 if what < 128 => Self::Create,
            207 if what < 160 => Self::DeleteTarget,
            207 => Self::Parent(what < 192),
            208 if what < 128 => Self::EditNotes(match what % 4 {
                0 => Notes::Gone,
                1 => Notes::Step,
                2 => Notes::Future,
                _ => Notes::Past,
            }),
            209 if what < 128 => Self::DeletePart(
                version,
                [Part::Workload, Part::Service, Part::Snapshot][usize::from(what / 43)],
            ),
            210 if what < 64 => Self::Garble(version),
            211 if what < 64 => Self::Outdate(Some(version).filter(|_| flag)),
            206..212 => Self::EditRoute(match what % 3 {
                0 => Edit::Whole(what / 3 % 6),
                1 => Edit::Half(what / 3 % 6),
                _ => Edit::Rules,
            }),
            212..214 => Self::DeleteRoute,
            214..222 => Self::Lag(KINDS[usize::from(version)]),
            222..226 => Self::CatchUp,
            226..228 => {
                Self::Api([Outage::None, Outage::Down, Outage::Flaky][usize::from(what % 3)])
            }
            228..233 => Self::Crash,
            233 => Self::Land,
            234..238 => Self::LoseStatus,
            238..246 => Self::Arm(Fault::Crash, what % 8),
            246..249 => Self::Arm(Fault::Late, what % 8),
            249..252 => Self::Arm(Fault::Lost, what % 8),
            252..=255 => Self::Arm(Fault::Refuse, what % 8),
        }
    }

    /// The same for histories in which nothing goes wrong.
    pub(crate) fn decode_healthy((kind, what): (u8, u8)) -> Self {
        match kind {
            0..200 => Self::Wait(WAITS[usize::from(what % 8)]),
            200..225 => Self::Push(what % BAD),
            225..240 => Self::Configure(what % 3),
            240..=255 => Self::Scale(u32::from(what % 6) + 1),
        }
    }

    /// What the event does to the cluster; the rest is the controller's.
    pub(crate) fn happen(self, cluster: &mut Cluster) {
        let (template, config) = (cluster.template(), cluster.config());
        let surroundings = &mut cluster.surroundings;
        match self {
            Self::Push(template) => cluster.push(template, config),
            Self::Configure(config) => cluster.push(template, config),
            Self::Pods(pods) => surroundings.pods = pods,
            Self::Mesh(follows) => surroundings.mesh = follows,
            Self::Proxies(follow) => {
                surroundings.proxies = follow;
                match &cluster.world.route {
                    Some(route) if follow && route.accepted => {
                        cluster.in_force.clone_from(&route.weights);
                    }
                    None if follow => cluster.in_force.clear(),
                    _ => {}
                }
            }
            Self::Waypoint(bound) => surroundings.waypoint = bound,
            Self::Metrics(up) => surroundings.metrics = up,
            Self::Traffic(on) => surroundings.traffic = on,
            Self::Incident(on) => surroundings.incident = on,
            Self::Around(on) => surroundings.around = on,
            Self::Ingress(on) => surroundings.ingress = on,
            Self::Unready(index) => {
                let count = cluster.world.revisions.len().max(1);
                let mut names = cluster.world.revisions.keys();
                let name = index.and_then(|index| names.nth(usize::from(index) % count));
                surroundings.unready = name.cloned();
            }
            Self::Scale(0) if cluster.world.replicas.is_some() => {
                cluster.unwanted = true;
                self.change(&mut cluster.world);
            }
            Self::EditRoute(edit) => others::edit_route(cluster, edit),
            Self::EditNotes(notes) => others::edit_notes(cluster, notes),
            Self::DeletePart(index, part) => others::delete_part(cluster, index, part),
            Self::Garble(index) => others::garble(cluster, index),
            Self::ScaleTarget(_)
            | Self::KeepReplicas(_)
            | Self::ScaleBeside(_)
            | Self::DropReplicas { .. } => {
                others::size_target(self, cluster);
            }
            Self::DeleteRoute => {
                cluster.world.route = None;
                if surroundings.proxies {
                    cluster.in_force.clear();
                }
                cluster.changed();
            }
            Self::Behind(seconds) => {
                let until = cluster.now + TimeDelta::seconds(seconds.into());
                cluster.world.mesh_behind_until = Some(until);
            }
            Self::Delete if !cluster.world.claimed => cluster.gone = true,
            Self::Delete => {
                cluster.world.deleting = true;
                cluster.world.deleted_at.get_or_insert(cluster.now);
            }
            _ => self.change(&mut cluster.world),
        }
        // The app itself is removed.
        if cluster.world.deleting && cluster.world.parent.missing {
            cluster.world.target = None;
        }
    }

    fn change(self, world: &mut World) {
        match self {
            Self::Scale(replicas) => {
                world.replicas = world.replicas.map(|_| replicas);
            }
            Self::Promoted(template) => {
                world.promoted = template.map(|number| Source {
                    revision: format!("v{number}").as_str().into(),
                    template: format!("v{number}"),
                    images: images(number),
                });
            }
            Self::Autoscale(scales) => {
                world.autoscaler = scales.map(|scales| Autoscaler {
                    name: "HorizontalPodAutoscaler shop".to_owned(),
                    scales,
                });
            }
            Self::KillPods(index) => {
                if let Some(revision) = pick(world, index) {
                    if let Some(workload) = &mut revision.workload {
                        workload.ready = 0;
                        // What replaces them lacks what was put on them.
                        revision.admission = Admission {
                            outside: workload.replicas,
                            ..Admission::default()
                        };
                    }
                    if let Some(service) = &mut revision.service {
                        service.endpoints = 0;
                    }
                }
            }
            Self::Unbind(index) => {
                if let Some(service) =
                    pick(world, index).and_then(|revision| revision.service.as_mut())
                {
                    service.bound = false;
                }
            }
            Self::Outdate(index) => {
                let pick = |index: u8| usize::from(index) % world.revisions.len().max(1);
                let own = index.map(pick);
                for (at, revision) in world.revisions.values_mut().enumerate() {
                    if let Some(service) = &mut revision.service {
                        service.outdated |= own.is_none_or(|own| own == at);
                    }
                }
            }
            Self::Parent(there) => {
                world.parent.missing = !there;
                world.parent.bound = false;
            }
            Self::Order(verb, number) => {
                let revision = world.target.as_ref().map(|target| &target.revision);
                let order = revision.map(|name| match number {
                    3 => format!("image={}", image(template_of(name))),
                    _ => format!("{name}#{number}"),
                });
                match verb {
                    Verb::Promote => world.orders.promote = order,
                    Verb::Abort => world.orders.abort = order,
                    Verb::Retry => world.orders.retry = order,
                }
            }
            Self::Approve(whom, at) => approve(world, whom, at),
            Self::Suspend(on) => world.suspended = on,
            Self::Waive(on) => world.evidence.around_waived = on,
            Self::Strict(on) => world.parent.strict = on,
            Self::Block(on) => {
                world.blocked = on.then(|| Blocked {
                    reason: "OtherRoute".to_owned(),
                    message: "HTTPRoute other has the same parent".to_owned(),
                });
            }
            Self::DeleteTarget => world.target = None,
            _ => {}
        }
    }
}

fn approve(world: &mut World, whom: Whom, at: Option<u32>) {
    let wanted = world.target.as_ref().map(|target| &target.revision);
    let named = match whom {
        Whom::Nobody => None,
        Whom::Wanted => wanted.cloned().map(Named::Revision),
        Whom::Image => wanted.map(|name| Named::Image(image(template_of(name)))),
        Whom::Other(index) => {
            let count = world.revisions.len().max(1);
            let name = world.revisions.keys().nth(usize::from(index) % count);
            name.cloned().map(Named::Revision)
        }
        Whom::Shared => Some(Named::Image("proxy:1".to_owned())),
    };
    let at = at.map(Weight::from_percent);
    let approval = named.map(|named| Approval { named, at });
    world.approved = approval.into_iter().collect();
}

/// The revision with an index; a higher one than there is begins again.
fn pick(world: &mut World, index: u8) -> Option<&mut Revision> {
    let count = world.revisions.len().max(1);
    world.revisions.values_mut().nth(usize::from(index) % count)
}

/// Everything that was broken works again, and nothing is held back any more.
pub(crate) fn heal(cluster: &mut Cluster) {
    cluster.surroundings = crate::cluster::Surroundings::default();
    cluster.world.suspended = false;
    cluster.world.blocked = None;
    cluster.world.parent.missing = cluster.world.deleting && cluster.world.parent.missing;
    // What nobody is to have is no service.
    if cluster.world.replicas == Some(0) && !cluster.world.deleting {
        Event::Scale(1).happen(cluster);
    }
    cluster.world.mesh_behind_until = None;
    // Nor is what was promoted once, and never gets ready any more, a first revision for ever.
    let promoted = cluster.world.promoted.take();
    cluster.world.promoted = promoted.filter(|it| template_of(&it.revision) != CRASHING);
    let target = cluster.world.target.as_ref();
    // Nothing is adopted from a target that never gets ready.
    if cluster.template() == CRASHING && target.is_some_and(|target| target.replicas > 0) {
        let config = cluster.config();
        cluster.push(0, config);
    }
    // Whatever is asked for is approved.
    let names = cluster.world.revisions.keys().cloned();
    let wanted = cluster.world.target.iter().map(|t| t.revision.clone());
    let approved = names.chain(wanted).map(|name| Approval {
        named: Named::Revision(name),
        at: None,
    });
    cluster.world.approved = approved.collect();
}

/// A wait in parts short enough to see what happens in between.
pub(crate) fn parts(seconds: u16) -> impl Iterator<Item = TimeDelta> {
    let seconds = i64::from(seconds);
    let part = (seconds / 5).clamp(5, 60).min(seconds);
    (0..seconds / part.max(1)).map(move |_| TimeDelta::seconds(part))
}
