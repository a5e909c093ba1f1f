//! The walk through an intent as indented text, each line with its place.

use std::fmt;

use super::{OutboundKind, ProxyIntent, Role, Route, RouteAction};
use crate::model::{AbortStatus, Action, Headers, Mode, Reporter, RequestMatch, Retries, StringMatch};
use crate::source::Place;

impl fmt::Display for ProxyIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Sidecar => "sidecar",
            Role::Gateway => "gateway",
        };
        writeln!(f, "{role} {} at {} as {}", self.id, self.address, self.peer.principal)?;
        for ((reporter, metric), place) in &self.disabled_metrics {
            let reporter = match reporter {
                Reporter::Source => "source",
                Reporter::Destination => "destination",
            };
            writeln!(f, "  no istio_{} as {reporter} ({place})", metric.name())?;
        }
        for policy in &self.authorization {
            let action = match policy.action {
                Action::Deny => "deny",
                Action::Allow => "allow",
            };
            let rules = match policy.rules.len() {
                1 => "1 rule".to_owned(),
                count => format!("{count} rules"),
            };
            writeln!(f, "  {action} by {rules} of {} ({})", policy.id, policy.place)?;
        }
        for inbound in &self.inbound {
            let mode = match inbound.mode {
                Mode::Disable => "plain text",
                Mode::Permissive => "mutual TLS or plain text",
                Mode::Strict => "mutual TLS",
            };
            let place = inbound.mode_place.as_ref().map_or_else(|| "default".to_owned(), Place::to_string);
            let (port, app, protocol) = (inbound.port, inbound.app, inbound.protocol);
            writeln!(f, "  inbound {port} {protocol:?} by {mode} ({place}) to {app}")?;
        }
        for entry in &self.entries {
            let listens: Vec<_> = entry.listens.iter().map(ToString::to_string).collect();
            let (port, table) = (entry.port, &entry.table);
            writeln!(f, "  entry {port} at {} by table {table} ({})", listens.join(", "), entry.place)?;
        }
        for outbound in &self.outbound {
            write!(f, "  outbound {}:{} ", outbound.host, outbound.port)?;
            match &outbound.kind {
                OutboundKind::Http(table) => write!(f, "by table {table}")?,
                OutboundKind::Tcp(clusters) => {
                    let clusters: Vec<_> =
                        clusters.iter().map(|(name, weight)| share(name, *weight)).collect();
                    write!(f, "to {}", clusters.join(", "))?;
                }
            }
            writeln!(f, " ({})", outbound.place)?;
        }
        for table in self.routes.values() {
            writeln!(f, "  table {}", table.name)?;
            for host in &table.hosts {
                writeln!(f, "    host {} ({})", host.domains.join(", "), host.place)?;
                for route in &host.routes {
                    writeln!(f, "      {route}")?;
                }
            }
        }
        for cluster in self.clusters.values() {
            let policy = match cluster.policy == Default::default() {
                true => "",
                false => " with a policy",
            };
            writeln!(f, "  cluster {}{policy} ({})", cluster.name, cluster.place)?;
            match cluster.passthrough {
                true => writeln!(f, "    past the mesh")?,
                false => writeln!(f, "    answered by {}", cluster.identities.join(", "))?,
            }
            for endpoint in self.endpoints.get(&cluster.name).into_iter().flat_map(|list| list.iter()) {
                let tls = if endpoint.mtls { "mutual TLS" } else { "plain text" };
                let (address, port, workload) = (endpoint.address, endpoint.port, &endpoint.peer.workload);
                writeln!(f, "    endpoint {address}:{port} {workload} by {tls}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{}: ", self.name)?;
        }
        write!(f, "{}", show_match(&self.matches))?;
        if let Some(delay) = &self.fault.delay {
            write!(f, ", delay {:?} for {} ({})", delay.duration, delay.percent, delay.place)?;
        }
        if let Some(abort) = &self.fault.abort {
            let status = match abort.status {
                AbortStatus::Http(status) => status.to_string(),
                AbortStatus::Grpc(status) => format!("gRPC {status}"),
            };
            write!(f, ", abort with {status} for {} ({})", abort.percent, abort.place)?;
        }
        match &self.action {
            RouteAction::Forward(targets) => {
                let targets: Vec<_> = targets.iter().map(|to| share(&to.cluster, to.weight)).collect();
                write!(f, " → {}", targets.join(" or "))?;
            }
            RouteAction::Redirect { redirect, .. } => write!(f, " → redirect {}", redirect.code)?,
            RouteAction::Respond { status, .. } => write!(f, " → answer {status}")?,
        }
        if let Some(timeout) = self.timeout {
            write!(f, ", timeout {timeout:?}")?;
        }
        if self.retries != Retries::default() {
            write!(f, ", {} retries on {}", self.retries.attempts, self.retries.on.join(","))?;
        }
        for (cluster, percent) in &self.mirrors {
            write!(f, ", mirrored to {cluster} for {percent}")?;
        }
        if self.rewrite.is_some() {
            write!(f, ", rewritten")?;
        }
        if self.headers != Headers::default() {
            write!(f, ", headers changed")?;
        }
        write!(f, " ({})", self.place)
    }
}

fn share(cluster: &str, weight: u32) -> String {
    if weight == 0 { cluster.to_owned() } else { format!("{weight} × {cluster}") }
}

fn show_match(matches: &RequestMatch) -> String {
    let mut parts = Vec::new();
    let mut add = |name: &str, matched: &Option<StringMatch>| {
        if let Some(matched) = matched {
            parts.push(format!("{name} {}", show_string(matched)));
        }
    };
    add("method", &matches.method);
    add("path", &matches.uri);
    add("host", &matches.authority);
    add("scheme", &matches.scheme);
    let maps =
        [("header", &matches.headers), ("no header", &matches.without_headers), ("query", &matches.query)];
    for (what, map) in maps {
        for (name, matched) in map {
            let value = matched.as_ref().map_or_else(|| "present".to_owned(), show_string);
            parts.push(format!("{what} {name} {value}"));
        }
    }
    if parts.is_empty() { "all".to_owned() } else { parts.join(" and ") }
}

fn show_string(matched: &StringMatch) -> String {
    match matched {
        StringMatch::Exact(text) => format!("= {text}"),
        StringMatch::Prefix(text) => format!("= {text}…"),
        StringMatch::Regex(text) => format!("~ {text}"),
    }
}
