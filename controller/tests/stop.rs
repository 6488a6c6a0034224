//! The program ends in order whenever it is told to.

use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(20);

/// An API server that does not answer keeps a start waiting for as long as it likes.
#[test]
fn while_it_waits_for_the_api_server() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("sluice-stop-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let kubeconfig = folder.join("kubeconfig");
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let server = silent.local_addr()?;
    std::fs::write(
        &kubeconfig,
        format!(
            "{{apiVersion: v1, kind: Config, current-context: it, users: [{{name: it, user: {{}}}}],
               clusters: [{{name: it, cluster: {{server: \"http://{server}\"}}}}],
               contexts: [{{name: it, context: {{cluster: it, user: it}}}}]}}"
        ),
    )?;
    let admin = free()?;
    let mut sluice = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["--admin-address", &admin.to_string()])
        .env("KUBECONFIG", &kubeconfig)
        .env("POD_NAMESPACE", "sluice-system")
        .stdin(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    let status = loop {
        let ended = sluice.try_wait()?;
        if ended.is_some() || started.elapsed() > PATIENCE {
            break ended;
        }
        // Told as soon as it can be reached, as kubelet may.
        if TcpStream::connect(admin).is_ok() {
            Command::new("kill").arg(sluice.id().to_string()).status()?;
        }
        std::thread::sleep(PERIOD);
    };
    if status.is_none() {
        sluice.kill()?;
        sluice.wait()?;
    }
    std::fs::remove_dir_all(&folder)?;
    let status = status.ok_or("it did not end")?;
    assert!(status.success(), "it ended badly: {status}");
    Ok(())
}

/// An address that nobody listens at.
fn free() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
