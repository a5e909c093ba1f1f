//! What a person wrote wrong, and what is said about it: all of it at once.

use insta::assert_snapshot;
use meshquake_xds::model::{Mesh, Settings};
use meshquake_xds::source::Problem;

use crate::semantics::SERVICES;
use crate::support::objects;

/// Every problem of a mesh, one a line.
fn problems(text: &str) -> String {
    let mut all = objects("services.yaml", SERVICES, "shop");
    all.extend(objects("rules.yaml", text, "shop"));
    match Mesh::from_objects(&all, Settings::default()) {
        Ok((_, findings)) => {
            let inert = findings
                .inert
                .iter()
                .map(|used| format!("{}: inert {}: {}", used.place, used.field, used.why));
            let warnings = findings.warnings.iter().map(|problem| format!("warning {}", show(problem)));
            inert.chain(warnings).collect::<Vec<_>>().join("\n")
        }
        Err(problems) => problems.0.iter().map(show).collect::<Vec<_>>().join("\n"),
    }
}

fn show(problem: &Problem) -> String {
    let mut line = format!("{}: {}", problem.place, problem.title);
    for (word, text) in [("found", &problem.found), ("allowed", &problem.allowed), ("help", &problem.help)] {
        if let Some(text) = text {
            line.push_str(&format!("\n    {word}: {text}"));
        }
    }
    line
}

#[test]
fn a_wrong_field_hides_no_wrong_name() {
    assert_snapshot!(
        problems(
            "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  gateways: 5
  http:
    - route:
        - {destination: {host: b}, weight: heavy}
        - {destination: {host: nowhere}, weight: 5}
        - {destination: {host: 7}, weight: 5}
        - {destination: {host: b, port: {number: 81}}}
"
        ),
        @"
    rules.yaml:7: `spec.gateways` of VirtualService has a value of the wrong type
        found: `5`
        allowed: a list
    rules.yaml:10: `spec.http[].route[].weight` of VirtualService has a value of the wrong type
        found: the text `heavy`
        allowed: a whole number
    rules.yaml:11: unknown service `nowhere` in namespace `shop`
        allowed: a, b
    rules.yaml:12: `spec.http[].route[].destination.host` of VirtualService has a value of the wrong type
        found: `7`
        allowed: a text (quote numbers and true or false)
    rules.yaml:13: Service shop/b has no port 81
        allowed: 80, 90
    "
    );
}

#[test]
fn fields_unknown_refused_and_wrong() {
    assert_snapshot!(problems(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b, not_a_host]
  gatways: [mesh]
  http:
    - mach: []
      corsPolicy: {allowOrigins: []}
      timeout: 5 seconds
      match:
        - uri: {exact: /a, prefix: /b}
        - uri: {regex: '('}
        - headers: gold
      fault: {abort: {httpStatus: 42, percentage: {value: 101}}}
      route:
        - {destination: {subset: v1}, weight: -5}
        - {destination: {host: b}, weight: '50'}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: b
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUESTS}
    tls: {mode: SIMPLE}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far}
---
apiVersion: networking.istio.io/v2
kind: Gateway
metadata: {name: far}
---
apiVersion: networking.istio.io/v1
kind: VirtualSevice
metadata: {name: far}
"
    ));
}

