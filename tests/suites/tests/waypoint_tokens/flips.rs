//! Policies about tokens that change while something is under way: what would not be let in now is cut, everything else goes on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::{Process, until};
use suites::asked::{Issuer, Kind};
use suites::policy::PATIENCE;
use suites::traffic::dial;
use suites::waypoint::peers::peer;
use suites::waypoint::{Ground, HTTP, authorization_policy, service};

use super::{ISSUER, OTHER, WEB, authentication, bearer, inline, refuses};

/// A download that takes minutes; ends with its owner.
struct Download(Child);

impl Drop for Download {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A WebSocket; its server echoes.
struct Socket(TcpStream);

impl Socket {
    fn open(ground: &Ground, token: &str) -> Result<Self> {
        let mut stream = dial(&ground.pod("client"), (ground.vip("chat")?, HTTP).into())?;
        let head = format!(
            "GET /room HTTP/1.1\r\nhost: chat\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        ensure!(
            answer.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let mut socket = Self(stream);
        ensure!(
            socket.echoes(),
            "no echo on a WebSocket that was just opened"
        );
        Ok(socket)
    }

    /// Sends `hi`, masked with zeros, and reads it back.
    fn echoes(&mut self) -> bool {
        let mut back = [0; 4];
        self.0.write_all(b"\x81\x82\0\0\0\0hi").is_ok()
            && self.0.read_exact(&mut back).is_ok()
            && &back == b"\x81\x02hi"
    }

    /// Whether it ends without a word, in order or by a reset; one that is only silent does not.
    fn ends(&mut self) -> bool {
        match self.0.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// All that somebody has open.
struct Open {
    downloads: [Download; 2],
    socket: Socket,
}

fn download(ground: &Ground, name: &str, token: Option<&str>, http2: bool) -> Result<Download> {
    let client = ground.pod("client");
    let url = format!(
        "http://{}/stream?chunks=3000&every_ms=100&of={name}",
        ground.vip("web")?
    );
    let mut command = Command::new("curl");
    command
        .args(["-sSN", "-o", "/dev/null", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(token) = token {
        command.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    if http2 {
        command.arg("--http2-prior-knowledge");
    }
    Ok(Download(client.run(|| command.spawn())??))
}

impl Download {
    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Open {
    fn start(ground: &Ground, name: &str, token: &str) -> Result<Self> {
        let before = ground.requests("v");
        let downloads = [
            download(ground, name, Some(token), false)?,
            download(ground, name, Some(token), true)?,
        ];
        until("both downloads", PATIENCE, || {
            ground.requests("v") == before + 2
        })?;
        Ok(Self {
            downloads,
            socket: Socket::open(ground, token)?,
        })
    }

    fn goes_on(&mut self) -> bool {
        self.downloads.iter_mut().all(Download::runs) && self.socket.echoes()
    }

    fn is_cut(&mut self) -> Result<()> {
        until("both downloads end", PATIENCE, || {
            !self.downloads.iter_mut().any(Download::runs)
        })?;
        ensure!(self.socket.ends(), "the WebSocket went on");
        Ok(())
    }
}

fn chat_server(ground: &Ground, program: &str) -> Result<Process> {
    let pod = ground.pod("v1a");
    let server = pod.spawn([program, "serve", "9001", "chat"])?;
    pod.wait_listens(9001, PATIENCE)?;
    Ok(server)
}

/// Both services at once.
fn for_both(yaml: &str) -> String {
    yaml.replace(
        WEB,
        "targetRefs: [{kind: Service, group: '', name: web}, {kind: Service, group: '', name: chat}]",
    )
}

#[test]
fn streams_whose_token_would_not_let_them_in_now_are_cut() -> Result<()> {
    let Some(program) = peer("websockets", "peer") else {
        return Ok(());
    };
    let chat = service("chat")
        .named_port("http-ws", HTTP, 9001)
        .backend("v1a");
    let Some(ground) = Ground::builder("flips").service(chat).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let _server = chat_server(&ground, &program.display().to_string())?;
        let folder = ground.lab.folder();
        let one = Issuer::new(folder, ISSUER, "one", Kind::Ec)?;
        let two = Issuer::new(folder, OTHER, "two", Kind::Ec)?;
        let third = Issuer::new(folder, "https://third.example", "third", Kind::Ec)?;
        let (of_one, of_two) = (inline(ISSUER, &[&one], "")?, inline(OTHER, &[&two], "")?);
        let tokens = |rules: &[&String]| {
            let rules: Vec<String> = rules.iter().map(|it| (*it).clone()).collect();
            ground.apply("tokens", &for_both(&authentication(&rules)))
        };
        let deny = |team: &str| {
            let spec = format!("{WEB}\naction: DENY\nrules:\n- when: [{{key: 'request.auth.claims[team]', values: [{team}]}}]\n");
            ground.apply("deny", &for_both(&authorization_policy("deny", &spec)))
        };
        tokens(&[&of_one, &of_two])?;
        deny("nobody")?;
        let of_team = |issuer: &Issuer, team: &str| issuer.sign(&issuer.token("alice").claim("team", team));
        let (red, blue, green) = (of_team(&one, "red")?, of_team(&one, "blue")?, of_team(&two, "green")?);
        let before = ground.requests("v");
        let mut without = download(&ground, "without", None, false)?;
        until("a download without a token", PATIENCE, || ground.requests("v") == before + 1)?;
        let mut reds = Open::start(&ground, "red", &red)?;
        let mut blues = Open::start(&ground, "blue", &blue)?;
        let mut greens = Open::start(&ground, "green", &green)?;

        // What a claim now denies.
        deny("red")?;
        reds.is_cut()?;
        ensure!(blues.goes_on() && greens.goes_on() && without.runs(), "more was cut than the team");
        refuses(&bearer(&ground, "/", &red), 403, super::DENIED)?;

        // Another issuer concerns nobody who has shown a token; of who has shown none nothing is known.
        let of_third = inline(third.issuer(), &[&third], "")?;
        tokens(&[&of_one, &of_two, &of_third])?;
        until("the download without a token ends", PATIENCE, || !without.runs())?;
        ensure!(blues.goes_on() && greens.goes_on(), "another issuer's tokens were cut");

        // The issuer is believed no more.
        tokens(&[&of_two])?;
        blues.is_cut()?;
        ensure!(greens.goes_on(), "another issuer's tokens were cut");
        refuses(&bearer(&ground, "/", &blue), 401, "Jwt issuer is not configured")?;

        // It has other keys.
        tokens(&[&inline(OTHER, &[&third], "")?])?;
        greens.is_cut()?;
        refuses(&bearer(&ground, "/", &green), 401, super::NO_KEY)?;
        Ok(())
    })
}

#[test]
fn a_request_that_has_no_answer_yet_is_told() -> Result<()> {
    let Some(ground) = Ground::builder("unanswered").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let issuer = Issuer::new(ground.lab.folder(), ISSUER, "one", Kind::Ec)?;
        let rule = |more: &str| inline(ISSUER, &[&issuer], more);
        ground.apply("tokens", &authentication(&[rule("")?]))?;
        let token = issuer.sign(&issuer.token("alice").claim("aud", "shop"))?;
        for echo in ground.echoes.values() {
            echo.delay(PATIENCE * 10);
        }
        let (taken_back, denied) = std::thread::scope(|scope| {
            let ask = |path: &'static str| {
                let before = ground.requests("v");
                let request = bearer(&ground, path, &token);
                let handle = scope.spawn(move || request.send());
                until("it is under way", PATIENCE, || ground.requests("v") == before + 1)?;
                anyhow::Ok(handle)
            };
            let join = |handle: std::thread::ScopedJoinHandle<'_, Result<_>>| {
                handle.join().ok().context("a thread panicked")?
            };
            let request = ask("/taken/back")?;
            ground.apply("tokens", &authentication(&[rule(", audiences: [shop]")?]))?;
            let taken_back = join(request)?;
            let request = ask("/denied")?;
            let deny = format!("{WEB}\naction: DENY\nrules:\n- from: [{{source: {{requestPrincipals: ['*/alice']}}}}]\n");
            ground.apply("deny", &authorization_policy("deny", &deny))?;
            anyhow::Ok((taken_back, join(request)?))
        })?;
        ensure!(taken_back.status == 503, "{taken_back:?}");
        let line = ground.access("/taken/back")?;
        ensure!(line.details == "policy_changed", "{line:?}");
        super::is_refusal(&denied, 403, super::DENIED)?;
        let line = ground.access("/denied")?;
        ensure!(line.details.contains("policy[deny]"), "{line:?}");
        Ok(())
    })
}
