//! The certificate authority of one run: an identity for each service account, in memory only.
//!
//! A sidecar gets two secrets by SDS: `default`, its own certificate and key, and `ROOTCA`, what it trusts. Both are
//! part of its snapshot like any other resource, so a rotation is a push.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret,
};
use meshquake_xds::ads::{Kind, Resource, Snapshot};
use meshquake_xds::envoy::{CERTIFICATE, ROOTS};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

const TRUST_DOMAIN: &str = "cluster.local";
/// As Istio's: long enough for an evening's `up`, and renewed at half of it.
const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const ROOT_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// A clock that was set back a little must not make a certificate one of the future.
const BACKDATED: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make the certificate authority of the run")]
    Root(#[source] rcgen::Error),
    #[error("cannot issue a certificate for {identity}")]
    Leaf { identity: Identity, source: rcgen::Error },
}

/// Who a workload is: its service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub namespace: String,
    pub service_account: String,
}

impl Identity {
    pub fn new(namespace: impl Into<String>, service_account: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), service_account: service_account.into() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{TRUST_DOMAIN}/ns/{}/sa/{}", self.namespace, self.service_account)
    }
}

/// The authority and the certificates that it has issued.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<Resource>,
    leaves: BTreeMap<Identity, Leaf>,
}

struct Leaf {
    certificate: Arc<Resource>,
    issued: SystemTime,
}

impl fmt::Debug for Authority {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("identities", &self.leaves.keys()).finish_non_exhaustive()
    }
}

impl Authority {
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Root)?;
        let mut params = params("meshquake run CA", ROOT_LIFETIME, SystemTime::now());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = params.self_signed(&key).map_err(Error::Root)?.pem();
        let roots = Secret {
            name: ROOTS.to_owned(),
            r#type: Some(secret::Type::ValidationContext(CertificateValidationContext {
                trusted_ca: Some(inline(&root)),
                ..CertificateValidationContext::default()
            })),
        };
        let roots = Arc::new(Resource::pack(roots));
        Ok(Self { issuer: Issuer::new(params, key), roots, leaves: BTreeMap::new() })
    }

    /// Adds the two secrets of an identity to what its sidecar should have. The certificate is the same until
    /// it is rotated, so asking again changes nothing.
    pub fn add_secrets(&mut self, identity: &Identity, snapshot: &mut Snapshot) -> Result<(), Error> {
        if !self.leaves.contains_key(identity) {
            let leaf = self.issue(identity, SystemTime::now());
            let leaf = leaf.map_err(|source| Error::Leaf { identity: identity.clone(), source })?;
            self.leaves.insert(identity.clone(), leaf);
        }
        for secret in [&self.leaves[identity].certificate, &self.roots] {
            snapshot.insert(Kind::Secret, Arc::clone(secret));
        }
        Ok(())
    }

    /// Forgets all certificates: whoever asks next gets a new one of the same authority, with a new key. Old ones
    /// stay valid, so that connections go on while the new ones are on their way.
    pub fn rotate(&mut self) {
        self.leaves.clear();
    }

    /// From when on `rotate` is due: half the life of the oldest certificate.
    pub fn rotation_due(&self) -> Option<SystemTime> {
        self.leaves.values().map(|leaf| leaf.issued + LEAF_LIFETIME / 2).min()
    }

    fn issue(&self, identity: &Identity, now: SystemTime) -> Result<Leaf, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params("meshquake workload", LEAF_LIFETIME, now);
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let chain = params.signed_by(&key, &self.issuer)?.pem();
        let certificate = Secret {
            name: CERTIFICATE.to_owned(),
            r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
                certificate_chain: Some(inline(&chain)),
                private_key: Some(inline(&key.serialize_pem())),
                ..TlsCertificate::default()
            })),
        };
        Ok(Leaf { certificate: Arc::new(Resource::pack(certificate)), issued: now })
    }
}

fn params(name: &str, lifetime: Duration, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + lifetime).into();
    params
}

fn inline(pem: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(pem.as_bytes().to_vec())), ..DataSource::default() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn chain(secret: &Secret) -> String {
        match &secret.r#type {
            Some(secret::Type::TlsCertificate(certificate)) => bytes(certificate.certificate_chain.as_ref()),
            Some(secret::Type::ValidationContext(context)) => bytes(context.trusted_ca.as_ref()),
            other => panic!("no certificate in {other:?}"),
        }
    }

    fn bytes(source: Option<&DataSource>) -> String {
        match source.and_then(|source| source.specifier.as_ref()) {
            Some(Specifier::InlineBytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("not inline: {other:?}"),
        }
    }

    #[test]
    fn a_certificate_stays_until_it_is_rotated() {
        let mut authority = Authority::new().unwrap();
        let (a, b) = (Identity::new("shop", "web"), Identity::new("shop", "catalog"));
        let mut first = Snapshot::new();
        assert_eq!(authority.rotation_due(), None);
        authority.add_secrets(&a, &mut first).unwrap();
        assert!(authority.rotation_due().unwrap() > SystemTime::now() + LEAF_LIFETIME / 3);
        let mut again = Snapshot::new();
        authority.add_secrets(&a, &mut again).unwrap();
        assert_eq!(first, again);
        let mut other = Snapshot::new();
        authority.add_secrets(&b, &mut other).unwrap();
        assert_ne!(first, other);

        authority.rotate();
        let mut rotated = Snapshot::new();
        authority.add_secrets(&a, &mut rotated).unwrap();
        let changed = rotated.diff(&first).changed;
        assert_eq!(changed, [(Kind::Secret, CERTIFICATE.to_owned())].into(), "the root is the same");
    }

    #[test]
    fn keys_are_not_shown_by_debug() {
        let mut authority = Authority::new().unwrap();
        let mut snapshot = Snapshot::new();
        authority.add_secrets(&Identity::new("shop", "web"), &mut snapshot).unwrap();
        let shown = format!("{authority:?} {snapshot:?}");
        assert!(!shown.contains("PRIVATE") && shown.contains("default@"), "{shown}");
    }

    /// What a real implementation reads in them. Where there is no openssl, the test with two Envoys still shows
    /// that they are accepted.
    #[test]
    fn a_certificate_says_who_and_what_for() {
        let mut authority = Authority::new().unwrap();
        let mut snapshot = Snapshot::new();
        authority.add_secrets(&Identity::new("shop", "web"), &mut snapshot).unwrap();
        let leaf: Secret = snapshot.get(Kind::Secret, CERTIFICATE).unwrap().unpack().unwrap();
        let openssl = Command::new("openssl")
            .args(["x509", "-noout", "-text"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut openssl) = openssl else { return };
        openssl.stdin.take().unwrap().write_all(chain(&leaf).as_bytes()).unwrap();
        let text = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
        for expected in [
            "Issuer: CN = meshquake run CA",
            "URI:spiffe://cluster.local/ns/shop/sa/web\n",
            "TLS Web Server Authentication, TLS Web Client Authentication",
            "CA:FALSE",
            "ASN1 OID: prime256v1",
        ] {
            assert!(text.contains(expected), "no `{expected}` in {text}");
        }
        assert!(!text.contains("DNS:"), "{text}");
    }
}
