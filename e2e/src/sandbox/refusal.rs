//! Systems that refuse the sandbox, and what to do about it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What util-linux's `unshare` is asked for.
pub(super) const NAMESPACES: [&str; 6] = [
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child=SIGKILL",
];

/// Tries the sandbox with a program that does nothing.
pub(super) fn check() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "the sandbox is made of Linux namespaces; on another system use a Linux machine or VM"
        );
    }
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(NAMESPACES)
        .arg("true")
        .output()
        .context("`setpriv` and `unshare` are needed: install the package util-linux")?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    bail!(
        "this system refuses the sandbox: {}\n{}",
        stderr.trim(),
        explain()
    );
}

/// Why the system probably refuses, and how to go on.
pub(super) fn explain() -> String {
    let says = |path: &str, value: &str| {
        fs::read_to_string(path).is_ok_and(|content| content.trim() == value)
    };
    if says(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        return "AppArmor restricts user namespaces here (Ubuntu does since 23.10). Until the next \
                boot, allow them with:\n  \
                sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n\
                or run this as root."
            .to_owned();
    }
    if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "User namespaces are off for ordinary users. Allow them with:\n  \
                sudo sysctl -w kernel.unprivileged_userns_clone=1"
            .to_owned();
    }
    if says("/proc/sys/user/max_user_namespaces", "0") {
        return "This system allows no user namespaces. Allow some with:\n  \
                sudo sysctl -w user.max_user_namespaces=10000"
            .to_owned();
    }
    if Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists() {
        return "This is a container whose seccomp profile probably forbids namespaces. Start it \
                with:\n  \
                docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …\n\
                or with --privileged."
            .to_owned();
    }
    "User, network and process namespaces are needed. A container's seccomp profile, a security \
     module or a kernel setting may forbid them; try another machine or VM."
        .to_owned()
}
