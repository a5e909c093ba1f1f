//! Mutual TLS inside the mesh: certificates by SDS, identities checked.

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
    SubjectAltNameMatcher, UpstreamTlsContext, common_tls_context, subject_alt_name_matcher,
};

use super::proto::{ads, any, boolean, exact};

/// The name of the secret with the proxy's own certificate.
pub const CERTIFICATE: &str = "default";
/// The name of the secret with the roots of the mesh.
pub const ROOTS: &str = "ROOTCA";
/// What proxies of the mesh offer to each other, so that a server can tell them from apps that speak TLS.
pub const ALPN: &str = "istio";

/// What a client presents and demands.
pub fn upstream(sni: &str, identities: &[String], http2: bool) -> TransportSocket {
    let mut alpn = vec![ALPN.to_owned()];
    if http2 {
        alpn.push("h2".to_owned());
    }
    socket(any(UpstreamTlsContext {
        common_tls_context: Some(common(alpn, identities)),
        sni: sni.to_owned(),
        ..UpstreamTlsContext::default()
    }))
}

/// What a server presents and demands: any certificate of the mesh.
pub fn downstream(http: bool) -> TransportSocket {
    // Without `istio`: what was offered chose the filter chain, what is agreed on chooses the codec.
    let alpn = if http { vec!["h2".to_owned(), "http/1.1".to_owned()] } else { vec![ALPN.to_owned()] };
    socket(any(DownstreamTlsContext {
        common_tls_context: Some(common(alpn, &[])),
        require_client_certificate: boolean(true),
        ..DownstreamTlsContext::default()
    }))
}

pub fn plain() -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(RawBuffer::default()))),
    }
}

fn socket(config: envoy_types::pb::google::protobuf::Any) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(config)),
    }
}

fn common(alpn_protocols: Vec<String>, identities: &[String]) -> CommonTlsContext {
    let secret = |name: &str| SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads()) };
    let allowed = identities.iter().map(|identity| SubjectAltNameMatcher {
        san_type: subject_alt_name_matcher::SanType::Uri.into(),
        matcher: Some(exact(identity)),
        ..SubjectAltNameMatcher::default()
    });
    let validation = common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: allowed.collect(),
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret(ROOTS)),
        ..Default::default()
    };
    CommonTlsContext {
        alpn_protocols,
        tls_certificate_sds_secret_configs: vec![secret(CERTIFICATE)],
        validation_context_type: Some(common_tls_context::ValidationContextType::CombinedValidationContext(
            validation,
        )),
        ..CommonTlsContext::default()
    }
}
