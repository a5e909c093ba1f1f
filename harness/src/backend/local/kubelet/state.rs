//! The state of a pod's containers, and the status that Kubernetes would show for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::local::spawn::Exit;
use crate::backend::local::store::draft::now;

/// Why a pod is not ready whose app listens where nobody looks for it.
pub const ASTRAY: &str = "ListensElsewhere";

/// What a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Waiting { reason: &'static str, message: String },
    Running { since: String },
}

/// How a container ended the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub exit: Exit,
    pub at: String,
    /// The last lines of its log.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub image: String,
    pub phase: Phase,
    pub ready: bool,
    /// What the last probe found, while it is not ready.
    pub found: String,
    /// It listens where nobody looks for it, and will not be ready because of that.
    pub astray: bool,
    pub restarts: u32,
    pub last: Option<Ended>,
    pub pid: Option<u32>,
}

impl Container {
    pub fn new(name: &str, image: &str) -> Self {
        let phase = Phase::Waiting { reason: "ContainerCreating", message: String::new() };
        let (name, image) = (name.to_owned(), image.to_owned());
        Self {
            name,
            image,
            phase,
            ready: false,
            found: String::new(),
            astray: false,
            restarts: 0,
            last: None,
            pid: None,
        }
    }

    fn status(&self) -> Value {
        let state = match &self.phase {
            Phase::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
            Phase::Running { since } => json!({"running": {"startedAt": since}}),
        };
        let last = match &self.last {
            None => json!({}),
            Some(Ended { exit, at, message }) => {
                let (code, signal) = match *exit {
                    Exit::Code(code) => (code, None),
                    Exit::Signal(number) => (128 + number, Some(number)),
                    Exit::Unknown => (255, None),
                };
                let reason = if code == 0 { "Completed" } else { "Error" };
                let mut ended =
                    json!({"exitCode": code, "reason": reason, "message": message, "finishedAt": at});
                if let Some(signal) = signal {
                    ended["signal"] = signal.into();
                }
                json!({"terminated": ended})
            }
        };
        let mut status = json!({"name": self.name, "image": self.image, "imageID": "", "ready": self.ready,
            "started": matches!(self.phase, Phase::Running { .. }), "restartCount": self.restarts,
            "state": state, "lastState": last});
        if let Some(pid) = self.pid {
            status["containerID"] = format!("process://{pid}").into();
        }
        status
    }

    /// Why it is not ready, in one line.
    fn complaint(&self) -> String {
        let said = match &self.phase {
            Phase::Waiting { reason, message } if message.is_empty() => (*reason).to_owned(),
            Phase::Waiting { reason, message } => format!("{reason}: {message}"),
            Phase::Running { .. } if self.found.is_empty() => "not ready yet".to_owned(),
            Phase::Running { .. } => self.found.clone(),
        };
        format!("{}: {said}", self.name)
    }
}

/// A pod's containers: the app, unless it is a gateway, and the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodState {
    pub address: String,
    pub app: Option<Container>,
    pub sidecar: Option<Container>,
}

impl PodState {
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.app.iter().chain(&self.sidecar)
    }

    pub fn is_ready(&self) -> bool {
        self.containers().all(|c| c.ready && matches!(c.phase, Phase::Running { .. }))
    }

    /// The status; times of conditions that did not change are kept from `before`.
    pub fn status(&self, before: &Value) -> Value {
        let ready = self.is_ready();
        // What a sidecar lacks is of no interest while the app is what keeps the pod from getting ready.
        let failing = self.app.as_ref().filter(|app| app.astray || app.last.is_some() && !app.ready);
        let unready: Vec<String> = match failing {
            Some(app) => vec![app.complaint()],
            None => self.containers().filter(|c| !c.ready).map(Container::complaint).collect(),
        };
        let astray = self.app.as_ref().is_some_and(|app| app.astray);
        let condition = |kind: &str, holds: bool, message: &str| {
            let state = if holds { "True" } else { "False" };
            let old = before["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
            let since = old.filter(|c| c["status"] == state).map(|c| c["lastTransitionTime"].clone());
            let since = since.unwrap_or_else(|| now().into());
            let mut condition = json!({"type": kind, "status": state, "lastTransitionTime": since});
            if !holds {
                condition["reason"] = if astray { ASTRAY } else { "ContainersNotReady" }.into();
                condition["message"] = message.into();
            }
            condition
        };
        let said = unready.join("; ");
        let started = self.containers().all(|c| matches!(c.phase, Phase::Running { .. }) || c.restarts > 0);
        let start = before.get("startTime").cloned().unwrap_or_else(|| now().into());
        let statuses: Vec<Value> = self.containers().map(Container::status).collect();
        json!({"phase": if started { "Running" } else { "Pending" }, "startTime": start,
            "podIP": self.address, "podIPs": [{"ip": self.address}], "hostIP": "127.0.0.1",
            "conditions": [condition("PodScheduled", true, ""), condition("Initialized", true, ""),
                condition("ContainersReady", ready, &said), condition("Ready", ready, &said)],
            "containerStatuses": statuses})
    }
}

/// The pauses before restarts: none for the first, then longer and longer, as the kubelet does it.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    reset: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration, reset: Duration) -> Self {
        Self { first, longest, reset, next: Duration::ZERO }
    }

    /// The pause after a run of `lasted`.
    pub fn pause(&mut self, lasted: Duration) -> Duration {
        if lasted >= self.reset {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = if pause.is_zero() { self.first } else { (pause * 2).min(self.longest) };
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_come_ever_more_slowly() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(10), seconds(30), seconds(600));
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause(seconds(1)).as_secs()).collect();
        assert_eq!(pauses, [0, 10, 20, 30, 30]);
        assert_eq!(backoff.pause(seconds(600)).as_secs(), 0, "after a long time without a crash");
    }

    #[test]
    fn the_status_is_one_that_kubernetes_clients_read() {
        let mut app = Container::new("web", "shop");
        app.last = Some(Ended { exit: Exit::Signal(9), at: now(), message: "bye".into() });
        app.phase = Phase::Waiting { reason: "CrashLoopBackOff", message: "back-off 10s".into() };
        app.restarts = 2;
        let mut sidecar = Container::new("istio-proxy", "envoy");
        sidecar.phase = Phase::Running { since: now() };
        sidecar.ready = true;
        let mut state = PodState { address: "127.64.1.1".into(), app: Some(app), sidecar: Some(sidecar) };
        let status = state.status(&Value::Null);
        let read: k8s_openapi::api::core::v1::PodStatus = serde_json::from_value(status.clone()).unwrap();
        let ready = read.conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(ready.status, "False");
        assert_eq!(ready.message.unwrap(), "web: CrashLoopBackOff: back-off 10s");
        let last = read.container_statuses.unwrap()[0].last_state.clone().unwrap().terminated.unwrap();
        assert_eq!((last.exit_code, last.signal), (137, Some(9)));

        // One cause is told, not what follows from it.
        state.sidecar.as_mut().unwrap().ready = false;
        let why = |state: &PodState| state.status(&Value::Null)["conditions"][3].clone();
        assert_eq!(why(&state)["message"], "web: CrashLoopBackOff: back-off 10s");
        state.sidecar.as_mut().unwrap().ready = true;
        state.app.as_mut().unwrap().astray = true;
        assert_eq!(why(&state)["reason"], ASTRAY);

        let app = state.app.as_mut().unwrap();
        app.phase = Phase::Running { since: now() };
        (app.ready, app.astray) = (true, false);
        assert!(super::super::super::deployment::is_ready(&json!({"status": state.status(&status)})));
    }
}
