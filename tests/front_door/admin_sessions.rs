//! The operator's way to sessions: the admin port, with its token.

use countersign::secret::SecretText;
use http::Method;
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};
use crate::house::House;
use crate::journal;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn without_a_token_it_is_shut_and_says_what_to_write() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    for (method, target) in
        [(Method::GET, "/sessions"), (Method::DELETE, "/sessions?all=true"), (Method::GET, "/sessions/x")]
    {
        let answer = ask(&house, method, target, Some("")).await;
        assert_eq!(answer.status, 403);
        assert!(answer.json()["message"].as_str().expect("a text").contains("admin: {token: {file: …}}"));
    }
    assert_eq!(browser.check("/").await.status, 200);
}

#[tokio::test]
async fn only_the_token_opens_it() {
    let house = opened().await;
    let browser = house.signed_in().await;
    let (longer, of_that_length) = (format!("{TOKEN}0"), format!("{}x", &TOKEN[..TOKEN.len() - 1]));
    for token in [None, Some(""), Some("x"), Some(&TOKEN[1..]), Some(&*longer), Some(&*of_that_length)] {
        for (method, target) in
            [(Method::GET, "/sessions"), (Method::DELETE, "/sessions?all=true"), (Method::DELETE, "/sessions/x")]
        {
            let answer = ask(&house, method, target, token).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{token:?}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let two = format!("Bearer {TOKEN}");
    let answer =
        admin(&house).ask(Method::GET, "/sessions", &[("authorization", &two), ("authorization", "Bearer x")]).await;
    assert_eq!(answer.status, 401);
    assert_eq!(ask(&house, Method::GET, "/sessions", Some(TOKEN)).await.status, 200);
    // On the main port there is no such thing.
    let main = house.browser().ask(Method::GET, "/sessions", &[("authorization", &two)]).await;
    assert_eq!(main.status, 404);
    assert_eq!(browser.check("/").await.status, 200);
    assert!(journal::all().contains("\"event\":\"admin_refusal\""));
    assert!(!journal::all().contains(TOKEN));
}

#[tokio::test]
async fn sessions_are_listed_by_their_pseudonyms() {
    let house = opened().await;
    let (ann, _other) = (house.signed_in().await, house.signed_in().await);
    become_bob(&house);
    let bob = house.signed_in().await;
    let all = listed(&house, "/sessions").await;
    assert_eq!(all.len(), 3);
    let anns = listed(&house, "/sessions?user=ann%40example.com").await;
    assert_eq!(anns.len(), 2);
    assert!(anns.iter().all(|one| one["user"] == "ann@example.com" && one["provider"] == "corp"));
    let sid = sid(&bob).await;
    let one = ask(&house, Method::GET, &format!("/sessions/{sid}"), Some(TOKEN)).await.json();
    assert_eq!((&one["sid"], &one["user"], &one["subject"]), (&json!(sid), &json!("bob@example.com"), &json!("bob-1")));
    assert_eq!(one["signed_in_at"], 1_800_000_000);
    assert!(one["ends_at"].as_u64() > one["idle_until"].as_u64());
    assert_eq!(listed(&house, "/sessions?user=nobody").await, Vec::<Value>::new());
    // To be looked at is no use of a session.
    let cookie = ann.cookie(crate::browser::SESSION).expect("a cookie");
    let text = ask(&house, Method::GET, "/sessions", Some(TOKEN)).await.body;
    assert!(!text.contains(&cookie));
    let fields: Vec<&String> = all[0].as_object().expect("a session").keys().collect();
    let known = ["address", "device", "ends_at", "idle_until", "provider", "sid", "signed_in_at", "subject", "user"];
    assert!(fields.iter().all(|field| known.contains(&field.as_str())), "{fields:?}");
}

#[tokio::test]
async fn sessions_are_ended_by_user_by_name_and_all_at_once() {
    let house = opened().await;
    let (one, two) = (house.signed_in().await, house.signed_in().await);
    become_bob(&house);
    let (bob, bobs_other) = (house.signed_in().await, house.signed_in().await);
    for browser in [&one, &two, &bob, &bobs_other] {
        assert_eq!(browser.check("/").await.status, 200);
    }
    let target = format!("/sessions/{}", sid(&bob).await);
    let answer = ask(&house, Method::DELETE, &target, Some(TOKEN)).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"ended": 1})));
    assert_eq!((bob.check("/").await.status, bobs_other.check("/").await.status), (302, 200));
    assert_eq!(ask(&house, Method::DELETE, &target, Some(TOKEN)).await.status, 404);
    assert_eq!(ask(&house, Method::GET, &target, Some(TOKEN)).await.status, 404);

    let answer = ask(&house, Method::DELETE, "/sessions?user=ann%40example.com", Some(TOKEN)).await;
    assert_eq!(answer.json(), json!({"ended": 2}));
    assert_eq!((one.check("/").await.status, bobs_other.check("/").await.status), (302, 200));
    assert_eq!(two.check("/").await.status, 302);

    let answer = ask(&house, Method::DELETE, "/sessions?all=true", Some(TOKEN)).await;
    assert_eq!(answer.json(), json!({"ended": 1}));
    assert_eq!(bobs_other.check("/").await.status, 302);
    assert_eq!(listed(&house, "/sessions").await, Vec::<Value>::new());
    let counted = house.admin("/metrics").await.body;
    assert!(counted.contains("countersign_sessions_revoked_total{cause=\"admin\"} 4\n"), "{counted}");
    let used = journal::all();
    assert!(used.lines().any(|line| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        line["event"] == "admin"
            && line["action"] == "end"
            && line["about"] == "ann@example.com"
            && line["sessions"] == 2
    }));
}

