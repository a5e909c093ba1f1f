//! The specification of a pod: one process on this machine, with its Envoy.

use meshquake_xds::fields::{
    COUNT, Field, Format, LABEL, NAME, PORT, Shape, TEXT, TEXT_MAP, TEXTS, choice, honoured, inert, refused,
};

const ONE_NODE: &str = "there is one node, and everything runs on it";
const NO_IMAGE: &str = "no image is pulled: world.yaml says what runs";
const NO_CONTAINER: &str = "processes run as the user who started meshquake, without a container around them";
const NO_LIMITS: &str = "processes share the machine: neither requests nor limits are enforced";
const NO_MOUNTS: &str = "a process has no mounts of its own: give values by the environment";
const NO_TERMINAL: &str = "processes have no terminal";
const HOSTS_FILE: &str = "names are resolved by a hosts file that every pod gets";
const OWN_ADDRESS: &str = "a pod has its own addresses on loopback, and no others";
const ONE_PROCESS: &str = "a pod is one process and its Envoy";
const NO_CLAIMS: &str = "there are no devices to claim";

const RESOURCES: Shape = Shape::Object(&[
    inert("requests", Shape::Map(&Shape::Quantity), NO_LIMITS),
    inert("limits", Shape::Map(&Shape::Quantity), NO_LIMITS),
    refused("claims", NO_CLAIMS),
]);

const POD_SECURITY: Shape = Shape::Object(&[
    inert("appArmorProfile", Shape::Any, NO_CONTAINER),
    inert("fsGroup", COUNT, NO_CONTAINER),
    inert("fsGroupChangePolicy", TEXT, NO_CONTAINER),
    inert("runAsGroup", COUNT, NO_CONTAINER),
    inert("runAsNonRoot", Shape::Bool, NO_CONTAINER),
    inert("runAsUser", COUNT, NO_CONTAINER),
    inert("seLinuxChangePolicy", TEXT, NO_CONTAINER),
    inert("seLinuxOptions", Shape::Any, NO_CONTAINER),
    inert("seccompProfile", Shape::Any, NO_CONTAINER),
    inert("supplementalGroups", Shape::Any, NO_CONTAINER),
    inert("supplementalGroupsPolicy", TEXT, NO_CONTAINER),
    refused("sysctls", "the kernel's settings are the machine's own"),
    refused("windowsOptions", "this is not Windows"),
]);

const CONTAINER_SECURITY: Shape = Shape::Object(&[
    inert("allowPrivilegeEscalation", Shape::Bool, NO_CONTAINER),
    inert("appArmorProfile", Shape::Any, NO_CONTAINER),
    inert("capabilities", Shape::Any, NO_CONTAINER),
    refused("privileged", "no process here gets more rights than its user has"),
    inert("procMount", TEXT, NO_CONTAINER),
    inert("readOnlyRootFilesystem", Shape::Bool, NO_CONTAINER),
    inert("runAsGroup", COUNT, NO_CONTAINER),
    inert("runAsNonRoot", Shape::Bool, NO_CONTAINER),
    inert("runAsUser", COUNT, NO_CONTAINER),
    inert("seLinuxOptions", Shape::Any, NO_CONTAINER),
    inert("seccompProfile", Shape::Any, NO_CONTAINER),
    refused("windowsOptions", "this is not Windows"),
]);

const OTHER_HOST: &str = "a probe asks the pod itself";

const HEADER: Shape = Shape::Object(&[honoured("name", NAME).required(), honoured("value", TEXT).required()]);

/// Seconds and counts of a probe begin at 1, delays at 0.
const FROM_ONE: Shape = Shape::Integer { min: 1, max: i32::MAX as i64 };

const PROBE: Shape = Shape::Object(&[
    honoured(
        "httpGet",
        Shape::Object(&[
            honoured("path", TEXT),
            honoured("port", Shape::IntegerOrText).required(),
            honoured(
                "scheme",
                Shape::Choice(&["HTTP"], &[("HTTPS", "apps speak plain HTTP behind their sidecar")]),
            ),
            honoured("httpHeaders", Shape::List(&HEADER)),
            refused("host", OTHER_HOST),
        ]),
    ),
    honoured(
        "tcpSocket",
        Shape::Object(&[honoured("port", Shape::IntegerOrText).required(), refused("host", OTHER_HOST)]),
    ),
    honoured("exec", Shape::Object(&[honoured("command", TEXTS).required()])),
    refused("grpc", "ask by `httpGet` or `tcpSocket`"),
    honoured("initialDelaySeconds", COUNT),
    honoured("periodSeconds", FROM_ONE),
    honoured("timeoutSeconds", FROM_ONE),
    honoured("successThreshold", FROM_ONE),
    honoured("failureThreshold", FROM_ONE),
    refused("terminationGracePeriodSeconds", "the pod's own holds in all cases"),
]);

const KEY_OF: Shape = Shape::Object(&[
    honoured("name", NAME).required(),
    honoured("key", NAME).required(),
    honoured("optional", Shape::Bool),
]);
const ALL_OF: Shape = Shape::Object(&[honoured("name", NAME).required(), honoured("optional", Shape::Bool)]);

const VALUE_FROM: Shape = Shape::OneOf(&[
    honoured("configMapKeyRef", KEY_OF),
    honoured("secretKeyRef", KEY_OF),
    honoured(
        "fieldRef",
        Shape::Object(&[honoured("fieldPath", NAME).required(), inert("apiVersion", TEXT, "there is one")]),
    ),
    refused("resourceFieldRef", "neither requests nor limits are enforced"),
    refused("fileKeyRef", NO_MOUNTS),
]);

