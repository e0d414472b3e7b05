//! Chromium, new and empty, and what a person does with it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, TimeoutConfiguration, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

use crate::backend::Received;
use crate::dex::PASSWORD;
use crate::part::{PATIENCE, Part, accepts, empty_folder, eventually, free_port, on_path};
use crate::tls;

/// A browser with a profile of its own.
pub(crate) struct Browser {
    client: Client,
    session: String,
    port: u16,
    driver: Part,
}

impl Browser {
    /// Opens one.
    pub(crate) async fn open() -> Self {
        let (port, folder) = (free_port(), empty_folder());
        let mut command = Command::new(on_path(&["chromedriver"]));
        // Chromium leaves things behind; there they go with the test.
        command.arg(format!("--port={port}")).env("TMPDIR", folder.path());
        let profile = folder.path().join("profile").display().to_string();
        let mut driver = Part::start("chromedriver", folder, &mut command);
        driver.await_ready(|| accepts(port)).await;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("Chromium does not open: {error}\n{}", driver.log_tail()));
        let patience = TimeoutConfiguration::new(Some(PATIENCE), Some(PATIENCE), Some(Duration::ZERO));
        client.update_timeouts(patience).await.expect("timeouts");
        let session = client.session_id().await.expect("a session").expect("its id");
        Self { client, session, port, driver }
    }

    /// Types an address, and waits until what it leads to has loaded.
    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// The address bar.
    pub(crate) async fn address(&self) -> Url {
        self.client.current_url().await.expect("an address")
    }

    /// What is to be read on the page.
    pub(crate) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// Waits for an element.
    pub(crate) async fn sees(&self, css: &str) -> Element {
        eventually(&format!("{css} on the page"), || async {
            match self.client.find(Locator::Css(css)).await {
                Ok(element) => Ok(element),
                Err(_) => Err(self.scene().await),
            }
        })
        .await
    }

    /// Waits until the page says this.
    pub(crate) async fn reads(&self, words: &str) {
        eventually(&format!("{words:?} on the page"), || async {
            let text = self.text().await;
            if text.contains(words) { Ok(()) } else { Err(self.scene().await) }
        })
        .await;
    }

    /// Waits until the address bar holds this address.
    pub(crate) async fn arrives(&self, url: &str) {
        eventually(&format!("arriving at {url}"), || async {
            if self.address().await.as_str() == url { Ok(()) } else { Err(self.scene().await) }
        })
        .await;
    }

    /// Clicks.
    pub(crate) async fn click(&self, css: &str) {
        self.sees(css).await.click().await.unwrap_or_else(|error| panic!("{css} cannot be clicked: {error}"));
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        self.sees(css).await.send_keys(text).await.unwrap_or_else(|error| panic!("{css} takes no text: {error}"));
    }

    /// Fills in Dex's form and sends it.
    pub(crate) async fn sign_in_at_dex(&self, name: &str) {
        self.fill("#login", &format!("{name}@example.com")).await;
        self.fill("#password", PASSWORD).await;
        self.click("#submit-login").await;
    }

    /// Fills in oidc-provider's form, and answers its question whether we may know.
    pub(crate) async fn sign_in_at_oidc_provider(&self, name: &str) {
        self.fill("input[name=login]", name).await;
        self.fill("input[name=password]", "any").await;
        self.click("button[type=submit]").await;
        self.click("input[value=consent] ~ button[type=submit]").await;
    }

    /// Fills in Keycloak's form and sends it.
    pub(crate) async fn sign_in_at_keycloak(&self, name: &str) {
        let field = self.sees("#username").await;
        // It remembers who tried before.
        field.clear().await.expect("a field");
        field.send_keys(name).await.expect("a field");
        self.fill("#password", PASSWORD).await;
        self.click("#kc-login").await;
    }

    /// The request that brought the page before us, as the workload received it.
    pub(crate) async fn received(&self) -> Received {
        let shown = self.sees("#received").await.text().await.expect("text");
        serde_json::from_str(&shown).expect("the workload's JSON")
    }

    /// Runs a script that ends with `done(value)`.
    pub(crate) async fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        let script = format!("const done = arguments[arguments.length - 1];\n{script}");
        self.client.execute_async(&script, arguments).await.unwrap_or_else(|error| panic!("{error} in\n{script}"))
    }

    /// What `fetch` gives to a script on this page: `{status, type, body, redirected}`; it follows no redirect.
    pub(crate) async fn fetch(&self, path: &str, headers: Value) -> Value {
        self.script(
            "fetch(arguments[0], {headers: arguments[1], redirect: 'manual'})
               .then(async it => done({status: it.status, type: it.headers.get('content-type'), body: await it.text()}),
                     error => done({error: String(error)}));",
            vec![json!(path), headers],
        )
        .await
    }

    /// Opens a WebSocket from this page, sends a word, and says what came back: `{echo}` or `{closed}`.
    pub(crate) async fn websocket(&self, url: &str) -> Value {
        self.script(
            "const socket = new WebSocket(arguments[0]);
             socket.onopen = () => socket.send('hello');
             socket.onmessage = it => { done({echo: it.data}); socket.close(); };
             socket.onclose = it => done({closed: it.code});",
            vec![json!(url)],
        )
        .await
    }

    /// The cookies that would go to the current page, `HttpOnly` ones too, as a `Cookie` header.
    pub(crate) async fn cookie_header(&self) -> String {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        let pairs: Vec<String> = cookies.iter().map(|it| format!("{}={}", it.name(), it.value())).collect();
        pairs.join("; ")
    }

    /// The names of those cookies.
    pub(crate) async fn cookie_names(&self) -> Vec<String> {
        let cookies = self.client.get_all_cookies().await.expect("cookies");
        cookies.iter().map(|it| it.name().to_owned()).collect()
    }

    /// Forgets the cookies that would go to the current page.
    pub(crate) async fn forget_cookies(&self) {
        self.client.delete_all_cookies().await.expect("no cookies");
    }

    /// The arrow that points to the left.
    pub(crate) async fn back(&self) {
        self.client.back().await.expect("a page before this one");
    }

    /// Puts a frame into this page in the place of all else, and says what is to be read in it; nothing, if the page there
    /// may not be framed.
    pub(crate) async fn framed(&self, url: &str) -> Option<String> {
        self.script(
            "const frame = document.createElement('iframe');
             frame.onload = () => done(null);
             frame.src = arguments[0];
             document.body.replaceChildren(frame);",
            vec![json!(url)],
        )
        .await;
        self.client.enter_frame(0).await.expect("a frame");
        let address = self.client.execute("return location.href", vec![]).await.expect("an address");
        let text = self.text().await;
        self.client.enter_parent_frame().await.expect("the page");
        // What Chromium has in the place of such a page.
        (address != "chrome-error://chromewebdata/").then_some(text)
    }

    /// Opens a tab and turns to it.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let tab = self.client.new_window(true).await.expect("a tab").handle;
        self.turn_to(&tab).await;
        tab
    }

    /// The tab before us.
    pub(crate) async fn tab(&self) -> WindowHandle {
        self.client.window().await.expect("a tab")
    }

    /// Turns to a tab.
    pub(crate) async fn turn_to(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.expect("the tab");
    }

    /// With `UPDATE_SCREENSHOTS` set: keeps a picture of the page for the documentation.
    pub(crate) async fn picture(&self, name: &str) {
        if std::env::var_os("UPDATE_SCREENSHOTS").is_none() {
            return;
        }
        // As tall as the page, within reason; the window has a frame around what it shows.
        self.client.set_window_size(1000, 640).await.expect("a size");
        let page = self.client.execute("return document.documentElement.scrollHeight", vec![]).await.expect("a height");
        let frame = self.client.execute("return outerHeight - innerHeight", vec![]).await.expect("a height");
        let height = page.as_u64().zip(frame.as_u64()).map_or(640, |(page, frame)| page.min(1100) + frame);
        self.client.set_window_size(1000, u32::try_from(height).expect("small")).await.expect("a size");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images");
        std::fs::create_dir_all(folder).expect("a folder");
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(format!("{folder}/{name}.png"), png).expect("a file");
    }

    /// For a failure: where we are and what is to be read there.
    async fn scene(&self) -> String {
        format!("{}\n{}", self.address().await, self.text().await)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends Chromium only when it is asked to; killed first, it would leave it behind.
        let ask = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(
                stream,
                "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                self.session
            )?;
            // One byte of the answer: it is over.
            stream.read_exact(&mut [0])
        };
        if let Err(error) = ask() {
            eprintln!("Chromium may be left running: {error}\n{}", self.driver.log_tail());
        }
    }
}

fn capabilities(profile: &str) -> Capabilities {
    let options = json!({
        "binary": on_path(&["chromium", "chromium-browser", "google-chrome"]),
        "args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            // The rig is all there is; a style sheet that asks for a font elsewhere is answered at once.
            "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
            format!("--ignore-certificate-errors-spki-list={}", tls::fingerprint()),
            "--no-proxy-server", "--window-size=1000,640", format!("--user-data-dir={profile}"),
        ],
    });
    Capabilities::from_iter([("goog:chromeOptions".to_owned(), options)])
}
