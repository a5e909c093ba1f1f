//! One recorded run for each way a run can go.

use super::build::*;
use super::extremes;
use crate::event::*;
use crate::verdict::{Cause, CauseKind};

pub struct Case {
    pub name: &'static str,
    pub jsonl: String,
    /// Too large to be kept as a file.
    pub large: bool,
}

/// All of them, made once.
pub fn all() -> &'static [Case] {
    static CASES: std::sync::LazyLock<Vec<Case>> = std::sync::LazyLock::new(make);
    &CASES
}

fn make() -> Vec<Case> {
    let small = |name, tape: Tape| Case { name, jsonl: tape.jsonl(), large: false };
    let large = |name, tape: Tape| Case { name, jsonl: tape.jsonl(), large: true };
    let mut cut_off = small("cut-off", held());
    let whole = cut_off.jsonl.match_indices('\n').nth(33).map(|(at, _)| at).unwrap();
    cut_off.jsonl.truncate(whole + 57);
    vec![
        small("held", held()),
        small("failed", failed()),
        small("inconclusive", inconclusive()),
        small("not-injected", not_injected()),
        small("not-steady", not_steady()),
        small("aborted", aborted()),
        small("interrupted", interrupted()),
        small("undo-failed", undo_failed()),
        small("world-not-up", world_not_up()),
        small("several-actions", several_actions()),
        small("hostile", extremes::hostile()),
        cut_off,
        large("ten-minutes", extremes::ten_minutes()),
        large("sixty-pods", extremes::sixty_pods()),
    ]
}

const VICTIM: &str = "microservice-b-v1-7d4f9-2x";

fn kill_plan() -> ActionPlan {
    plan("kill", "kill", "kill one pod of app=microservice-b,version=v1", 5_000, None)
}

fn kill(tape: &mut Tape) {
    tape.asked(0, "kill", &format!("{VICTIM} (picked by the seed from 1 ready)"));
    tape.proved(310, "kill", &format!("{VICTIM} no longer accepts connections and no sidecar lists it"));
}

fn replaced(tape: &mut Tape) {
    tape.pod("microservice-b-v1-7d4f9-8q", "microservice-b-v1", "v1", "ready");
    tape.undone(0, "kill", "microservice-b-v1 has 1 of 1 pods ready");
}

pub fn good() -> Vec<Judged> {
    vec![
        judged("answered as they should be", "run", Some(0.9985), Unit::Percent, Relation::AtLeast, 0.99),
        judged("quick", "during kill", Some(0.0146), Unit::Seconds, Relation::Below, 0.25),
        judged("v1 never met v2", "run", Some(0.0), Unit::Count, Relation::Equal, 0.0),
    ]
}

fn held() -> Tape {
    let mut tape = Tape::new(RunStarted {
        actions: vec![kill_plan()],
        objectives: plans(&good()),
        ..started("kill-under-load")
    });
    tape.up();
    tape.seconds(5, FAIR);
    tape.pod(VICTIM, "microservice-b-v1", "v1", "gone");
    kill(&mut tape);
    tape.second(Weather { failed: 3, ..FAIR });
    replaced(&mut tape);
    tape.seconds(2, FAIR);
    tape.step(0, "kill", ActionStep::Recovered { after_ms: 760 });
    tape.seconds(12, FAIR);
    tape.load_ended(vec![failure("503", "upstream connect error, reset before headers", 3)]);
    tape.calls(0.0);
    tape.mesh(&[(5, "503", "UC", 4)]);
    tape.judge(&good());
    tape.end(vec![]);
    tape
}

