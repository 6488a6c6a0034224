//! After the story: the cluster stays, for whoever wants to try something.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use console::style;
use tokio::time::sleep;

use super::manifests::{NAME, NAMESPACE};
use super::story::Cast;
use super::watch::Watch;
use crate::sandbox::Door;

/// Users are exchanged for new ones now and then: a load ends by itself after half an hour.
const SHIFT: Duration = Duration::from_mins(25);

/// Tells how to get in, and shows what happens until Ctrl-C.
pub(super) async fn keep(cast: &Cast<'_>, door: Door) -> Result<Infallible> {
    let cluster = &cast.scene.stage.cluster;
    let kubectl = cluster.tools().kubectl.display().to_string();
    let kubeconfig = cluster.open(door)?.display().to_string();
    let folder = cast.repository.folder().display();
    let text = format!(
        "The cluster stays until Ctrl-C, with its users. In another terminal:

  export KUBECONFIG={kubeconfig}
  alias kubectl={kubectl}
  kubectl config set-context --current --namespace={NAMESPACE}

  kubectl get slc                           how it stands
  kubectl describe slc {NAME}              why
  kubectl get httproute,deployments,pods    what Sluice made
  kubectl get podtemplates -o yaml          every revision, with its verdict

A version of your own is a commit. Tags say how it behaves: v4, v4-fail5, v4-slow400, v4-crash.

  cd {folder}
  sed -i 's/demo:v.*/demo:v4-slow400/' shop/app.yaml && git commit -am 'Ship v4'
"
    );
    for line in text.lines() {
        let command = line.starts_with("  ");
        let line = if command {
            style(line).bold().to_string()
        } else {
            line.to_owned()
        };
        cast.screen.put(&line);
    }
    loop {
        let load = cast.users().await?;
        let watch = Watch::start(cast.scene, &load).await?;
        tokio::select! {
            failed = watch.run(cast.screen) => match failed? {},
            () = cast.agent.announce(cast.screen) => {}
            () = sleep(SHIFT) => {}
        }
    }
}