#[tokio::test]
async fn what_is_not_said_clearly_ends_nothing() {
    let house = opened().await;
    let browser = house.signed_in().await;
    for query in [
        "",
        "?all=false",
        "?all=1",
        "?usr=ann",
        "?user=",
        "?user=ann%40example.com&all=true",
        "?all=true&after=x",
        "?user=a&user=ann%40example.com",
        "?all=true&except=ann",
    ] {
        let answer = ask(&house, Method::DELETE, &format!("/sessions{query}"), Some(TOKEN)).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("misunderstood")), "{query}");
    }
    for query in ["?usr=ann", "?after=x", "?user=ann&after=x", "?all=true"] {
        assert_eq!(ask(&house, Method::GET, &format!("/sessions{query}"), Some(TOKEN)).await.status, 400, "{query}");
    }
    assert_eq!(browser.check("/").await.status, 200);
}

async fn opened() -> House {
    House::open_with(|settings| settings.admin.token = Some(SecretText::new(TOKEN.into()))).await
}

fn admin(house: &House) -> Browser {
    Browser::new(house.gateway.admin, house.clock.clone())
}

async fn ask(house: &House, method: Method, target: &str, token: Option<&str>) -> Answer {
    let header = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = header.iter().map(|header| ("authorization", &**header)).collect();
    admin(house).ask(method, target, &headers).await
}

async fn listed(house: &House, target: &str) -> Vec<Value> {
    let answer = ask(house, Method::GET, target, Some(TOKEN)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["sessions"].as_array().expect("a list").clone()
}

/// The pseudonym that workloads see.
async fn sid(browser: &Browser) -> String {
    let check = browser.check("/").await;
    crate::rc_token::claims(check.token())["sid"].as_str().expect("a sid").to_owned()
}

fn become_bob(house: &House) {
    house.idp.lie(|idp| {
        idp.user = json!({"sub": "bob-1", "email": "bob@example.com", "email_verified": true, "groups": ["ml"]});
    });
}

#[tokio::test]
async fn the_command_line_lists_and_ends_them() {
    let house = opened().await;
    let (one, two) = (house.signed_in().await, house.signed_in().await);
    become_bob(&house);
    let bob = house.signed_in().await;
    let bobs = sid(&bob).await;

    let (is_good, all) = countersign(&house, TOKEN, &["list"]).await;
    assert!(is_good, "{all}");
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(all.starts_with("SID ") && all.contains("2027-01-15T08:00:00Z") && all.contains(&bobs), "{all}");
    let (_, anns) = countersign(&house, TOKEN, &["list", "--user", "ann@example.com", "--json"]).await;
    let anns: Vec<Value> = anns.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(anns.len() == 2 && anns.iter().all(|one| one["user"] == "ann@example.com"), "{anns:?}");
    let (_, own) = countersign(&house, TOKEN, &["list", "--session", &bobs, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&own).expect("JSON")["sid"], json!(bobs));

    assert_eq!(countersign(&house, TOKEN, &["end", "--session", &bobs]).await, (true, "1 session ended\n".into()));
    assert_eq!((bob.check("/").await.status, one.check("/").await.status), (302, 200));
    let (is_good, complaint) = countersign(&house, TOKEN, &["end", "--session", &bobs]).await;
    assert!(!is_good && complaint.contains("there is no such session, or it has ended already"), "{complaint}");
    let (_, ended) = countersign(&house, TOKEN, &["end", "--user", "ann@example.com"]).await;
    assert_eq!(ended, "2 sessions ended\n");
    assert_eq!(two.check("/").await.status, 302);
    house.signed_in().await;
    assert_eq!(countersign(&house, TOKEN, &["end", "--all"]).await, (true, "1 session ended\n".into()));
    assert_eq!(countersign(&house, TOKEN, &["list"]).await, (true, "there are no sessions\n".into()));
    let (is_good, complaint) = countersign(&house, &TOKEN.replace('0', "1"), &["list"]).await;
    assert!(!is_good && complaint.contains("has another admin token than this configuration"), "{complaint}");
}

/// Whether it went well, and what it said.
async fn countersign(house: &House, token: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    let address = format!("http://{}", house.gateway.admin);
    command.arg("sessions").args(arguments).args(["--address", &address]).env_clear();
    for (name, value) in [
        ("PUBLIC_URL", "https://mesh.example.com"),
        ("PROVIDERS__0__ID", "corp"),
        ("PROVIDERS__0__ISSUER", "https://corp.example.com"),
        ("PROVIDERS__0__CLIENT_ID", "countersign"),
        ("PROVIDERS__0__CLIENT_AUTH", "none"),
        ("ADMIN__TOKEN", token),
    ] {
        command.env(format!("COUNTERSIGN_{name}"), value);
    }
    let output = command.output().await.expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("a text"))
}