pub fn failure(status: &str, reason: &str, count: u64) -> ErrorSample {
    ErrorSample {
        at: START + 10_700,
        journey: "chain".into(),
        request: "GET /".into(),
        status: status.into(),
        reason: reason.into(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        request_id: "7c0f6a52-9f5e-4f0f-8d5e-0d6b4f3a2a11".into(),
        body: "upstream connect error or disconnect/reset before headers".into(),
        count,
    }
}

fn failed() -> Tape {
    let objectives = vec![
        judged("v1 never met v2", "run", Some(1_204.0), Unit::Count, Relation::Equal, 0.0),
        judged("answered as they should be", "run", Some(0.7103), Unit::Percent, Relation::AtLeast, 0.999),
        judged("quick", "run", Some(0.25001), Unit::Seconds, Relation::AtMost, 0.25),
        judged("busy", "run", Some(99.8), Unit::PerSecond, Relation::AtLeast, 90.0),
    ];
    let mut tape = Tape::new(RunStarted {
        objectives: plans(&objectives),
        expect: Some("failed".into()),
        ..started("pinning-switched-off")
    });
    tape.up();
    for second in 0..20 {
        tape.second(Weather {
            failed: 26 + second % 7,
            status: if second % 3 == 0 { "404" } else { "500" },
            ..FAIR
        });
    }
    tape.load_ended(vec![
        failure("404", "status 404, 200 wanted", 203),
        failure("500", "status 500, 200 wanted", 376),
    ]);
    tape.calls(301.0);
    tape.mesh(&[(2, "404", "-", 28), (3, "500", "-", 29), (3, "0", "DC", 1)]);
    tape.judge(&objectives);
    tape.say(Event::Collected {
        files: vec![Collected {
            path: "logs/gateway.log".into(),
            what: "log of the gateway's Envoy".into(),
            tail: vec![],
        }],
    });
    tape.end(vec![
        Cause::of("v1 never met v2", CauseKind::Failed, "“v1 never met v2”: 1204 requests crossed versions"),
        Cause::of(
            "answered as they should be",
            CauseKind::Failed,
            "“answered as they should be”: 71 % is less than 99.9 %",
        ),
        Cause::of("quick", CauseKind::Failed, "“quick”: 250.01 ms is more than 250 ms"),
    ]);
    tape
}

fn inconclusive() -> Tape {
    let objectives = vec![
        judged("answered as they should be", "run", None, Unit::Percent, Relation::AtLeast, 0.999),
        judged("v1 never met v2", "run", None, Unit::Count, Relation::Equal, 0.0),
        judged("busy", "run", Some(100.0), Unit::PerSecond, Relation::AtLeast, 90.0),
    ];
    let mut tape = Tape::new(RunStarted { objectives: plans(&objectives), ..started("metrics-gone") });
    tape.up();
    tape.seconds(4, FAIR);
    // Three seconds of which nothing is known, and one in which nothing was answered.
    tape.now += 3_000;
    tape.second(Weather { rate: 0, ..FAIR });
    tape.seconds(6, FAIR);
    tape.load_ended(vec![]);
    tape.say(Event::Warning { text: "6 of 7 sidecars were scraped in no second of the run".into() });
    tape.judge(&objectives);
    tape.end(vec![Cause::of(
        "answered as they should be",
        CauseKind::Inconclusive,
        "“answered as they should be”: no series matches in window run",
    )]);
    tape
}

fn not_injected() -> Tape {
    let abort =
        plan("abort", "abort", "answer 503 instead of microservice-c from app=nobody", 3_000, Some(4_000));
    let mut tape = Tape::new(RunStarted {
        actions: vec![abort],
        objectives: plans(&good()[..1]),
        ..started("selector-hits-nobody")
    });
    tape.up();
    tape.seconds(3, FAIR);
    tape.asked(0, "abort", "VirtualService pinning/microservice-c");
    tape.seconds(4, FAIR);
    tape.step(
        0,
        "abort",
        ActionStep::NotProved { reason: "no request was answered by the fault filter in 4 s".into() },
    );
    tape.undone(
        20,
        "abort",
        "VirtualService pinning/microservice-c is as it was and every proxy has acknowledged it",
    );
    tape.seconds(3, FAIR);
    tape.load_ended(vec![]);
    tape.judge(&good()[..1]);
    tape.end(vec![Cause::new(
        CauseKind::NotInjected,
        "“abort” had no effect: no request was answered by the fault filter in 4 s",
    )]);
    tape
}

fn not_steady() -> Tape {
    let mut tape = Tape::new(RunStarted {
        actions: vec![kill_plan()],
        objectives: plans(&good()),
        ..started("kill-under-load")
    });
    tape.phase(Phase::Check, 12);
    tape.phase(Phase::Up, 1_500);
    let steady = judged("success of chain", "before", Some(0.81), Unit::Percent, Relation::AtLeast, 0.999);
    tape.say(Event::Steady(steady));
    tape.phase(Phase::Steady, 3_000);
    tape.end(vec![Cause::new(
        CauseKind::NotSteady,
        "before the first action, success of chain was 81 %, at least 99.9 % is needed.",
    )]);
    tape
}

fn aborted() -> Tape {
    let scale = plan("scale", "scale", "scale microservice-c-v1 to 0", 3_000, Some(10_000));
    let mut tape =
        Tape::new(RunStarted { actions: vec![scale], objectives: plans(&good()), ..started("too-much") });
    tape.up();
    tape.seconds(3, FAIR);
    tape.asked(0, "scale", "microservice-c-v1, 1 before");
    tape.pod("microservice-c-v1-7d4f9-4x", "microservice-c-v1", "v1", "gone");
    tape.proved(600, "scale", "0 pods ready; microservice-c-v1-7d4f9-4x no longer accepts connections");
    tape.seconds(3, Weather { failed: 51, base_ms: 9.0, ..FAIR });
    tape.say(Event::Guard {
        name: "errors".into(),
        value: Some(51.0),
        text: "51/s of answers 503, above 50/s for 2 s".into(),
    });
    tape.pod("microservice-c-v1-7d4f9-9z", "microservice-c-v1", "v1", "ready");
    tape.undone(100, "scale", "microservice-c-v1 has 1 of 1 pods ready");
    tape.second(FAIR);
    tape.load_ended(vec![failure("503", "status 503, 200 wanted", 153)]);
    tape.end(vec![Cause::new(CauseKind::Aborted, "guard “errors”: 51/s of answers 503, above 50/s for 2 s")]);
    tape
}

fn interrupted() -> Tape {
    let delay = plan("delay", "delay", "delay calls to microservice-b by 200 ms", 3_000, Some(10_000));
    let mut tape = Tape::new(RunStarted {
        actions: vec![delay, kill_plan()],
        objectives: plans(&good()),
        ..started("slow-dependency")
    });
    tape.up();
    tape.seconds(3, FAIR);
    tape.asked(0, "delay", "VirtualService pinning/microservice-b");
    tape.proved(120, "delay", "98 requests with the flag DI at the callers' sidecars");
    tape.seconds(2, Weather { base_ms: 208.0, ..FAIR });
    tape.undone(
        0,
        "delay",
        "VirtualService pinning/microservice-b is as it was and every proxy has acknowledged it",
    );
    tape.end(vec![Cause::new(CauseKind::Interrupted, "Ctrl-C after 5.0 s of load")]);
    tape
}

fn undo_failed() -> Tape {
    let delay =
        plan("delay", "delay", "delay calls to microservice-b by 200 ms for 40 %", 2_000, Some(3_000));
    let mut tape = Tape::new(RunStarted {
        actions: vec![delay],
        objectives: plans(&good()[..2]),
        ..started("slow-dependency")
    });
    tape.up();
    tape.seconds(2, FAIR);
    tape.asked(0, "delay", "VirtualService pinning/microservice-b");
    tape.proved(120, "delay", "98 requests with the flag DI at the callers' sidecars");
    tape.seconds(3, Weather { base_ms: 208.0, ..FAIR });
    tape.step(0, "delay", ActionStep::UndoAsked);
    tape.step(
        900,
        "delay",
        ActionStep::UndoFailed {
            reason: "VirtualService pinning/microservice-b was changed by somebody else".into(),
        },
    );
    tape.seconds(3, Weather { base_ms: 208.0, ..FAIR });
    tape.load_ended(vec![]);
    tape.judge(&good()[..2]);
    tape.end(vec![
        Cause::new(CauseKind::UndoFailed, "“delay” could not be taken back: VirtualService pinning/microservice-b was changed by somebody else"),
        Cause::new(CauseKind::Inconclusive, "the load generator was the bottleneck: requests were sent late"),
    ]);
    tape
}

fn world_not_up() -> Tape {
    let mut tape = Tape::new(RunStarted { objectives: plans(&good()), ..started("version-pinning") });
    tape.phase(Phase::Check, 12);
    tape.say(Event::PhaseStarted { phase: Phase::Up });
    tape.pod("microservice-a-v1-7d4f9-0x", "microservice-a-v1", "v1", "CrashLoopBackOff: exit status 3");
    tape.now += 20_000;
    tape.say(Event::PhaseEnded { phase: Phase::Up, took_ms: 20_000 });
    tape.say(Event::Collected {
        files: vec![Collected {
            path: "logs/microservice-a-v1-7d4f9-0x.log".into(),
            what: "log of pod microservice-a-v1-7d4f9-0x, which died".into(),
            tail: vec!["listening on 127.64.1.2:8080".into(), "panic: no CHAOS_ADDR".into()],
        }],
    });
    tape.end(vec![Cause::new(
        CauseKind::WorldNotUp,
        "6 pods ready not reached within 20.0 s; last seen: microservice-a-v1-7d4f9-0x exits with status 3",
    )]);
    tape
}

/// Three that overlap, with long names, so that their labels fight for room.
fn several_actions() -> Tape {
    let mut tape = Tape::new(RunStarted {
        actions: vec![
            plan("slow-inventory", "delay", "delay calls to microservice-b by 120 ms", 4_000, Some(8_000)),
            plan(
                "failing-payments",
                "abort",
                "answer 503 instead of microservice-c for 20 %",
                5_000,
                Some(4_000),
            ),
            kill_plan(),
            plan(
                "misbehave",
                "misbehave",
                "every pod of app=microservice-c answers 500",
                40_000,
                Some(2_000),
            ),
        ],
        objectives: plans(&good()),
        ..started("everything-at-once")
    });
    tape.up();
    tape.seconds(4, FAIR);
    tape.asked(0, "slow-inventory", "VirtualService pinning/microservice-b");
    tape.proved(400, "slow-inventory", "41 requests with the flag DI");
    tape.second(Weather { base_ms: 120.0, ..FAIR });
    tape.asked(0, "failing-payments", "VirtualService pinning/microservice-c");
    tape.proved(90, "failing-payments", "12 requests with the flag FI");
    kill(&mut tape);
    tape.pod(VICTIM, "microservice-b-v1", "v1", "gone");
    tape.seconds(2, Weather { failed: 24, base_ms: 130.0, ..FAIR });
    replaced(&mut tape);
    tape.seconds(2, Weather { failed: 20, base_ms: 125.0, ..FAIR });
    tape.undone(0, "failing-payments", "VirtualService pinning/microservice-c is as it was");
    tape.seconds(3, Weather { failed: 1, status: "timeout", base_ms: 121.0, ..FAIR });
    tape.undone(0, "slow-inventory", "VirtualService pinning/microservice-b is as it was");
    tape.seconds(3, FAIR);
    tape.step(0, "slow-inventory", ActionStep::Recovered { after_ms: 1_000 });
    tape.step(0, "failing-payments", ActionStep::NotRecovered { within_ms: 2_000 });
    tape.seconds(5, FAIR);
    tape.load_ended(vec![
        failure("503", "status 503, 200 wanted", 88),
        failure("timeout", "no answer within 2 s", 3),
    ]);
    tape.calls(12.0);
    tape.judge(&good());
    tape.end(vec![Cause::new(CauseKind::Failed, "“failing-payments” was not recovered from within 2 s")]);
    tape
}
