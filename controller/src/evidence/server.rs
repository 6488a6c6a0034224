//! How a server is reached: its certificates, and what it asks of who queries it.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use sluice_crds::{Credentials, Header, Metrics};

use super::problem::{Problem, short};

/// The key of a token, unless the reference names one.
const TOKEN: &str = "token";
/// Those of `kubernetes.io/basic-auth`.
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// A server that answers Prometheus queries, and how to ask it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Server {
    /// Its URL.
    pub address: String,
    /// How long it may take, if somebody says so.
    pub timeout: Option<Duration>,
    /// What to send along.
    pub headers: Vec<Header>,
    /// The certificates of authorities to trust besides those that everybody does.
    pub ca: Option<String>,
    /// Who we are.
    pub credentials: Option<Credentials>,
    /// Where the Secrets of these are. Empty where there are none.
    pub namespace: String,
}

impl Server {
    /// The server of a section; `namespace` is where the Secrets are that it names.
    #[must_use]
    pub fn new(metrics: &Metrics, namespace: &str) -> Self {
        let timeout = metrics.timeout.as_ref();
        let timeout = timeout.and_then(|timeout| timeout.delta().ok()?.to_std().ok());
        let namespace = metrics.credentials.as_ref().map(|_| namespace.to_owned());
        Self {
            address: metrics.address.trim_end_matches('/').to_owned(),
            timeout,
            headers: metrics.headers.clone(),
            ca: metrics.ca.clone(),
            credentials: metrics.credentials.clone(),
            namespace: namespace.unwrap_or_default(),
        }
    }

    /// Whether everybody may ask it, in the plainest way.
    pub(super) fn is_open(&self) -> bool {
        self.headers.is_empty() && self.ca.is_none() && self.credentials.is_none()
    }

    /// A client for it, with what the Secrets say now.
    pub(super) async fn client(&self, secrets: &Secrets) -> Result<reqwest::Client, Problem> {
        let authorization = match &self.credentials {
            Some(credentials) => Some(self.authorization(credentials, secrets).await?),
            None => None,
        };
        self.bare(authorization.as_deref())
    }

    /// A client for it that says who it is in these words.
    pub(super) fn bare(&self, authorization: Option<&str>) -> Result<reqwest::Client, Problem> {
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            let refused = || unusable(&format!("the header {} cannot be sent", header.name));
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused())?;
            let value = HeaderValue::from_str(&header.value).map_err(|_| refused())?;
            headers.insert(name, value);
        }
        if let Some(authorization) = authorization {
            // Whatever is no header's text is not repeated: it is a secret.
            let value = HeaderValue::from_str(authorization);
            let mut value =
                value.map_err(|_| unusable("the Secret's text cannot be sent in a header"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(super::USER_AGENT)
            .connect_timeout(CONNECT)
            .default_headers(headers)
            // Credentials are for the server that was named, and for no other.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(ca) = &self.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca.as_bytes());
            let certificates = certificates.map_err(|_| unusable("metrics.ca is no PEM"))?;
            if certificates.is_empty() {
                return Err(unusable("metrics.ca holds no certificate"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder
            .build()
            .map_err(|error| unusable(&format!("no client can be made: {error}")))
    }

    async fn authorization(
        &self,
        credentials: &Credentials,
        secrets: &Secrets,
    ) -> Result<String, Problem> {
        if let Some(bearer) = &credentials.bearer {
            let key = bearer.key.as_deref().unwrap_or(TOKEN);
            let [token] = secrets.get(&self.namespace, &bearer.secret, [key]).await?;
            // Files often end with a new line.
            return Ok(format!("Bearer {}", token.trim_end()));
        }
        let Some(basic) = &credentials.basic else {
            return Err(Problem::Access(
                "credentials say neither bearer nor basic".to_owned(),
            ));
        };
        let keys = [USERNAME, PASSWORD];
        let [user, password] = secrets.get(&self.namespace, &basic.secret, keys).await?;
        let pair = format!("{}:{}", user.trim_end(), password.trim_end());
        Ok(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

fn unusable(what: &str) -> Problem {
    Problem::Access(short(what))
}

/// Reads Secrets by name, one at a time: none is listed, watched or kept.
#[derive(Clone)]
pub struct Secrets(Client);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Those that this client may read.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    async fn get<const N: usize>(
        &self,
        namespace: &str,
        name: &str,
        keys: [&str; N],
    ) -> Result<[String; N], Problem> {
        let api: Api<Secret> = Api::namespaced(self.0.clone(), namespace);
        let secret = api.get(name).await.map_err(|error| {
            let cause = short(&error.to_string());
            Problem::Access(format!(
                "the Secret {namespace}/{name} cannot be read: {cause}"
            ))
        })?;
        let data = secret.data.unwrap_or_default();
        let mut texts = [const { String::new() }; N];
        for (text, key) in texts.iter_mut().zip(keys) {
            let value = data.get(key).map(|value| std::str::from_utf8(&value.0));
            let Some(Ok(value)) = value else {
                let missing = format!("the Secret {namespace}/{name} has no text {key}");
                return Err(Problem::Access(missing));
            };
            value.clone_into(text);
        }
        Ok(texts)
    }
}

#[cfg(test)]
pub(super) mod tests;
