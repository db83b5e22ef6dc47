//! A headless Chromium, led by chromedriver in the words of WebDriver (W3C, WebDriver 2). Without
//! them a test says so and passes, unless `PEERBOUND_REQUIRE_PEERS=1`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a browser may take for anything: a loaded machine may need a minute for its start.
const PATIENCE: Duration = Duration::from_secs(90);

/// The key that names an element in WebDriver's answers (WebDriver 2, 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of a browser. Dropping it ends the browser and its driver.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
    _profile: TempDir,
}

impl Browser {
    /// Opens a window of this size; `None` where there is no chromedriver and none is demanded.
    pub(crate) fn open(width: u32, height: u32, scheme: Scheme) -> Result<Option<Self>> {
        let spawned = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = match spawned {
            Ok(driver) => driver,
            Err(error) if std::env::var_os("PEERBOUND_REQUIRE_PEERS").is_none() => {
                eprintln!("skipped: chromedriver cannot be started ({error}); install chromium-driver");
                return Ok(None);
            }
            Err(error) => bail!("chromedriver cannot be started: {error}"),
        };
        let port = port_of(&mut driver)?;
        let profile = tempfile::tempdir()?;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .build()
            .into();
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        arguments.extend((scheme == Scheme::Dark).then(|| "--force-dark-mode".to_owned()));
        let mut browser =
            Self { driver, session: format!("http://127.0.0.1:{port}"), agent, _profile: profile };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let answer = browser.post("/session", &wanted)?;
        let id = answer["sessionId"].as_str().context("a session id")?.to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        // A headless window has a frame of its own; what counts is the page inside.
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", &metrics)?;
        Ok(Some(browser))
    }

    /// Opens a file, as a double click on it would.
    pub(crate) fn visit(&self, file: &Path) -> Result<()> {
        self.post("/url", &json!({"url": format!("file://{}", file.canonicalize()?.display())}))?;
        Ok(())
    }

    /// Opens a page that somebody serves.
    pub(crate) fn visit_address(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({"url": url}))?;
        Ok(())
    }

    /// Switches scripts off or on for pages that are opened from here on.
    pub(crate) fn allow_scripts(&self, allowed: bool) -> Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": !allowed}))
    }

    /// Evaluates an expression in the page.
    pub(crate) fn evaluate(&self, expression: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": format!("return {expression};"), "args": []}))
    }

    /// Presses keys, as a user does.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        let presses: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]}))?;
        Ok(())
    }

    /// Clicks on the middle of the first element that a selector finds.
    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        let element = self.element(selector)?;
        let step = json!([
            {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": {ELEMENT: element}},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]);
        self.post(
            "/actions",
            &json!({"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": step}]}),
        )?;
        Ok(())
    }

    /// Returns the visible text of the first element that a selector finds.
    pub(crate) fn text(&self, selector: &str) -> Result<String> {
        let element = self.element(selector)?;
        let text = self.get(&format!("/element/{element}/text"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Takes a picture of the window.
    pub(crate) fn screenshot(&self, file: &Path) -> Result<()> {
        let picture = self.get("/screenshot")?;
        let png = base64::engine::general_purpose::STANDARD.decode(picture.as_str().context("a picture")?)?;
        ensure!(png.starts_with(b"\x89PNG"), "a picture that is no PNG");
        std::fs::write(file, png)?;
        Ok(())
    }

    /// Returns what the page complained of: errors and warnings on its console.
    pub(crate) fn complaints(&self) -> Result<Vec<String>> {
        self.log("browser")
    }

    /// Returns the addresses that a page from a file asked for, other than its own. The browser itself
    /// begins with a page of its own, which asks for a lot.
    pub(crate) fn requests(&self) -> Result<Vec<String>> {
        let mut requests = Vec::new();
        for entry in self.log("performance")? {
            let event: Value = serde_json::from_str(&entry)?;
            if event["message"]["method"] == "Network.requestWillBeSent" {
                let request = &event["message"]["params"];
                let url = request["request"]["url"].as_str().unwrap_or_default();
                let by_a_file = request["documentURL"].as_str().is_some_and(|by| by.starts_with("file:"));
                if by_a_file && request["documentURL"] != url {
                    requests.push(url.to_owned());
                }
            }
        }
        Ok(requests)
    }

    fn log(&self, kind: &str) -> Result<Vec<String>> {
        let entries = self.post("/se/log", &json!({"type": kind}))?;
        let entries = entries.as_array().context("a log")?;
        Ok(entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<()> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))?;
        Ok(())
    }

    fn element(&self, selector: &str) -> Result<String> {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}))?;
        Ok(found[ELEMENT].as_str().with_context(|| format!("no element {selector}"))?.to_owned())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut answer = self.agent.post(format!("{}{path}", self.session)).send_json(body)?;
        value_of(path, answer.body_mut().read_json()?)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut answer = self.agent.get(format!("{}{path}", self.session)).call()?;
        value_of(path, answer.body_mut().with_config().limit(64 << 20).read_json()?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when its session is deleted; then it can go, too.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// How a reader has set up the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

fn value_of(path: &str, mut answer: Value) -> Result<Value> {
    let value = answer["value"].take();
    ensure!(value["error"].is_null(), "{path}: {}: {}", value["error"], value["message"]);
    Ok(value)
}

/// Reads from the driver's first lines which port it took.
fn port_of(driver: &mut Child) -> Result<u16> {
    let out = driver.stdout.take().context("it is piped")?;
    let end = Instant::now() + PATIENCE;
    let mut lines = BufReader::new(out).lines();
    while let Some(line) = lines.next().transpose()? {
        if let Some((_, port)) = line.rsplit_once("started successfully on port ") {
            // What it says later must go somewhere, or it stops when the pipe is full.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(port.trim_end_matches('.').parse()?);
        }
        ensure!(Instant::now() < end, "chromedriver names no port");
    }
    bail!("chromedriver ended at once")
}
