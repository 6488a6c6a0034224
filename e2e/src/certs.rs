//! The one certificate authority of a cluster: API server, its users, and the mesh's workloads.

use std::net::IpAddr;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Trust domain of every SPIFFE identity in the mesh; Istio's default.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// SPIFFE URI of a service account, as ztunnel and waypoints present it.
#[must_use]
pub fn spiffe_uri(namespace: &str, service_account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{service_account}")
}

/// A certificate with its key, both PEM; the key is PKCS #8 (ECDSA P-256).
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate, without the authority's.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
}

/// A key pair with which the API server signs service accounts' tokens, both PEM.
///
/// # Errors
/// If the key cannot be made.
pub fn signing_key() -> Result<(String, String)> {
    let key = KeyPair::generate().context("making a key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// A certificate authority, made anew for each cluster and kept in memory only.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Authority {
    /// Makes a new key and a self-signed certificate.
    ///
    /// # Errors
    /// If the key cannot be made or used.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().context("making the authority's key")?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "sluice-e2e");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let ca_pem = params
            .self_signed(&key)
            .context("signing the authority")?
            .pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            ca_pem,
        })
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate for both ends of mTLS, naming a SPIFFE identity, addresses and DNS names.
    /// A server without an identity leaves `spiffe_uri` empty.
    ///
    /// # Errors
    /// If a name is not ASCII or signing fails.
    pub fn leaf(&self, spiffe_uri: &str, ips: &[IpAddr], dns: &[&str]) -> Result<Leaf> {
        let mut params = CertificateParams::default();
        if !spiffe_uri.is_empty() {
            let uri = spiffe_uri.try_into().context("a SPIFFE URI is ASCII")?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params
            .subject_alt_names
            .extend(ips.iter().map(|ip| SanType::IpAddress(*ip)));
        for name in dns {
            let name = (*name).try_into().context("a DNS name is ASCII")?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        self.sign(params)
    }

    /// A client certificate for the API server, which reads the user from its common name and the
    /// group from its organisation. (`rcgen` writes each kind of name once, so one group.)
    ///
    /// # Errors
    /// If signing fails.
    pub fn user(&self, user: &str, group: Option<&str>) -> Result<Leaf> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Leaf> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().context("making a key")?;
        let cert = params
            .signed_by(&key, &self.issuer)
            .context("signing a certificate")?;
        Ok(Leaf {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}
