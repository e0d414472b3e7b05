//! Temporary.
use crate::{
    backend::Backend, browser::Browser, dex::Dex, envoy::*, oidc_provider::OidcProvider, part::free_port, wire,
};
#[tokio::test]
async fn dex_form() {
    let backend = Backend::start().await;
    let cb = format!("http://localhost:{}/oauth2/callback", backend.port());
    let t = std::time::Instant::now();
    let dex = Dex::start(&cb).await;
    eprintln!("dex {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let b = Browser::open().await;
    eprintln!("browser {:?}", t.elapsed());
    b.go(&format!(
        "{}/auth?client_id=countersign&response_type=code&scope=openid&redirect_uri={cb}&state=1",
        dex.issuer()
    ))
    .await;
    b.sign_in_at_dex("ann").await;
    let r = b.received().await;
    eprintln!("{} {:?} {:?}", r.path, b.cookie_names().await, t.elapsed());
    eprintln!("{}", b.fetch("/x", serde_json::json!({"Kubeflow_Userid": "evil"})).await);
    eprintln!("{}", b.websocket(&format!("ws://localhost:{}/k", backend.port())).await);
    for _ in 0..3 {
        let tab = b.new_tab().await;
        b.go(&format!("http://localhost:{}/t", backend.port())).await;
        b.turn_to(&tab).await;
    }
}
#[tokio::test]
async fn op() {
    let backend = Backend::start().await;
    let cb = format!("http://localhost:{}/oauth2/callback", backend.port());
    let t = std::time::Instant::now();
    let op = OidcProvider::start(&cb, &format!("http://localhost:{}/out", backend.port())).await;
    eprintln!("op {:?}", t.elapsed());
    let b = Browser::open().await;
    b.go(&format!("{}/auth?client_id=countersign&response_type=code&scope=openid+email+groups&redirect_uri={cb}&state=1&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256", op.issuer())).await;
    b.fill("input[name=login]", "ann").await;
    b.fill("input[name=password]", "any").await;
    b.click("button[type=submit]").await;
    b.click("input[value=consent] ~ button[type=submit]").await;
    let r = b.received().await;
    eprintln!("{}", r.path);
    b.go(&format!(
        "{}/session/end?client_id=countersign&post_logout_redirect_uri=http://localhost:{}/out",
        op.issuer(),
        backend.port()
    ))
    .await;
    b.click("button[value=yes]").await;
    let r = b.received().await;
    eprintln!("{}", r.path);
    eprintln!("{:?}", op.asked());
}
#[tokio::test]
async fn envoy_alone() {
    let t = std::time::Instant::now();
    let p = Ports { envoy: free_port(), countersign: free_port(), backend: free_port() };
    for o in [Variant::default(), Variant { checks_over_http2: true, max_stream_duration: Some("1s") }] {
        let _e = Envoy::start(&p, o).await;
        eprintln!("envoy {:?}", t.elapsed());
        eprintln!("{:?}", wire::get(p.envoy, "/", &[]).await);
    }
}
