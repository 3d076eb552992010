//! Certificates: one authority that the client trusts, one that comes later, one never trusted.

use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// The name that every client here expects.
const NAME: &str = "kubernetes.default.svc";

/// With which certificate the server shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Good,
    /// A certificate by the authority that comes later.
    Rotated,
    UnknownAuthority,
    WrongName,
    Expired,
}

/// All certificates that the tests need.
pub struct Pki {
    /// PEM of the authority that is trusted at first.
    pub ca: String,
    /// PEM of the one that comes later.
    pub next_ca: String,
    good: Arc<ServerConfig>,
    rotated: Arc<ServerConfig>,
    unknown: Arc<ServerConfig>,
    wrong_name: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
}

/// The certificates, made once.
pub static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let (first, next, unknown) = (authority(), authority(), authority());
    Pki {
        ca: first.pem(),
        next_ca: next.pem(),
        good: server(&first, NAME, 2200),
        rotated: server(&next, NAME, 2200),
        unknown: server(&unknown, NAME, 2200),
        wrong_name: server(&first, "elsewhere.example", 2200),
        expired: server(&first, NAME, 2001),
    }
});

impl Pki {
    /// The server's side of TLS.
    pub fn server(&self, identity: Identity) -> Arc<ServerConfig> {
        match identity {
            Identity::Good => self.good.clone(),
            Identity::Rotated => self.rotated.clone(),
            Identity::UnknownAuthority => self.unknown.clone(),
            Identity::WrongName => self.wrong_name.clone(),
            Identity::Expired => self.expired.clone(),
        }
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    until: i32,
) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    Arc::new(config.expect("a certificate with its key"))
}
