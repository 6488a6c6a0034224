//! etcd, the API server and the controllers that deployments need. There is no scheduler: the node
//! agent binds the pods.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::kubeconfig::{self, Credentials};
use crate::build::Tools;
use crate::certs::{Authority, signing_key};
use crate::process::{Launch, Process};

/// The API server's address inside the sandbox; its certificate also names 192.0.2.1.
pub(super) const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);
/// What the API server advertises: loopback is refused there.
const ADVERTISED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Cluster IPs: reserved for benchmarks, apart from the pods' range, and local to nobody.
const SERVICE_RANGE: &str = "198.19.0.0/16";
const ETCD: &str = "http://127.0.0.1:2379";
const START: Duration = Duration::from_mins(1);

/// Every request is logged when it is answered, without bodies.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
";

/// Controllers that make pods, their endpoints and their namespaces come and go. The names are
/// those of Kubernetes 1.33 and later.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,endpointslice-controller,\
    namespace-controller,garbage-collector-controller,serviceaccount-controller,\
    root-ca-certificate-publisher-controller,resourcequota-controller,\
    horizontal-pod-autoscaler-controller";

/// Where the certificates, keys and logs of one run lie.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) run: PathBuf,
    pub(super) pki: PathBuf,
    pub(super) audit: PathBuf,
}

impl Files {
    pub(super) fn new(run: &Path, authority: &Authority) -> Result<Self> {
        let pki = run.join("pki");
        fs::create_dir(&pki).with_context(|| format!("making {}", pki.display()))?;
        let ips = [ADDRESS.ip(), IpAddr::V4(ADVERTISED)];
        let server = authority.leaf("", &ips, &["localhost", "kubernetes.default.svc"])?;
        let (private, public) = signing_key()?;
        fs::write(pki.join("ca.crt"), authority.ca_pem())?;
        fs::write(pki.join("server.crt"), server.cert_pem)?;
        fs::write(pki.join("server.key"), server.key_pem)?;
        fs::write(pki.join("service-account.key"), private)?;
        fs::write(pki.join("service-account.pub"), public)?;
        fs::write(pki.join("audit-policy.yaml"), AUDIT_POLICY)?;
        Ok(Self {
            run: run.to_path_buf(),
            pki,
            audit: run.join("audit.jsonl"),
        })
    }

    /// Where etcd keeps its data.
    fn etcd(&self) -> PathBuf {
        self.run.join("etcd")
    }

    /// Writes a kubeconfig with a certificate for `user`, who is of `group`.
    pub(super) fn kubeconfig(
        &self,
        authority: &Authority,
        user: &str,
        group: Option<&str>,
    ) -> Result<PathBuf> {
        let leaf = Credentials::Certificate(authority.user(user, group)?);
        kubeconfig::write(&self.pki, user, &url(), authority.ca_pem(), &leaf)
    }
}

pub(super) async fn start_etcd(tools: &Tools, files: &Files) -> Result<Process> {
    let etcd = Launch::new("etcd", &tools.etcd, &files.run)
        .arg("--data-dir")
        .arg(files.etcd())
        .args([
            "--listen-client-urls",
            ETCD,
            "--advertise-client-urls",
            ETCD,
        ])
        .args(["--listen-peer-urls", "http://127.0.0.1:2380"])
        // A run's data dies with it.
        .args(["--unsafe-no-fsync", "--log-level", "warn"])
        .start()?;
    etcd_ready(&etcd).await?;
    Ok(etcd)
}

/// Waits until etcd answers.
pub(super) async fn etcd_ready(etcd: &Process) -> Result<()> {
    etcd.ready(START, async || {
        reqwest::get(format!("{ETCD}/health"))
            .await?
            .error_for_status()?;
        Ok(())
    })
    .await
}

/// Deletes all that etcd has, which must not run.
pub(super) fn delete_stored(files: &Files) -> Result<()> {
    let stored = files.etcd();
    fs::remove_dir_all(&stored).with_context(|| format!("deleting {}", stored.display()))
}

