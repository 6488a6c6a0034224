//! An HTTP Git server: `git http-backend`, called as CGI (RFC 3875); open to everybody, or guarded.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::response::Builder;
use axum::http::{HeaderValue, Response, StatusCode, header};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::repository::{BRANCH, Repository, git};
use crate::tls::Front;

/// No push here is larger, in bytes.
const LARGEST: usize = 64 << 20;
/// Headers of a request that CGI hands over as variables, and Git reads.
const PASSED: [(&str, &str); 4] = [
    ("content-type", "CONTENT_TYPE"),
    ("content-encoding", "HTTP_CONTENT_ENCODING"),
    ("git-protocol", "GIT_PROTOCOL"),
    ("user-agent", "HTTP_USER_AGENT"),
];

/// Who may fetch from a guarded server, and push to it.
pub const CREDENTIALS: (&str, &str) = ("sluice", "token");
/// The same as a header says it.
const BASIC: &str = "Basic c2x1aWNlOnRva2Vu";

/// A server of repositories. Dropping it ends it.
pub struct Server {
    url: String,
    folder: PathBuf,
    /// The authority of a guarded one, PEM.
    ca: Option<String>,
    _task: JoinSet<()>,
}

impl Server {
    /// Starts one on a free port of the loopback, with its repositories in `folder`: everybody may fetch and push.
    ///
    /// # Errors
    /// When there is no port, or the folder cannot be made.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(folder.to_owned());
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            folder: folder.to_owned(),
            ca: None,
            _task: task,
        })
    }

    /// Starts one that speaks TLS, by an authority of its own, and serves [`CREDENTIALS`] alone.
    ///
    /// # Errors
    /// When there is no port, or the folder cannot be made.
    pub async fn guarded(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let front = Front::open().await?;
        let (url, ca) = (front.url.clone(), front.ca.clone());
        let repositories = folder.to_owned();
        let mut task = JoinSet::new();
        task.spawn(front.serve(move |request| {
            let folder = repositories.clone();
            async move { Ok(for_known(folder, request.map(Body::new)).await) }
        }));
        Ok(Self {
            url,
            folder: folder.to_owned(),
            ca: Some(ca),
            _task: task,
        })
    }

    /// The authority of a guarded one, PEM.
    #[must_use]
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Makes an empty repository, `NAME.git`, and a work tree beside it that pushes there.
    ///
    /// # Errors
    /// When `git` fails, or there is one of that name.
    pub async fn repository(&self, name: &str) -> Result<Repository> {
        let bare = self.folder.join(format!("{name}.git"));
        ensure!(!bare.exists(), "there is a repository {name}");
        let init = git()
            .args(["init", "--quiet", "--bare", "--template="])
            .args(["--initial-branch", BRANCH])
            .arg(&bare)
            .status();
        ensure!(init.await?.success(), "git init of {}", bare.display());
        let allow = git()
            .arg("-C")
            .arg(&bare)
            .args(["config", "http.receivepack", "true"])
            .status();
        ensure!(allow.await?.success(), "git config of {}", bare.display());
        let repository = Repository::create(self.folder.join(name)).await?;
        // A team's own way to a guarded one is no matter here.
        let remote = match self.ca {
            Some(_) => bare.display().to_string(),
            None => self.address(name),
        };
        repository.set_remote(&remote).await?;
        Ok(repository)
    }

    /// The URL of a repository.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        format!("{}/{name}.git", self.url)
    }
}

async fn for_known(folder: PathBuf, request: Request) -> Response<Body> {
    let said = request.headers().get(header::AUTHORIZATION);
    if said.is_some_and(|said| said == BASIC) {
        return answer(State(folder), request).await;
    }
    let mut response = Response::new(Body::from("who are you?"));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let asks = HeaderValue::from_static("Basic realm=\"git\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, asks);
    response
}

async fn answer(State(folder): State<PathBuf>, request: Request) -> Response<Body> {
    call(&folder, request).await.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("{error:#}")));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

async fn call(folder: &Path, request: Request) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await?;
    let mut command = git();
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_ADDR", "127.0.0.1");
    for (header, variable) in PASSED {
        if let Some(value) = head.headers.get(header) {
            command.env(variable, value.to_str()?);
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting `git http-backend`")?;
    let mut input = child.stdin.take().context("no standard input")?;
    let write = async move {
        // It may end without having read all: what it answers says why.
        let _ = input.write_all(&body).await;
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output?;
    ensure!(
        output.status.success(),
        "git http-backend: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    response(output.stdout)
}

/// What a CGI program wrote: headers, among them `Status`, an empty line, and the body.
fn response(said: Vec<u8>) -> Result<Response<Body>> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.context("an answer without headers")?;
    let mut body = said;
    let rest = body.split_off(end);
    let head = String::from_utf8(body)?;
    let mut builder = Builder::new();
    for line in head.lines() {
        let (name, value) = line.split_once(':').context("a header without a colon")?;
        builder = if name.eq_ignore_ascii_case("status") {
            let code = value.trim().get(..3).context("a status without a code")?;
            builder.status(code)
        } else {
            builder.header(name, value.trim())
        };
    }
    Ok(builder.body(Body::from(rest.get(4..).unwrap_or_default().to_vec()))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

    use super::*;

    #[tokio::test]
    async fn what_is_pushed_is_fetched() {
        let folder = std::env::temp_dir().join(format!("sluice-git-{}", std::process::id()));
        let server = Server::start(&folder).await.expect("a server");
        let shop = server.repository("shop").await.expect("a repository");
        let first = shop
            .commit(&[("a/app.yaml", "one"), ("b.yaml", "two")], "first")
            .await
            .expect("a commit");
        shop.push().await.expect("a push");
        let second = shop
            .commit(&[("a/app.yaml", "three")], "second")
            .await
            .expect("a commit");
        shop.remove(&["b.yaml"], "third").await.expect("a removal");
        shop.revert(&second).await.expect("a revert");
        shop.push().await.expect("a push");

        let clone = folder.join("clone");
        let cloned = git()
            .args(["clone", "--quiet", &server.address("shop")])
            .arg(&clone)
            .status();
        assert!(cloned.await.expect("git").success());
        let app = std::fs::read_to_string(clone.join("a/app.yaml")).expect("the file");
        assert_eq!(app, "one");
        assert!(!clone.join("b.yaml").exists());
        assert_eq!(first.subject, "first");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_status_of_an_answer_is_its_own() {
        let said = b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno".to_vec();
        let response = response(said).expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
