//! What only the gRPC door does: notes for the gateway, messages that are none, and being shut.

use std::sync::Arc;

use countersign::config::{DoorSettings, TlsFiles};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Code;

use crate::browser::{PAGE, SESSION};
use crate::grpc_check::{self, Encoding};
use crate::house::{HOST, House};
use crate::rc_token;

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

#[tokio::test]
async fn the_gateway_may_note_down_whom_it_let_pass() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let session = format!("{SESSION}={}", browser.cookie(SESSION).expect("a session"));
    let mut line = grpc_check::connect(house.gateway.address).await;
    let asked = grpc_check::request("GET", HOST, "/ml/x", &headers(&[PAGE, ("cookie", &session)]), Encoding::Joined);
    let answer = line.check(asked).await.expect("an answer").into_inner();
    let HttpResponse::OkResponse(ok) = grpc_check::parts(&answer).1 else { panic!("she is of ml") };
    let token = grpc_check::headers(&ok.headers)["authorization"].clone();
    let sid = rc_token::claims(token.strip_prefix("Bearer ").expect("a token"))["sid"].clone();
    assert_eq!(
        as_json(&answer.dynamic_metadata.expect("notes")),
        json!({"countersign": {
            "user": "ann@example.com", "groups": ["ml", "ops"], "sid": sid, "rule": "rule 5 (/ml/)",
        }})
    );
}

#[tokio::test]
async fn what_is_no_check_does_not_pass() {
    let house = House::open().await;
    let session = format!("{SESSION}={}", house.signed_in().await.cookie(SESSION).expect("a session"));
    let good = |change: &dyn Fn(&mut envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest)| {
        let mut asked =
            grpc_check::request("GET", HOST, "/public/x", &headers(&[PAGE, ("cookie", &session)]), Encoding::Joined);
        let http = asked.attributes.as_mut().and_then(|all| all.request.as_mut()).and_then(|all| all.http.as_mut());
        change(http.expect("a request"));
        asked
    };
    let mut line = grpc_check::connect(house.gateway.address).await;
    let passes = line.check(good(&|_| ())).await.expect("an answer").into_inner();
    assert_eq!(grpc_check::parts(&passes).0, 0);
    for (what, asked) in [
        ("nothing", CheckRequest::default()),
        ("no method", good(&|http| http.method = String::new())),
        ("a method of two words", good(&|http| http.method = "GET /".into())),
        ("a path that is none", good(&|http| http.path = "public/x".into())),
        ("a path with a space", good(&|http| http.path = "/public/ x".into())),
        ("a path of two lines", good(&|http| http.path = "/public/x\r\nx".into())),
        ("a host of two lines", good(&|http| http.host = "a\r\nb".into())),
        ("a header of two lines", good(&|http| drop(http.headers.insert("a".into(), "b\r\nc: d".into())))),
        ("a name of two words", good(&|http| drop(http.headers.insert("a b".into(), "c".into())))),
        ("more headers than a map can hold", good(&|http| http.headers.extend(many()))),
        ("no name", good(&|http| drop(http.headers.insert(String::new(), "c".into())))),
    ] {
        let answer = line.check(asked).await.expect("an answer").into_inner();
        let (code, HttpResponse::DeniedResponse(denied)) = grpc_check::parts(&answer) else { panic!("{what} passed") };
        assert_eq!((code, denied.status.expect("a status").code), (Code::PermissionDenied as i32, 400), "{what}");
        let body: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
        assert_eq!(body["error"], json!("unreadable"), "{what}");
    }
    // Two hosts: which of them counts is for nobody to say, so that it does not pass.
    let host = |host: &'static str| {
        good(&move |http| {
            http.path = "/x".into();
            http.host = "a.open.example.com".into();
            http.headers.insert(":authority".into(), host.into());
        })
    };
    let one = line.check(host("a.open.example.com")).await.expect("an answer").into_inner();
    let HttpResponse::OkResponse(ok) = grpc_check::parts(&one).1 else { panic!("everybody may") };
    assert!(!grpc_check::headers(&ok.headers).contains_key("kubeflow-userid"), "the host is public");
    let two = line.check(host(HOST)).await.expect("an answer").into_inner();
    assert_ne!(grpc_check::parts(&two).0, 0, "it passes for one of them");
}

/// As many names of three letters as a message has room for.
fn many() -> impl Iterator<Item = (String, String)> {
    let letters = || "abcdefghijklmnopqrstuvwxyz0123456789".chars();
    let names = letters().flat_map(move |a| letters().map(move |b| (a, b)));
    let names = names.flat_map(move |(a, b)| letters().map(move |c| [a, b, c].iter().collect::<String>()));
    names.take(30_000).map(|name| (name, String::new()))
}

