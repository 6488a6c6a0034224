//! Passes on real repositories, with others who push as well.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

mod origin;

use std::path::Path;
use std::time::Duration;

use origin::{Origin, commit, ended, git, manifest, path, pull, push, pushed, stance};
use sluice_git_sync::outcome::Stance;
use sluice_git_sync::pass::{Kind, News, OnRejection, pass};
use sluice_git_sync::repository::Repository;
use sluice_git_sync::wanted::Digests;

const DIGEST: &str = "sha256:0123";

async fn digests(_: &Stance) -> Digests {
    Digests::from([("app".to_owned(), DIGEST.to_owned())])
}

async fn told(repository: &Repository, mode: OnRejection, stances: &[Stance]) -> Vec<News> {
    pass(repository, mode, stances, digests).await.unwrap()
}

fn kinds(news: &[News]) -> Vec<Kind> {
    news.iter().map(|news| news.kind).collect()
}

/// Of every two apps one promotes `app:2`, and one rejects it and goes on with `app:1`.
fn outcome(app: usize) -> Stance {
    if app % 4 < 2 {
        stance(app, ended(app, 2, true, 5), None)
    } else {
        stance(app, ended(app, 1, true, 0), Some(ended(app, 2, false, 5)))
    }
}

fn expected(app: usize) -> String {
    if app % 4 < 2 {
        manifest(app, "app:2", &format!("app:2@{DIGEST}"))
    } else {
        manifest(app, "app:1", "app:1")
    }
}

/// How many apps there are in it.
const APPS: usize = 20;

/// Of somebody who works on the apps themselves: a line goes to the file of every app in turn.
const EDITOR: &str = "editor";

/// The file to which somebody appends a line.
fn appended_to(name: &str, line: usize) -> String {
    if name == EDITOR {
        path(line % APPS)
    } else {
        name.to_owned()
    }
}

/// The lines that somebody appended to the file of an app.
fn appended(app: usize, lines: usize) -> String {
    let own = (0..lines).filter(|line| line % APPS == app);
    let own = own.map(|line| format!("\n# {EDITOR} {line}"));
    own.collect::<Vec<_>>().concat()
}