#[test]
fn names_that_stand_for_nothing() {
    assert_snapshot!(problems(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [bb]
  gateways: [edge]
  http:
    - match: [{gateways: [gateway]}]
      route:
        - {destination: {host: b, subset: v3}, weight: 1}
        - {destination: {host: other.far, port: {number: 80}}, weight: 1}
        - {destination: {host: b, port: {number: 81}}, weight: 1}
        - {destination: {host: c}, weight: 1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first}
spec: {hosts: [b], http: [{route: [{destination: {host: b}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second}
spec: {hosts: [b, boo], http: [{route: [{destination: {host: b}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec: {host: b, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
"
    ));
}

/// What is unreadable itself does not make others wrong, and does not hide what else is.
#[test]
fn a_broken_rule_does_not_make_its_subsets_unknown() {
    assert_snapshot!(problems(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec: {hosts: [b], http: [{route: [{destination: {host: b, subset: v1}}], mirror: {host: x}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec: {host: b, subset: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, subsets: [{name: v1, labels: {version: v1}}, {name: v1, labels: {version: v2}}]}
"
    ));
}

#[test]
fn what_excludes_what() {
    assert_snapshot!(problems(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  http:
    - {route: [{destination: {host: b}}], redirect: {uri: /}}
    - {}
    - route: [{destination: {host: b}}, {destination: {host: b}, weight: 0}]
    - {redirect: {redirectCode: 304, port: 1, derivePort: FROM_REQUEST_PORT}, rewrite: {uri: /}}
    - fault: {abort: {httpStatus: 500, grpcStatus: OK}, delay: {fixedDelay: 1s}}
      retries: {attempts: 1, retryOn: '5xx,resett,503'}
      rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}
      route: [{destination: {host: b}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ports}
spec: {portLevelMtls: {'8080': {mode: DISABLE}, http: {mode: STRICT}}}
"
    ));
}

#[test]
fn what_is_doubtful_or_without_effect() {
    assert_snapshot!(problems(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b}
spec:
  hosts: [b]
  http:
    - match: [{sourceLabels: {version: v9}, statPrefix: x}, {sourceNamespace: far}]
      route: [{destination: {host: b, subset: v1}, weight: 1}, {destination: {host: b}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec: {host: b, subsets: [{name: v1, labels: {version: v7}}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: nobody}
spec: {selector: {matchLabels: {app: nobody}}, mtls: {mode: STRICT}}
"
    ));
}

#[test]
fn a_port_must_say_what_it_speaks() {
    assert_snapshot!(problems(
        "
apiVersion: v1
kind: Service
metadata: {name: mute}
spec: {ports: [{port: 80}, {name: dns, port: 53, protocol: UDP}, {name: web, port: 81}]}
"
    ));
}

#[test]
fn telemetry_turns_metrics_off_and_nothing_else() {
    assert_snapshot!(problems(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: much}
spec:
  targetRef: {kind: Gateway, name: x}
  tracing: [{randomSamplingPercentage: 10}]
  metrics:
    - providers: [{name: stackdriver}]
      reportingInterval: 5s
      overrides:
        - match: {metric: REQUEST_BYTES, mode: SERVER}
          disabled: 'yes'
        - match: {metric: GRPC_REQUEST_MESSAGES}
          tagOverrides: {response_code: {operation: REMOVE}}
        - match: {customMetric: mine}
"
    ));
}

#[test]
fn telemetry_that_is_doubtful_or_of_no_effect() {
    assert_snapshot!(problems(
        "
apiVersion: telemetry.istio.io/v1alpha1
kind: Telemetry
metadata: {name: nobody}
spec: {selector: {matchLabels: {app: nobody}}, accessLogging: [{disabled: true}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: gateway, namespace: istio-system}
spec: {selector: {matchLabels: {istio: ingressgateway}}}
"
    ));
    assert_snapshot!(problems(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: one}
spec: {}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: two}
spec: {}
"
    ));
}

#[test]
fn policies_of_access_that_cannot_be_followed() {
    assert_snapshot!(problems(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens}
spec:
  action: CUSTOM
  provider: {name: mine}
  rules:
    - from: [{source: {requestPrincipals: ['*'], ipBlocks: [10.0.0.0/8]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: vague}
spec:
  rules:
    - from: []
      to: [{operation: {}}]
      when: [{key: source.principle, values: [x]}, {key: connection.sni}]
    - to: [{operation: {ports: [http, '0', '80'], paths: ['books/{*}', '/books/{*}*', '/books/x{*}', '/{**}/{*}', '/{**}/end']}}]
"
    ));
}

#[test]
fn policies_of_access_that_are_doubtful() {
    assert_snapshot!(problems(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody}
spec: {selector: {matchLabels: {app: nobody}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing}
spec: {action: DENY}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: gateway, namespace: istio-system}
spec: {selector: {matchLabels: {istio: ingressgateway}}}
"
    ));
}
