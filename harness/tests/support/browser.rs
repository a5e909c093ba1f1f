//! A real headless Chromium, driven by its DevTools protocol over a pipe: no port, no driver, nothing beside the browser.
//!
//! ```text
//! Browser ──► Page: open, eval, hover, click, press ──► what it asked for, what its console said
//! ```
//! It is found by `MESHQUAKE_CHROMIUM` or on PATH. Everything here waits for the browser's own word, never for a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names it is known by.
const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome-headless-shell"];
/// A browser that says nothing for so long is hung.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the browser is, or why there is none.
pub fn find() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("MESHQUAKE_CHROMIUM").map(PathBuf::from) {
        let missing = format!("MESHQUAKE_CHROMIUM names {}, which is no file", named.display());
        return if named.is_file() { Ok(named) } else { Err(missing) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        format!("none of {} is on PATH; MESHQUAKE_CHROMIUM=/path/to/chromium names one", NAMES.join(", "))
    })
}

pub struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    last: u64,
    events: VecDeque<Value>,
    _profile: TempDir,
}

impl Browser {
    pub fn start(program: &Path) -> Result<Self, String> {
        let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
        // The protocol's descriptors are 3 and 4; the shell puts our two pipes there.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh"])
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--disable-extensions", "--disable-component-update"])
            .args(["--disable-background-networking", "--disable-sync", "--mute-audio"])
            // Containers have no namespaces to spare for a sandbox, and every page here is our own.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("it has no output")?);
        let (tell, messages) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                bytes.pop_if(|last| *last == 0);
                let Ok(message) = serde_json::from_slice(&bytes) else { break };
                if tell.send(message).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        Ok(Self { child, commands, messages, last: 0, events: VecDeque::new(), _profile: profile })
    }

    /// A page of its own, of so many pixels.
    pub fn page(&mut self, width: u32, height: u32) -> Page<'_> {
        let target = self.call(None, "Target.createTarget", json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().expect("a page has an id").to_owned();
        let attached = self.call(None, "Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        let session = attached["sessionId"].as_str().expect("a page has a session").to_owned();
        self.events.clear();
        let mut page = Page { browser: self, session, target, asked: vec![], complaints: vec![] };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.size(width, height);
        page
    }

    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let commands = self.commands.as_mut().expect("the pipe is open");
        let sent = commands.write_all(format!("{command}\0").as_bytes());
        sent.unwrap_or_else(|error| panic!("the browser is gone before {method}: {error}"));
        loop {
            let message = self.next(method);
            if message["id"] != self.last {
                self.events.push_back(message);
                continue;
            }
            assert!(message["error"].is_null(), "{method}: {}", message["error"]);
            return message["result"].clone();
        }
    }

    fn next(&mut self, waiting_for: &str) -> Value {
        let message = self.messages.recv_timeout(LIMIT);
        message.unwrap_or_else(|error| panic!("the browser says nothing to {waiting_for}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its pipe; whatever it has started ends with it.
        self.commands.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One page; it is closed when it goes.
pub struct Page<'browser> {
    browser: &'browser mut Browser,
    session: String,
    target: String,
    asked: Vec<String>,
    complaints: Vec<String>,
}

impl Page<'_> {
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, parameters)
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 600;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub fn prefers(&mut self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Whether the page's own scripts run from the next page on; [`Page::eval`] does in any case.
    pub fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !run}));
    }

    /// Opens it, and returns once it and all that it asked for is loaded.
    pub fn open(&mut self, url: &str) {
        self.asked.clear();
        self.complaints.clear();
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {}", opened["errorText"]);
        while !self.hear(|event| event["method"] == "Page.loadEventFired") {
            let event = self.browser.next("Page.navigate");
            self.browser.events.push_back(event);
        }
    }

    pub fn open_file(&mut self, path: &Path) {
        let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.open(&format!("file://{}", path.display()));
    }

    /// The value of an expression, in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let wanted = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", wanted);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    pub fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.textContent ?? null", json!(selector)));
        found.as_str().unwrap_or_else(|| panic!("the page has no {selector}")).to_owned()
    }

    pub fn hover(&mut self, x: f64, y: f64) {
        self.mouse("mouseMoved", x, y, "none");
    }

    /// In the middle of what the selector finds first, as a person would.
    pub fn click(&mut self, selector: &str) {
        let place = format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView({{block: 'center'}}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            json!(selector)
        );
        let place = self.eval(&place);
        let (x, y) = (place[0].as_f64().expect("x"), place[1].as_f64().expect("y"));
        self.mouse("mouseMoved", x, y, "none");
        self.mouse("mousePressed", x, y, "left");
        self.mouse("mouseReleased", x, y, "left");
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64, button: &str) {
        let clicks = u8::from(button != "none");
        let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": clicks});
        self.call("Input.dispatchMouseEvent", event);
    }

    /// A key by its name: `Tab`, `ArrowRight`, `Escape`.
    pub fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = match key {
                "Tab" => 9,
                "Escape" => 27,
                "ArrowLeft" => 37,
                "ArrowRight" => 39,
                other => panic!("no code is known for the key {other}"),
            };
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Every address that was asked for since the page was opened, its own first.
    pub fn asked(&mut self) -> Vec<String> {
        self.hear(|_| false);
        self.asked.clone()
    }

    /// Whatever went to the console as an error or a warning, and exceptions that nobody caught.
    pub fn complaints(&mut self) -> Vec<String> {
        self.hear(|_| false);
        self.complaints.clone()
    }

    /// Takes in what the browser told of meanwhile; whether something of it was wanted.
    fn hear(&mut self, wanted: impl Fn(&Value) -> bool) -> bool {
        let mut found = false;
        while let Some(event) = self.browser.events.pop_front() {
            if event["sessionId"] != self.session.as_str() {
                continue;
            }
            let told = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    self.asked.push(told["request"]["url"].as_str().unwrap_or_default().to_owned());
                }
                "Runtime.exceptionThrown" => self.complaints.push(told["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if told["type"] != "log" => self.complaints.push(told.to_string()),
                "Log.entryAdded" => self.complaints.push(told["entry"]["text"].to_string()),
                _ => {}
            }
            found |= wanted(&event);
        }
        found
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.browser.call(None, "Target.closeTarget", json!({"targetId": self.target}));
        }
    }
}