/// The API server's URL inside the sandbox.
pub(super) fn url() -> String {
    format!("https://{ADDRESS}")
}

/// A plain HTTP client that trusts the API server.
pub(super) fn http_client(authority: &Authority) -> Result<reqwest::Client> {
    let ca = reqwest::Certificate::from_pem(authority.ca_pem().as_bytes())?;
    Ok(reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .build()?)
}

/// An API server that stories may stop and start.
#[derive(Debug)]
pub struct ApiServer {
    process: Process,
    // Not the Kubernetes client, which logs an error for every refusal.
    http: reqwest::Client,
}

impl ApiServer {
    /// Kills it, as a lost machine would. What it stored stays in etcd.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn stop(&self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts it again and waits until all its start hooks ran.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(&self) -> Result<()> {
        self.process.restart().await?;
        self.ready().await
    }

    pub(super) async fn alive(&self) -> Result<()> {
        self.process.alive().await
    }

    async fn ready(&self) -> Result<()> {
        self.process
            .ready(START, async || {
                let answer = self.http.get(format!("{}/readyz", url())).send().await?;
                answer.error_for_status()?;
                Ok(())
            })
            .await
    }
}

/// Starts the API server; it is ready when all its start hooks ran.
pub(super) async fn start_api_server(
    tools: &Tools,
    files: &Files,
    authority: &Authority,
) -> Result<ApiServer> {
    let http = http_client(authority)?;
    let pki = |flag: &str, name: &str| format!("--{flag}={}", files.pki.join(name).display());
    let process = Launch::new("kube-apiserver", &tools.kube_apiserver, &files.run)
        .arg(format!("--etcd-servers={ETCD}"))
        .arg(format!("--secure-port={}", ADDRESS.port()))
        .arg(format!("--advertise-address={ADVERTISED}"))
        .arg(format!("--service-cluster-ip-range={SERVICE_RANGE}"))
        .arg(pki("tls-cert-file", "server.crt"))
        .arg(pki("tls-private-key-file", "server.key"))
        .arg(pki("client-ca-file", "ca.crt"))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(pki("service-account-key-file", "service-account.pub"))
        .arg(pki(
            "service-account-signing-key-file",
            "service-account.key",
        ))
        .arg("--authorization-mode=RBAC")
        .arg(pki("audit-policy-file", "audit-policy.yaml"))
        .arg(format!("--audit-log-path={}", files.audit.display()))
        // Each line is written before its answer is sent, and the log never rotates (size in MB).
        .args(["--audit-log-mode=blocking", "--audit-log-maxsize=100000"])
        .args([
            "--max-requests-inflight=4000",
            "--max-mutating-requests-inflight=2000",
        ])
        .args(["--enable-priority-and-fairness=false", "--profiling=false"])
        .start()?;
    let server = ApiServer { process, http };
    server.ready().await?;
    Ok(server)
}

pub(super) fn start_controllers(
    tools: &Tools,
    files: &Files,
    kubeconfig: &Path,
) -> Result<Process> {
    let ca = files.pki.join("ca.crt");
    Launch::new(
        "kube-controller-manager",
        &tools.kube_controller_manager,
        &files.run,
    )
    .arg(format!("--kubeconfig={}", kubeconfig.display()))
    .arg(format!("--controllers={CONTROLLERS}"))
    .arg(format!("--root-ca-file={}", ca.display()))
    .args([
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
    ])
    .args(["--kube-api-qps=1000", "--kube-api-burst=1000"])
    // There is no metrics API: an autoscaler only keeps its target within its limits.
    .arg("--horizontal-pod-autoscaler-sync-period=1s")
    .args([
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
    ])
    .args([
        "--concurrent-service-endpoint-syncs=20",
        "--concurrent-namespace-syncs=20",
    ])
    .start()
}
