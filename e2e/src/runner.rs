//! Plays stories on a stage that they share, as a test harness of its own: `harness = false`.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::RwLock;

use crate::sandbox::{self, Options};

/// Stories that run at once: they wait more than they compute.
const AT_ONCE: usize = 4;

/// A story on a stage `S`; [`crate::story!`] names one.
pub struct Story<S: 'static> {
    /// Its module and function.
    pub name: &'static str,
    /// It does something to what all share, or needs the whole machine: it runs alone.
    pub alone: bool,
    /// What happens in it.
    pub play: Play<S>,
}

/// What happens in a story.
pub type Play<S> = for<'a> fn(&'a S) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Names a story's function; `by` names one of the ways in which it is played, its second argument.
#[macro_export]
macro_rules! story {
    ($first:ident $(:: $rest:ident)+, by $way:ident :: $case:ident) => {
        $crate::runner::Story {
            name: concat!(stringify!($first) $(, "::", stringify!($rest))+, "::", stringify!($case)),
            alone: false,
            play: |stage| Box::pin($first $(:: $rest)+(stage, $way::$case)),
        }
    };
    ($first:ident $(:: $rest:ident)+) => {
        $crate::story!($first $(:: $rest)+, alone: false)
    };
    ($first:ident $(:: $rest:ident)+, alone: $alone:expr) => {
        $crate::runner::Story {
            name: concat!(stringify!($first) $(, "::", stringify!($rest))+),
            alone: $alone,
            play: |stage| Box::pin($first $(:: $rest)+(stage)),
        }
    };
}

/// Plays those of the stories that the arguments name, which are those of `cargo test`. `prepare` runs
/// outside the sandbox and gets what `set` makes the stage of; `alive` looks after the stories whether
/// the stage still stands, and `whole` looks at what only all of them together can show.
pub fn main<S, P>(
    stories: &'static [Story<S>],
    prepare: impl FnOnce() -> Result<P>,
    set: impl AsyncFnOnce(P) -> Result<S>,
    alive: impl AsyncFnOnce(&S) -> Result<()>,
    whole: impl FnOnce(&S) -> Result<()>,
) -> ExitCode
where
    S: Send + Sync + 'static,
    P: Serialize + DeserializeOwned,
{
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(stories, &Arc::default())).exit_code();
    }
    tracing_subscriber::fmt()
        .with_env_filter("warn,kube_client=off")
        .with_writer(std::io::stderr)
        .init();
    sandbox::run(Options::default(), prepare, async |prepared, _| {
        let begun = Instant::now();
        let stage = set(prepared).await?;
        println!(
            "the cluster started in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        let (stage, all) = play(stories, arguments, stage).await?;
        let Some((stage, _)) = stage.set.get() else {
            return Ok(());
        };
        alive(stage).await?;
        let failed = all.conclusion.num_failed;
        ensure!(failed == 0, "{failed} stories failed");
        if all.whole { whole(stage) } else { Ok(()) }
    })
}

/// What the trials share: the stage, once it is set, and who may use it.
struct Shared<S> {
    set: OnceLock<(S, Handle)>,
    turn: RwLock<()>,
}

impl<S> Default for Shared<S> {
    fn default() -> Self {
        Self {
            set: OnceLock::new(),
            turn: RwLock::default(),
        }
    }
}

/// How it ended, and whether all stories were to be played.
struct Played {
    conclusion: Conclusion,
    whole: bool,
}

async fn play<S: Send + Sync + 'static>(
    stories: &'static [Story<S>],
    mut arguments: Arguments,
    stage: S,
) -> Result<(Arc<Shared<S>>, Played)> {
    let shared = Arc::new(Shared::default());
    let fresh = shared.set.set((stage, Handle::current())).is_ok();
    ensure!(fresh, "the stage is set once");
    arguments.test_threads.get_or_insert(AT_ONCE);
    let whole = arguments.filter.is_none() && arguments.skip.is_empty();
    let trials = trials(stories, &shared);
    let conclusion =
        tokio::task::spawn_blocking(move || libtest_mimic::run(&arguments, trials)).await?;
    Ok((shared, Played { conclusion, whole }))
}

/// Plays a story and prints how long it took, the wait for its turn not counted, and at once why it
/// failed: the list of failures comes only when all are over.
async fn timed<S>(story: &Story<S>, stage: &S) -> Result<()> {
    let begun = Instant::now();
    let result = (story.play)(stage).await;
    println!("{} took {:.1} s", story.name, begun.elapsed().as_secs_f64());
    if let Err(error) = &result {
        println!("{} failed: {error:#}", story.name);
    }
    result
}

fn trials<S: Send + Sync + 'static>(
    stories: &'static [Story<S>],
    shared: &Arc<Shared<S>>,
) -> Vec<Trial> {
    let trial = |story: &'static Story<S>| {
        let shared = Arc::clone(shared);
        Trial::test(story.name, move || {
            let (stage, runtime) = shared.set.get().ok_or("the stage is not set")?;
            runtime.block_on(async {
                let result = if story.alone {
                    let _turn = shared.turn.write().await;
                    timed(story, stage).await
                } else {
                    let _turn = shared.turn.read().await;
                    timed(story, stage).await
                };
                result.map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
    };
    // Those that play alone come last: before each the others would have to end.
    let (alone, together): (Vec<_>, Vec<_>) = stories.iter().partition(|story| story.alone);
    together.into_iter().chain(alone).map(trial).collect()
}
