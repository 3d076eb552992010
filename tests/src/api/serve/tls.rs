//! The server's certificate, of a CA of its own.

use std::{net::IpAddr, sync::Arc};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{ServerConfig, crypto::ring};
use tokio_rustls::TlsAcceptor;

/// A CA, and what a server needs to be believed by a client that knows it.
pub(crate) struct Certificates {
    /// The CA's certificate, PEM.
    pub ca: String,
    pub acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Certificates for a server at that address, with these further names.
    pub fn new(address: IpAddr, names: &[String]) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "fake-api-server-ca");
        let ca =
            CertifiedIssuer::self_signed(params, KeyPair::generate().context("cannot make a key")?)
                .context("cannot make a CA")?;
        let own = ["127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default.svc"];
        let own = own.into_iter().map(str::to_owned).chain([address.to_string()]);
        let mut names: Vec<_> = own.chain(names.iter().cloned()).collect();
        names.sort();
        names.dedup();
        let mut params =
            CertificateParams::new(names).context("a name of the certificate is none")?;
        params.distinguished_name.push(DnType::CommonName, "fake-api-server");
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params.signed_by(&key, &ca).context("cannot sign a certificate")?;
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| anyhow::anyhow!("the key is unreadable: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("no TLS version")?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .context("the certificate and its key do not fit")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { ca: ca.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}
