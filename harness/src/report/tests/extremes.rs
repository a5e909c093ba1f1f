//! Runs at the limits: hostile names, a long run, many pods.

use super::build::*;
use super::cases::{failure, good};
use crate::event::*;
use crate::verdict::{Cause, CauseKind};

const EVIL: &str = "<script>alert(1)</script>\"'|`*_[x](javascript:alert(2))\n@everyone \u{202e}kcatta\u{1b}[2J שלום 混沌 & done";

/// Whatever a person can put into a name, everywhere a name can stand.
pub fn hostile() -> Tape {
    let long = "y".repeat(300);
    let mut objectives = good();
    objectives[0].name = EVIL.into();
    objectives[0].promql = vec![EVIL.into()];
    objectives[1].name = long.clone();
    objectives[1].reason = EVIL.into();
    let mut begun = started("hostile");
    begun.scenario = EVIL.into();
    begun.about = format!("{EVIL} {long}");
    begun.run = EVIL.into();
    begun.text = format!("</pre></details>{EVIL}");
    begun.world = EVIL.into();
    begun.again = EVIL.into();
    begun.versions.push((EVIL.into(), long.clone()));
    begun.inert.push(EVIL.into());
    begun.actions =
        vec![plan(EVIL, "kill", EVIL, 2_000, Some(1_000)), plan(&long, "abort", &long, 3_000, None)];
    begun.objectives = plans(&objectives);
    let mut tape = Tape::new(begun);
    tape.up();
    tape.pod(EVIL, EVIL, "v1", EVIL);
    tape.pod(&long, &long, EVIL, "ready");
    tape.seconds(2, FAIR);
    tape.asked(0, EVIL, EVIL);
    tape.proved(100, EVIL, EVIL);
    tape.seconds(2, Weather { failed: 5, status: "<b>bold</b>", ..FAIR });
    tape.undone(0, EVIL, &long);
    tape.say(Event::Guard { name: EVIL.into(), value: None, text: EVIL.into() });
    tape.seconds(2, FAIR);
    let mut sample = failure("<b>bold</b>", EVIL, 10);
    sample.body = format!("{EVIL}{long}");
    sample.trace_id = EVIL.into();
    tape.load_ended(vec![sample]);
    tape.say(Event::Calls {
        edges: vec![Call {
            source: EVIL.into(),
            source_version: "v1".into(),
            destination: long.clone(),
            destination_version: EVIL.into(),
            requests: 3.0,
            errors: 3.0,
            rate: 0.5,
            p95_ms: None,
            crossing: true,
        }],
    });
    tape.say(Event::Warning { text: EVIL.into() });
    tape.say(Event::Collected {
        files: vec![
            Collected { path: "javascript:alert(3)".into(), what: EVIL.into(), tail: vec![EVIL.into()] },
            Collected { path: "../../etc/passwd".into(), what: "out of the folder".into(), tail: vec![] },
        ],
    });
    tape.judge(&objectives);
    tape.end(vec![Cause::new(CauseKind::Failed, EVIL), Cause::new(CauseKind::Inconclusive, EVIL)]);
    tape
}

/// Ten minutes with a spike of one second that must stay visible.
pub fn ten_minutes() -> Tape {
    let delay = plan("delay", "delay", "delay calls to microservice-b by 80 ms", 120_000, Some(240_000));
    let mut tape =
        Tape::new(RunStarted { actions: vec![delay], objectives: plans(&good()), ..started("soak") });
    tape.up();
    tape.seconds(120, FAIR);
    tape.asked(0, "delay", "VirtualService pinning/microservice-b");
    tape.proved(300, "delay", "98 requests with the flag DI at the callers' sidecars");
    tape.seconds(240, Weather { base_ms: 84.0, ..FAIR });
    tape.undone(0, "delay", "VirtualService pinning/microservice-b is as it was");
    tape.seconds(100, FAIR);
    tape.second(Weather { failed: 17, base_ms: 900.0, ..FAIR });
    tape.seconds(139, FAIR);
    tape.load_ended(vec![]);
    tape.calls(0.0);
    tape.judge(&good());
    tape.end(vec![]);
    tape
}

/// Twenty workloads with three pods each, one of which comes and goes for ten minutes.
pub fn sixty_pods() -> Tape {
    let mut tape = Tape::new(RunStarted { objectives: plans(&good()), ..started("large") });
    tape.phase(Phase::Up, 9_000);
    for workload in 0..20 {
        for pod in 0..3 {
            let name = format!("service-{workload:02}");
            tape.pod(&format!("{name}-6b8c7d9f5-{pod}abcd"), &name, "v1", "ready");
        }
    }
    tape.load(Some(100.0));
    for minute in 0..10 {
        for second in 0..60 {
            let failed = u64::from(second % 9 == 0) * 4;
            tape.second(Weather {
                failed,
                status: ["503", "504", "timeout", "reset", "404", "429", "500"][second % 7],
                ..FAIR
            });
        }
        tape.pod(
            "service-07-6b8c7d9f5-1abcd",
            "service-07",
            "v1",
            if minute % 2 == 0 { "readiness probe failed" } else { "ready" },
        );
    }
    tape.load_ended(vec![]);
    let call = |index: usize, to: usize| Call {
        source: format!("service-{index:02}"),
        source_version: "v1".into(),
        destination: format!("service-{to:02}"),
        destination_version: "v1".into(),
        requests: 6_000.0 / (index + 1) as f64,
        errors: if to == 7 { 240.0 } else { 0.0 },
        rate: 100.0 / (index + 1) as f64,
        p95_ms: Some(6.5),
        crossing: false,
    };
    tape.say(Event::Calls { edges: (1..20).map(|index| call((index - 1) / 2, index)).collect() });
    tape.judge(&good());
    tape.end(vec![]);
    tape
}
