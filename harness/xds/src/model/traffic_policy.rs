//! How callers treat a destination: balancing, pools, ejection, TLS; and which of several policies holds.

use std::time::Duration;

use super::Percent;
use crate::source::Place;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    pub load_balancer: Option<LoadBalancer>,
    pub pool: Option<Pool>,
    pub outlier: Option<Outlier>,
    pub tls: Option<ClientTls>,
    /// Percent of active requests that may be retries, and at least so many.
    pub retry_budget: Option<(Percent, u32)>,
    pub ports: Vec<(u16, TrafficPolicy)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalancer {
    LeastRequest,
    Random,
    RoundRobin,
}

/// Limits and timeouts of connections; `None` is Istio's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    pub max_connections: Option<u32>,
    pub connect_timeout: Option<Duration>,
    pub tcp_idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// Probes, time, interval.
    pub keepalive: Option<(Option<u32>, Option<Duration>, Option<Duration>)>,
    pub max_pending: Option<u32>,
    pub max_requests: Option<u32>,
    pub max_requests_per_connection: Option<u32>,
    pub max_retries: Option<u32>,
    pub http_idle_timeout: Option<Duration>,
    pub max_concurrent_streams: Option<u32>,
    pub upgrade_to_http2: bool,
}

/// When a host is left alone for a while; `None` is Istio's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    pub consecutive_5xx: Option<u32>,
    pub consecutive_gateway: Option<u32>,
    pub split_local: bool,
    pub consecutive_local: Option<u32>,
    pub interval: Option<Duration>,
    pub base_ejection: Option<Duration>,
    pub max_ejection_percent: Option<u32>,
    pub min_health_percent: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    pub place: Place,
    pub mode: TlsMode,
    pub sni: Option<String>,
    pub alt_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    IstioMutual,
}

impl TrafficPolicy {
    /// What holds for a port of a subset: the subset's sections go before the rule's own; what is said of a port
    /// replaces all of them, and what it leaves out is then the default.
    pub fn resolve(rule: &Self, subset: Option<&Self>, port: u16) -> Self {
        let top = rule.over(&Self::default(), port);
        match subset {
            Some(subset) => subset.over(&top, port),
            None => top,
        }
    }

    fn over(&self, base: &Self, port: u16) -> Self {
        if let Some((_, own)) = self.ports.iter().find(|(number, _)| *number == port) {
            return Self { ports: Vec::new(), ..own.clone() };
        }
        Self {
            load_balancer: self.load_balancer.or(base.load_balancer),
            pool: self.pool.clone().or_else(|| base.pool.clone()),
            outlier: self.outlier.clone().or_else(|| base.outlier.clone()),
            tls: self.tls.clone().or_else(|| base.tls.clone()),
            retry_budget: self.retry_budget.or(base.retry_budget),
            ports: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_replaces_everything_and_a_subset_section_by_section() {
        let random = Some(LoadBalancer::Random);
        let outlier = Some(Outlier { consecutive_5xx: Some(3), ..Outlier::default() });
        let rule = TrafficPolicy {
            load_balancer: random,
            outlier: outlier.clone(),
            ports: vec![(
                9000,
                TrafficPolicy { load_balancer: Some(LoadBalancer::RoundRobin), ..Default::default() },
            )],
            ..TrafficPolicy::default()
        };
        let subset = TrafficPolicy { load_balancer: Some(LoadBalancer::RoundRobin), ..Default::default() };

        let plain = TrafficPolicy::resolve(&rule, Some(&subset), 8080);
        assert_eq!(plain.load_balancer, Some(LoadBalancer::RoundRobin));
        assert_eq!(plain.outlier, outlier, "what the subset leaves out comes from the rule");

        let port = TrafficPolicy::resolve(&rule, None, 9000);
        assert_eq!(port.load_balancer, Some(LoadBalancer::RoundRobin));
        assert_eq!(port.outlier, None, "a port takes nothing over");
    }
}
