//! Short forms for what Envoy's messages need again and again.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, HeaderValue, HeaderValueOption, Metadata,
    RuntimeFractionalPercent, SocketAddress, address, config_source, header_value_option, socket_address,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher};
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, Percent, fractional_percent};
use envoy_types::pb::google::protobuf::{
    self, Any, BoolValue, Struct, UInt32Value, UInt64Value, Value, value,
};
use envoy_types::util::pack_any;
use prost::{Message, Name};

use crate::model::{self, StringMatch};

pub fn any<M: Message + Name>(message: M) -> Any {
    pack_any(message)
}

pub fn duration(duration: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

pub fn uint32(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub fn uint64(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

pub fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub fn socket(address: IpAddr, port: u16) -> SocketAddress {
    SocketAddress {
        address: address.to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(u32::from(port))),
        ..SocketAddress::default()
    }
}

pub fn address(at: SocketAddr) -> Address {
    Address { address: Some(address::Address::SocketAddress(socket(at.ip(), at.port()))) }
}

/// From the server that everything comes from. No timeout: whoever waits for a proxy has a limit of its own.
pub fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: Some(duration(Duration::ZERO)),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(
            AggregatedConfigSource::default(),
        )),
        ..ConfigSource::default()
    }
}

pub fn text(text: &str) -> Value {
    Value { kind: Some(value::Kind::StringValue(text.to_owned())) }
}

pub fn texts(entries: &[(&str, &str)]) -> Struct {
    Struct { fields: entries.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect() }
}

pub fn metadata(namespaces: Vec<(&str, Struct)>) -> Metadata {
    Metadata {
        filter_metadata: namespaces.into_iter().map(|(name, entries)| (name.to_owned(), entries)).collect(),
        ..Metadata::default()
    }
}

/// In millionths, as Istio has it.
pub fn fraction(percent: model::Percent) -> FractionalPercent {
    FractionalPercent {
        numerator: percent.millionths(),
        denominator: fractional_percent::DenominatorType::Million.into(),
    }
}

pub fn runtime_fraction(percent: model::Percent) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(fraction(percent)), ..RuntimeFractionalPercent::default() }
}

pub fn percent(value: f64) -> Percent {
    Percent { value }
}

pub fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.to_owned(), ..RegexMatcher::default() }
}

pub fn exact(text: &str) -> StringMatcher {
    string_matcher(&StringMatch::Exact(text.to_owned()))
}

pub fn string_matcher(matched: &StringMatch) -> StringMatcher {
    let pattern = match matched {
        StringMatch::Exact(text) => string_matcher::MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(text) => string_matcher::MatchPattern::Prefix(text.clone()),
        StringMatch::Regex(pattern) => string_matcher::MatchPattern::SafeRegex(regex(pattern)),
    };
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

pub fn header(key: &str, value: &str, action: header_value_option::HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: key.to_owned(), value: value.to_owned(), ..HeaderValue::default() }),
        append_action: action.into(),
        ..HeaderValueOption::default()
    }
}
