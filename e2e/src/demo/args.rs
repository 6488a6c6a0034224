//! What `cargo demo` can be told.

use clap::Parser;

/// Shows a good and a bad version of an app on their way to users, on a real cluster.
#[derive(Debug, Parser)]
#[command(
    name = "demo",
    bin_name = "cargo demo --",
    version,
    long_about = "\
Shows Sluice at work: etcd, kube-apiserver, kube-controller-manager, istiod, Envoy as a waypoint, and
Prometheus run on this machine, and users call an app through the waypoint all the time.

What happens is what Git says. A repository is made for the run, and what its HEAD holds is applied:
  1. podinfo v1; then six lines of YAML, and Sluice takes it over
  2. v2, a good version: its weight grows step by step until it has all requests
  3. v3, which fails a fifth of its requests: it is rolled back
  4. git revert of v3, then of v2: v1 serves again, without a gate

At the end a table says what users saw. The exit code is 0 only if v2 was promoted without one failed
request, from the pods that were judged, v3 was rolled back, and the revert brought v1 back without a
gate; 1 if one of these did not hold, and 130 after Ctrl-C.",
    after_long_help = "\
Needs: Linux with user namespaces (no root), Rust, Go 1.26, Python 3.11, git. The first run builds the
cluster's programs, once, and says how long it will take; then a run takes less than two minutes. All
of it lies in target/e2e, logs of a run in target/e2e/run-TIME. Nothing outside is touched, and no
process is left.

Environment:
  NO_COLOR            no colours
  KUBEBUILDER_ASSETS  folder with etcd, kube-apiserver and kubectl, to build less"
)]
pub(super) struct Args {
    /// Leave the cluster up after the story, until Ctrl-C, and say how to reach it with kubectl
    #[arg(long)]
    pub(super) keep: bool,
}

impl Args {
    /// Reads them, with or without the `--` of `cargo demo -- --keep`: Cargo's alias has one already.
    pub(super) fn read() -> Self {
        let mut args: Vec<_> = std::env::args_os().collect();
        if args.get(1).is_some_and(|arg| arg == "--") {
            args.remove(1);
        }
        Self::parse_from(args)
    }
}