const VARIABLE: Shape = Shape::Object(&[
    honoured("name", NAME).required(),
    honoured("value", TEXT),
    honoured("valueFrom", VALUE_FROM),
]);

const VARIABLES_FROM: Shape = Shape::Object(&[
    honoured("configMapRef", ALL_OF),
    honoured("secretRef", ALL_OF),
    honoured("prefix", TEXT),
]);

const CONTAINER_PORT: Shape = Shape::Object(&[
    honoured("name", LABEL),
    honoured("containerPort", PORT).required(),
    honoured(
        "protocol",
        Shape::Choice(&["TCP"], &[("UDP", "sidecars carry TCP only"), ("SCTP", "sidecars carry TCP only")]),
    ),
    refused("hostIP", OWN_ADDRESS),
    refused("hostPort", OWN_ADDRESS),
]);

const CONTAINER: Shape = Shape::Object(&[
    honoured("name", Shape::Text(Format::Label)).required(),
    honoured("image", NAME).required(),
    honoured("command", TEXTS),
    honoured("args", TEXTS),
    honoured("env", Shape::List(&VARIABLE)),
    honoured("envFrom", Shape::List(&VARIABLES_FROM)),
    honoured("ports", Shape::List(&CONTAINER_PORT)),
    honoured("readinessProbe", PROBE),
    honoured("livenessProbe", PROBE),
    honoured("startupProbe", PROBE),
    inert("imagePullPolicy", choice(&["Always", "IfNotPresent", "Never"]), NO_IMAGE),
    inert("resources", RESOURCES, NO_LIMITS),
    inert("resizePolicy", Shape::Any, NO_LIMITS),
    inert("securityContext", CONTAINER_SECURITY, NO_CONTAINER),
    inert("terminationMessagePath", TEXT, "the log is kept whole"),
    inert("terminationMessagePolicy", TEXT, "the log is kept whole"),
    inert("stdin", Shape::Bool, NO_TERMINAL),
    inert("stdinOnce", Shape::Bool, NO_TERMINAL),
    inert("tty", Shape::Bool, NO_TERMINAL),
    refused("lifecycle", "hooks do not run on `local` yet; a pod that is to end gets SIGTERM"),
    refused("restartPolicy", "only the pod has one"),
    refused("restartPolicyRules", "only the pod has a restart policy"),
    refused("volumeDevices", NO_MOUNTS),
    refused("volumeMounts", NO_MOUNTS),
    refused("workingDir", "a path inside of an image is no path of this machine"),
]);

pub(super) const POD_SPEC: &[Field] = &[
    honoured("containers", Shape::List(&CONTAINER)).required(),
    honoured("serviceAccountName", NAME),
    honoured("terminationGracePeriodSeconds", COUNT),
    honoured(
        "restartPolicy",
        Shape::Choice(
            &["Always"],
            &[
                ("OnFailure", "a Deployment's pods always restart"),
                ("Never", "a Deployment's pods always restart"),
            ],
        ),
    ),
    refused("initContainers", ONE_PROCESS),
    refused("ephemeralContainers", ONE_PROCESS),
    refused("volumes", NO_MOUNTS),
    refused("activeDeadlineSeconds", "a Deployment's pods have no deadline"),
    inert("affinity", Shape::Any, ONE_NODE),
    inert(
        "automountServiceAccountToken",
        Shape::Bool,
        "no pod gets a token: there is no API server to show it to",
    ),
    refused("dnsConfig", HOSTS_FILE),
    refused("dnsPolicy", HOSTS_FILE),
    inert("enableServiceLinks", Shape::Bool, "names of services are never put into the environment"),
    refused("hostAliases", HOSTS_FILE),
    refused("hostIPC", NO_CONTAINER),
    refused("hostNetwork", OWN_ADDRESS),
    refused("hostPID", NO_CONTAINER),
    inert("hostUsers", Shape::Bool, NO_CONTAINER),
    refused("hostname", "a pod's name is its own"),
    refused("hostnameOverride", "a pod's name is its own"),
    inert("imagePullSecrets", Shape::Any, NO_IMAGE),
    inert("nodeName", TEXT, ONE_NODE),
    inert("nodeSelector", TEXT_MAP, ONE_NODE),
    inert("os", Shape::Any, ONE_NODE),
    inert("overhead", Shape::Any, NO_LIMITS),
    inert("preemptionPolicy", TEXT, ONE_NODE),
    inert("priority", Shape::Any, ONE_NODE),
    inert("priorityClassName", TEXT, ONE_NODE),
    refused("readinessGates", "readiness is what the probe says"),
    refused("resourceClaims", NO_CLAIMS),
    inert("resources", RESOURCES, NO_LIMITS),
    inert("runtimeClassName", TEXT, NO_CONTAINER),
    inert("schedulerName", TEXT, ONE_NODE),
    refused("schedulingGates", "every pod starts at once"),
    inert("securityContext", POD_SECURITY, NO_CONTAINER),
    refused("serviceAccount", "write `serviceAccountName`"),
    refused("setHostnameAsFQDN", "a pod's name is its own"),
    refused("shareProcessNamespace", ONE_PROCESS),
    refused("subdomain", "a pod's name is its own"),
    inert("tolerations", Shape::Any, ONE_NODE),
    inert("topologySpreadConstraints", Shape::Any, ONE_NODE),
];
