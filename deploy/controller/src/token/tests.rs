//! Tokens of the file: how they are made, found, revoked, and what is no token.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::{HeaderMap, HeaderValue};

use super::{
    Authenticator, Caller, CreateError, MAX_TOKEN_BYTES, Options, TokenError, TrustedNodes, create,
};
use crate::ca::testkit::Folder;

mod jwt;

/// An authenticator whose time goes on by a second with each call.
struct Known {
    authenticator: Authenticator,
    instant: Instant,
    now: SystemTime,
}

impl Known {
    fn new(folder: &Folder) -> Self {
        Self::with(folder, Options::default())
    }

    fn with(folder: &Folder, options: Options) -> Self {
        let now = net::clock::wall();
        Self {
            authenticator: Authenticator::load(folder.path(), options, now).unwrap(),
            instant: net::clock::now(),
            now,
        }
    }

    fn ask(&mut self, headers: &HeaderMap) -> Result<Caller, TokenError> {
        self.instant += Duration::from_secs(1);
        self.authenticator
            .authenticate_at(headers, self.instant, self.now)
    }

    fn ask_token(&mut self, token: &str) -> Result<Caller, TokenError> {
        self.ask(&headers(&[&format!("Bearer {token}")]))
    }
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("authorization", HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn make(folder: &Folder, account: &str) -> String {
    let now = net::clock::wall();
    create(folder.path(), "default", account, None, None, now).unwrap()
}

#[test]
fn a_token_stands_for_whom_it_was_made_for() {
    let folder = Folder::absent();
    let now = net::clock::wall();
    let bound = create(
        folder.path(),
        "istio-system",
        "ztunnel",
        Some("node-1.example"),
        None,
        now,
    )
    .unwrap();
    let plain = make(&folder, "client");
    assert!(bound.starts_with("ambit_") && bound.len() == "ambit_".len() + 43);
    let mut known = Known::new(&folder);
    let caller = Caller {
        namespace: "istio-system".into(),
        service_account: "ztunnel".into(),
        node: Some("node-1.example".into()),
        expires: None,
    };
    assert_eq!(known.ask_token(&bound), Ok(caller.clone()));
    assert_eq!(
        known.ask(&headers(&[&format!("bEARER  {bound}")])),
        Ok(caller)
    );
    let caller = known.ask_token(&plain).unwrap();
    assert_eq!((&*caller.service_account, caller.node), ("client", None));
}

#[test]
fn only_hashes_are_kept_and_only_the_owner_can_read_them() {
    let folder = Folder::absent();
    let token = make(&folder, "client");
    let mode = |name| {
        fs::metadata(folder.file(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(""), mode("tokens")), (0o700, 0o600));
    assert!(!folder.read("tokens").contains(&token));
    assert!(!folder.read("tokens").contains(&token["ambit_".len()..]));
}

#[test]
fn a_running_controller_knows_new_tokens_and_forgets_removed_ones() {
    let folder = Folder::absent();
    let mut known = Known::new(&folder);
    let first = make(&folder, "one");
    assert_eq!(&*known.ask_token(&first).unwrap().service_account, "one");
    let second = make(&folder, "two");
    assert_eq!(&*known.ask_token(&second).unwrap().service_account, "two");
    let kept: String = folder
        .read("tokens")
        .lines()
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect();
    folder.write("tokens", &kept);
    assert_eq!(known.ask_token(&first), Err(TokenError::Unknown));
    assert_eq!(&*known.ask_token(&second).unwrap().service_account, "two");
    fs::remove_file(folder.file("tokens")).unwrap();
    assert_eq!(known.ask_token(&second), Err(TokenError::Unknown));
}

#[test]
fn the_file_is_looked_at_ten_times_a_second_at_most() {
    let folder = Folder::absent();
    let (instant, now) = (net::clock::now(), net::clock::wall());
    let authenticator = Authenticator::load(folder.path(), Options::default(), now).unwrap();
    let ask = |token: &str, millis| {
        let later = instant + Duration::from_secs(5) + Duration::from_millis(millis);
        authenticator.authenticate_at(&headers(&[&format!("Bearer {token}")]), later, now)
    };
    assert_eq!(ask("ambit_x", 0), Err(TokenError::Unknown));
    let token = make(&folder, "client");
    assert_eq!(ask(&token, 99), Err(TokenError::Unknown));
    assert!(ask(&token, 100).is_ok());
}

#[test]
fn a_token_ends_when_it_was_said_to() {
    let folder = Folder::absent();
    let now = net::clock::wall();
    let ttl = Duration::from_secs(60);
    let token = create(folder.path(), "default", "client", None, Some(ttl), now).unwrap();
    let mut known = Known::new(&folder);
    let expires = known.ask_token(&token).unwrap().expires.unwrap();
    assert_eq!(expires.duration_since(now).unwrap().as_secs(), 60);
    known.now += ttl + Duration::from_secs(1);
    assert_eq!(
        known.ask_token(&token),
        Err(TokenError::Expired { at: expires })
    );
    // Making another one removes it.
    create(folder.path(), "default", "other", None, None, known.now).unwrap();
    assert_eq!(folder.read("tokens").lines().count(), 1);
    assert_eq!(known.ask_token(&token), Err(TokenError::Unknown));
    let never = create(
        folder.path(),
        "default",
        "client",
        None,
        Some(Duration::MAX),
        now,
    );
    assert!(matches!(never, Err(CreateError::End)), "{never:?}");
}

#[test]
fn tokens_are_made_at_once_by_many() {
    let folder = Folder::absent();
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let folder = &folder;
                scope.spawn(move || make(folder, &format!("client-{i}")))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let mut known = Known::new(&folder);
    for (i, token) in tokens.iter().enumerate() {
        let caller = known.ask_token(token).unwrap();
        assert_eq!(*caller.service_account, format!("client-{i}"));
    }
}

#[test]
fn names_that_no_object_has_are_refused_and_nothing_is_written() {
    let folder = Folder::absent();
    let now = net::clock::wall();
    let (long, longer) = ("a".repeat(64), "a".repeat(254));
    for (namespace, account, node) in [
        ("", "a", None),
        ("a.b", "a", None),
        ("A", "a", None),
        (&*long, "a", None),
        ("a", "", None),
        ("a", "-a", None),
        ("a", "a b", None),
        ("a", "a\nb", None),
        ("a", "a/b", None),
        ("a", &longer, None),
        ("a", "a", Some("")),
        ("a", "a", Some("-")),
        ("a", "a", Some("one two")),
        ("a", "a", Some("\u{e9}")),
    ] {
        let made = create(folder.path(), namespace, account, node, None, now);
        assert!(
            matches!(made, Err(CreateError::Name { .. })),
            "{namespace} {account} {node:?}"
        );
    }
    assert!(!folder.path().exists());
}

#[test]
fn a_line_that_cannot_be_read_costs_only_itself() {
    let folder = Folder::absent();
    let (first, second) = (make(&folder, "one"), make(&folder, "two"));
    let text = folder.read("tokens");
    let (one, two) = text.split_once('\n').unwrap();
    let torn = &two[..40];
    folder.write(
        "tokens",
        &format!(
            "# a remark\n\n{one} more\nwhat\n{}\n{two}{torn}",
            &one[..70]
        ),
    );
    let mut known = Known::new(&folder);
    assert_eq!(known.ask_token(&first), Err(TokenError::Unknown));
    assert!(known.ask_token(&second).is_ok());
    // A remark stays when a token is made.
    make(&folder, "three");
    assert!(folder.read("tokens").starts_with("# a remark\n"));
}

#[test]
fn a_file_that_others_may_write_to_is_not_believed() {
    let folder = Folder::absent();
    let token = make(&folder, "client");
    fs::set_permissions(folder.file("tokens"), Permissions::from_mode(0o602)).unwrap();
    let mut known = Known::new(&folder);
    assert_eq!(known.ask_token(&token), Err(TokenError::Unknown));
    fs::set_permissions(folder.file("tokens"), Permissions::from_mode(0o600)).unwrap();
    assert!(known.ask_token(&token).is_ok());
}

#[test]
fn one_header_with_one_bearer_token_and_nothing_else_is_taken() {
    let folder = Folder::absent();
    let token = make(&folder, "client");
    let mut known = Known::new(&folder);
    let good = format!("Bearer {token}");
    assert_eq!(known.ask(&HeaderMap::new()), Err(TokenError::Missing));
    assert_eq!(
        known.ask(&headers(&[&good, &good])),
        Err(TokenError::Several)
    );
    for bad in [
        token.clone(),
        format!("Basic {token}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer\t{token}"),
        format!("{good} {token}"),
        format!("{good},{good}"),
        format!("BearerBearer {token}"),
    ] {
        assert_eq!(
            known.ask(&headers(&[&bad])),
            Err(TokenError::NotBearer),
            "{bad}"
        );
    }
    let mut odd = HeaderMap::new();
    odd.insert(
        "authorization",
        HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    );
    assert_eq!(known.ask(&odd), Err(TokenError::NotBearer));
    let found = "Bearer ".len() + MAX_TOKEN_BYTES;
    let long = format!("Bearer {}", "a".repeat(MAX_TOKEN_BYTES));
    assert_eq!(
        known.ask(&headers(&[&long])),
        Err(TokenError::TooLong { found })
    );
    assert_eq!(
        known.ask_token("eyJhbGciOiJub25lIn0.e30."),
        Err(TokenError::NoIssuer)
    );
    assert!(known.ask(&headers(&[&good])).is_ok());
}

#[test]
fn trusted_nodes_are_read_from_a_list() {
    let caller = |namespace: &str, account: &str| Caller {
        namespace: Arc::from(namespace),
        service_account: Arc::from(account),
        node: None,
        expires: None,
    };
    let both: TrustedNodes = " istio-system/ztunnel ,mesh/node-proxy,".parse().unwrap();
    assert!(both.contains(&caller("istio-system", "ztunnel")));
    assert!(both.contains(&caller("mesh", "node-proxy")));
    assert!(!both.contains(&caller("mesh", "ztunnel")));
    assert!(
        !"".parse::<TrustedNodes>()
            .unwrap()
            .contains(&caller("istio-system", "ztunnel"))
    );
    assert_eq!("istio-system/ztunnel".parse(), Ok(TrustedNodes::default()));
    for bad in ["ztunnel", "a/b/c", "/ztunnel", "istio-system/", "*/*"] {
        assert!(bad.parse::<TrustedNodes>().is_err(), "{bad}");
    }
}

#[test]
fn tokens_that_somebody_else_wrote_are_not_believed() {
    let folder = Folder::absent();
    let token = make(&folder, "client");
    let path = folder.file("tokens");
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    } else {
        fs::set_permissions(&path, Permissions::from_mode(0o606)).unwrap();
    }
    let mut known = Known::new(&folder);
    assert_eq!(known.ask_token(&token), Err(TokenError::Unknown));
    if is_root {
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    } else {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    assert!(known.ask_token(&token).is_ok());
}