/// Appends lines, and pushes each until it is taken.
fn scribble(clone: &Path, name: &str, lines: usize) {
    for line in 0..lines {
        let taken = (0..200).any(|_| {
            pull(clone);
            let file = clone.join(appended_to(name, line));
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            std::fs::write(&file, format!("{text}\n# {name} {line}")).unwrap();
            commit(clone, &format!("{name} {line}"));
            pushed(clone)
        });
        assert!(taken, "{name}: line {line} was never taken");
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_outcomes_beside_others_who_push() {
    const LINES: usize = APPS;
    let origin = Origin::new(APPS);
    let others = ["one", EDITOR].map(|name| {
        let clone = origin.clone(name);
        tokio::task::spawn_blocking(move || scribble(&clone, name, LINES))
    });
    // Four programs, as if several clusters had one repository; an outcome after the other in each.
    let programs = [0, 1, 2, 3].map(|program| {
        let repository = origin.repository(&format!("copy-{program}"));
        async move {
            for app in (program..APPS).step_by(4) {
                let news = told(&repository, OnRejection::Commit, &[outcome(app)]).await;
                assert_eq!(news.len(), 1, "{news:?}");
            }
        }
    });
    let [a, b, c, d] = programs;
    let all = Box::pin(async { tokio::join!(a, b, c, d) });
    tokio::time::timeout(Duration::from_mins(4), all)
        .await
        .unwrap();
    for other in others {
        other.await.unwrap();
    }

    let commits = origin.authors("main");
    let ours: Vec<_> = commits
        .iter()
        .filter(|(_, author)| author == "Sluice")
        .collect();
    assert_eq!(
        (ours.len(), commits.len()),
        (APPS, 1 + APPS + 2 * LINES),
        "commits were lost"
    );
    for (hash, _) in ours {
        let changed = git(&origin.path(), &["show", "--format=", "--numstat", hash]);
        assert!(
            changed.starts_with("1\t1\t") && changed.lines().count() == 1,
            "{changed}"
        );
    }
    for app in 0..APPS {
        let text = expected(app) + &appended(app, LINES);
        assert_eq!(origin.text("main", app), text, "app {app}");
    }
    let lines = git(&origin.path(), &["show", "main:one"]);
    assert_eq!(lines.lines().skip(1).count(), LINES, "{lines}");

    // Told again, by one that knows nothing of it, nothing is written.
    let head = origin.head("main");
    let all: Vec<_> = (0..APPS).map(outcome).collect();
    assert!(
        told(&origin.repository("new"), OnRejection::Commit, &all)
            .await
            .is_empty()
    );
    assert_eq!(origin.head("main"), head);
}

#[tokio::test]
async fn outcomes_of_one_moment_are_one_push_and_a_commit_each() {
    let origin = Origin::new(3);
    let repository = origin.repository("copy");
    let stances = [outcome(0), outcome(1), outcome(2)];
    let news = told(&repository, OnRejection::Commit, &stances).await;
    assert_eq!(
        kinds(&news),
        [Kind::Recorded, Kind::Recorded, Kind::Reverted]
    );
    assert_eq!(origin.authors("main").len(), 4);
    let message = git(&origin.path(), &["log", "-1", "--format=%B", "main"]);
    assert!(
        message.starts_with("shop/app-2: back to app:1\n\n"),
        "{message}"
    );
    let trailers = git(
        &origin.path(),
        &["log", "-1", "--format=%(trailers:only)", "main"],
    );
    assert_eq!(
        trailers.trim(),
        "Sluice-Canary: shop/app-2\nSluice-Revision: app-2-2\nSluice-Outcome: rejected\n\
         Sluice-Decided-At: 2026-01-01T00:05:00Z"
    );
}

#[tokio::test]
async fn who_undoes_it_is_left_alone_until_another_end() {
    let origin = Origin::new(3);
    let repository = origin.repository("copy");
    let rejected = |minute| {
        [stance(
            2,
            ended(2, 1, true, 0),
            Some(ended(2, 2, false, minute)),
        )]
    };
    let news = told(&repository, OnRejection::Commit, &rejected(5)).await;
    assert_eq!(kinds(&news), [Kind::Reverted]);
    let ours = origin.head("main");

    let clone = origin.clone("automation");
    std::fs::write(clone.join(path(2)), manifest(2, "app:2", "app:1")).unwrap();
    commit(&clone, "Update from image update automation");
    push(&clone);
    let theirs = origin.head("main");
    std::fs::write(clone.join("elsewhere"), "").unwrap();
    commit(&clone, "Something else");
    push(&clone);
    let head = origin.head("main");

    // By a new copy as well: the branch remembers.
    for copy in ["copy", "new"] {
        let news = told(&origin.repository(copy), OnRejection::Commit, &rejected(5)).await;
        assert_eq!(kinds(&news), [Kind::Contested], "{news:?}");
        let text = &news[0].text;
        assert!(
            text.contains(&ours) && text.contains(&theirs) && text.contains("Somebody"),
            "{text}"
        );
        assert_eq!(origin.head("main"), head);
    }

    // A person ordered another try, which failed as well: that is news.
    let news = told(&repository, OnRejection::Commit, &rejected(9)).await;
    assert_eq!(kinds(&news), [Kind::Reverted]);
    assert_eq!(origin.text("main", 2), manifest(2, "app:1", "app:1"));
}

#[tokio::test]
async fn a_revert_is_proposed_once() {
    let origin = Origin::new(3);
    let repository = origin.repository("copy");
    let stances = [outcome(2)];
    let news = told(&repository, OnRejection::Branch, &stances).await;
    assert_eq!(kinds(&news), [Kind::Proposed]);
    let branch = "sluice/shop/app-2/app-2-2";
    assert_eq!(origin.text(branch, 2), expected(2));
    assert_eq!(origin.text("main", 2), manifest(2, "app:2", "app:1"));
    assert_eq!(
        git(
            &origin.path(),
            &["rev-list", "--count", &format!("main..{branch}")]
        ),
        "1"
    );

    let proposed = origin.head(branch);
    for copy in ["copy", "new"] {
        assert!(
            told(&origin.repository(copy), OnRejection::Branch, &stances)
                .await
                .is_empty()
        );
        assert_eq!(origin.head(branch), proposed);
    }
    // A person closed it without merging.
    git(&origin.path(), &["branch", "-D", branch]);
    assert!(
        told(&repository, OnRejection::Branch, &stances)
            .await
            .is_empty()
    );
    assert_eq!(git(&origin.path(), &["branch", "--list", branch]), "");
    // And where rejections are none of its business, nothing happens.
    assert!(
        told(&origin.repository("newer"), OnRejection::Nothing, &stances)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_crash_between_any_two_commands_loses_nothing() {
    let origin = Origin::new(1);
    let repository = origin.repository("copy");
    // Killed behind the commit, which nobody knows, and with the lock of a fetch in its hand.
    let head = repository.fetch().await.unwrap();
    let mut files = repository.marked(&head).await.unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), [&path(0)]);
    for file in files.values_mut() {
        file.text.push_str("\nlost: true\n");
    }
    repository
        .commit(&head, &files, "Never pushed")
        .await
        .unwrap();
    std::fs::write(repository.git.directory.join("shallow.lock"), "").unwrap();
    std::fs::write(
        repository
            .git
            .directory
            .join("refs/remotes/origin/head.lock"),
        "",
    )
    .unwrap();
    let news = told(&repository, OnRejection::Commit, &[outcome(0)]).await;
    assert_eq!(kinds(&news), [Kind::Recorded]);
    assert_eq!(origin.text("main", 0), expected(0));
    assert_eq!(origin.authors("main").len(), 2);
    // Killed behind the push: it is found in the branch.
    assert!(
        told(&repository, OnRejection::Commit, &[outcome(0)])
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_wrong_with_one_holds_up_no_other() {
    let origin = Origin::new(2);
    let clone = origin.clone("team");
    let broken =
        manifest(0, "app:2", "app:1").replace("promoted: app:1 ", "promoted: {image: app:1} ");
    std::fs::write(clone.join(path(0)), broken).unwrap();
    commit(&clone, "Break it");
    push(&clone);
    let news = told(
        &origin.repository("copy"),
        OnRejection::Commit,
        &[outcome(0), outcome(1)],
    )
    .await;
    assert_eq!(kinds(&news), [Kind::Problem, Kind::Recorded]);
    assert!(
        news[0].text.starts_with("apps/app 0.yaml: line 10: "),
        "{}",
        news[0].text
    );
    assert_eq!(origin.text("main", 1), expected(1));
}

#[tokio::test]
async fn a_branch_that_takes_nothing_says_so() {
    let origin = Origin::new(1);
    let hook = origin.path().join("hooks/pre-receive");
    std::fs::create_dir_all(origin.path().join("hooks")).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'main is protected' >&2\nexit 1\n").unwrap();
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(&hook)
        .status()
        .unwrap();
    let repository = origin.repository("copy");
    let error = pass(&repository, OnRejection::Commit, &[outcome(0)], digests)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("main is protected"), "{error}");
    std::fs::remove_file(hook).unwrap();
    assert_eq!(
        kinds(&told(&repository, OnRejection::Commit, &[outcome(0)]).await),
        [Kind::Recorded]
    );
}