#[tokio::test]
async fn bytes_that_are_no_message_are_answered_no_and_too_many_are_not_read() {
    let house = House::open().await;
    let channel = tonic::transport::Endpoint::new(format!("http://{}", house.gateway.address)).expect("an address");
    let mut line = tonic::client::Grpc::new(channel.connect().await.expect("a connection"));
    let method = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
    for bytes in [&b"\xff\xff\xff"[..], b"\x0a\x7f", b"\x0a\x02\x22\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        line.ready().await.expect("ready");
        let asked = tonic::Request::new(bytes.to_vec());
        let answer = line.unary(asked, method.clone(), garbage::Garbage).await.expect("an answer").into_inner();
        let (code, _) = grpc_check::parts(&answer);
        assert_eq!(code, Code::PermissionDenied as i32, "{bytes:?}");
    }
    line.ready().await.expect("ready");
    let much = tonic::Request::new(vec![0; 300 * 1024]);
    let refused = line.unary(much, method, garbage::Garbage).await.expect_err("too much");
    assert_ne!(refused.code(), Code::Ok);
}

#[tokio::test]
async fn it_answers_over_tls_too() {
    let files = tempfile::tempdir().expect("a directory");
    let certified = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem()).expect("a file");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("a file");
    let tls = Some(TlsFiles { certificate, key });
    let house = House::open_at_once(|_| (), |settings| settings.listen.tls = tls).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).expect("a root");
    let mut client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (client, address) = (TlsConnector::from(Arc::new(client)), house.gateway.address);
    let connect = tower::service_fn(move |_| {
        let client = client.clone();
        async move {
            let socket = TcpStream::connect(address).await?;
            let name = HOST.try_into().expect("a name");
            Ok::<_, std::io::Error>(TokioIo::new(client.connect(name, socket).await?))
        }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://mesh.example.com");
    let channel = endpoint.connect_with_connector(connect).await.expect("a connection");
    let asked = grpc_check::request("GET", HOST, "/public/x", &headers(&[PAGE]), Encoding::Raw);
    let answer = grpc_check::Line::new(channel).check(asked).await.expect("an answer").into_inner();
    assert_eq!(grpc_check::parts(&answer).0, 0);
}

#[tokio::test]
async fn a_door_that_is_shut_answers_nothing() {
    let asked = || grpc_check::request("GET", HOST, "/public/x", &headers(&[PAGE]), Encoding::Joined);
    let house = House::open_with(|settings| settings.doors = DoorSettings { http: true, grpc: false }).await;
    let shut = grpc_check::connect(house.gateway.address).await.check(asked()).await.expect_err("shut");
    assert_eq!(shut.code(), Code::Unimplemented);
    assert_eq!(house.browser().check("/public/x").await.status, 200);

    let house = House::open_with(|settings| settings.doors = DoorSettings { http: false, grpc: true }).await;
    let open = grpc_check::connect(house.gateway.address).await.check(asked()).await.expect("open").into_inner();
    assert_eq!(grpc_check::parts(&open).0, 0);
    assert_eq!(house.browser().check("/public/x").await.status, 404, "no check is answered, and so none with yes");
}

fn as_json(fields: &Struct) -> serde_json::Value {
    fields.fields.iter().map(|(key, value)| (key.clone(), value_as_json(value))).collect()
}

fn value_as_json(value: &Value) -> serde_json::Value {
    match value.kind.as_ref().expect("a kind") {
        Kind::StringValue(text) => json!(text),
        Kind::ListValue(list) => list.values.iter().map(value_as_json).collect(),
        Kind::StructValue(fields) => as_json(fields),
        other => panic!("{other:?}"),
    }
}

/// Sends bytes as they are given.
mod garbage {
    use bytes::BufMut as _;
    use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
    use prost::Message as _;
    use tonic::Status;
    use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

    #[derive(Clone, Copy)]
    pub(super) struct Garbage;

    impl Codec for Garbage {
        type Encode = Vec<u8>;
        type Decode = CheckResponse;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Garbage {
        type Item = Vec<u8>;
        type Error = Status;

        fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
            buffer.put_slice(&bytes);
            Ok(())
        }
    }

    impl Decoder for Garbage {
        type Item = CheckResponse;
        type Error = Status;

        fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<CheckResponse>, Status> {
            CheckResponse::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
        }
    }
}
