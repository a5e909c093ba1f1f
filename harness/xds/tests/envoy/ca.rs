//! A CA for one test: the two secrets that every proxy asks for.

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret,
};
use meshquake_xds::envoy::{CERTIFICATE, ROOTS};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A leaf with the subject of its issuer would pass for a root.
        params.distinguished_name.push(DnType::CommonName, "root of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root").pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub fn secrets(&self, identity: &str) -> [Secret; 2] {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            vec![SanType::URI(identity.try_into().expect("an identity is plain ASCII"))];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        let own = TlsCertificate {
            certificate_chain: inline(leaf.pem()),
            private_key: inline(key.serialize_pem()),
            ..TlsCertificate::default()
        };
        let roots =
            CertificateValidationContext { trusted_ca: inline(self.root.clone()), ..Default::default() };
        [
            Secret { name: CERTIFICATE.to_owned(), r#type: Some(secret::Type::TlsCertificate(own)) },
            Secret { name: ROOTS.to_owned(), r#type: Some(secret::Type::ValidationContext(roots)) },
        ]
    }
}

fn inline(pem: String) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(data_source::Specifier::InlineBytes(pem.into_bytes())),
        ..DataSource::default()
    })
}
