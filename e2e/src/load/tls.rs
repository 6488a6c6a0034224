//! mTLS as ztunnel does it: both ends are SPIFFE identities, host names play no part.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{
        WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use webpki::EndEntityCert;

use crate::certs::{Authority, spiffe_uri};

/// The TLS side of a client pod that runs as `service_account` and trusts only the waypoint whose
/// SPIFFE URI is `waypoint`.
///
/// # Errors
/// When a certificate cannot be made.
pub fn mesh_client(
    authority: &Authority,
    namespace: &str,
    service_account: &str,
    waypoint: &str,
) -> Result<Arc<ClientConfig>> {
    let leaf = authority.leaf(&spiffe_uri(namespace, service_account), &[], &[])?;
    let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(
        authority.ca_pem().as_bytes(),
    )?)?;
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(WaypointVerifier {
        roots,
        identity: waypoint.to_owned(),
        algorithms: provider.signature_verification_algorithms,
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![certificate], key)
        .context("the client's certificate")?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Verifies the chain as rustls does, and the SPIFFE URI in place of a host name.
#[derive(Debug)]
struct WaypointVerifier {
    roots: RootCertStore,
    identity: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for WaypointVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if certificate
            .valid_uri_names()
            .any(|uri| uri == self.identity)
        {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
