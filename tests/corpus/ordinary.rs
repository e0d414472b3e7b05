//! What people and programs ask every day, odd as some of it looks. All of it must pass: a gateway that refuses too much
//! is switched off.

use super::variants::Variant;

/// The family of these.
pub(crate) const ORDINARY: &str = "ordinary";

/// Of Ann's, who may enter everywhere.
const OF_ANN: [(&str, &str); 46] = [
    ("GET", "/"),
    ("GET", "/app"),
    ("GET", "/authors/"),
    ("GET", "/authors/q3?year=2026&tag=a%2Fb&tag=c"),
    ("GET", "/staff/list"),
    ("GET", "/a..b/c...d/..e/f.."),
    ("GET", "/.hidden/..data/...x"),
    ("GET", "/.well-known/security.txt"),
    ("GET", "/files/my%20report.pdf"),
    ("GET", "/files/my+report.pdf"),
    ("GET", "/files/a+b%2Bc"),
    ("GET", "/files/100%25"),
    ("GET", "/files/100%25.txt"),
    ("GET", "/files/gr%C3%B6%C3%9Fe.csv"),
    ("GET", "/files/%E6%97%A5%E6%9C%AC%E8%AA%9E/%F0%9F%99%82"),
    ("GET", "/files/(1)/[2]/{3}/a,b/c:d/e@f/g!h/$i/'j'/*k/l=m/n~o"),
    ("GET", "/files/a%5Bb%5D%7Bc%7D%22d%22"),
    ("GET", "/files/a%20b;c=d"),
    ("GET", "/files/x;v=1/y;v=2"),
    ("GET", "/files/x%3Bv=1"),
    ("GET", "/files/C%23/a%3Fb"),
    ("GET", "/files//double//slashes/"),
    ("GET", "/files/a/./b/../c"),
    ("GET", "/notebook/ann/lab/lab/tree/work;v=1/my%20book.ipynb"),
    ("GET", "/notebook/ann/lab/api/contents/dir/a%20b%20%C3%B6.ipynb?type=notebook&content=0"),
    ("PUT", "/notebook/ann/lab/api/contents/Untitled%20(1).ipynb"),
    ("PATCH", "/notebook/ann/lab/api/contents/R&D.ipynb"),
    ("GET", "/notebook/ann/lab/static/notebook.js?v=1f2e3d"),
    ("POST", "/notebook/ann/lab/api/sessions?1732215600000"),
    ("GET", "/notebook/ann/lab/proxy/8888/x"),
    ("GET", "/notebook/ann/lab/files/s3:/bucket/a=1/part-0.parquet"),
    ("GET", "/_/jupyter/?ns=ann"),
    ("GET", "/_/pipeline/#"),
    ("GET", "/pipeline/apis/v2beta1/runs?filter=%7B%22predicates%22%3A%5B%5D%7D&page_token=&sort_by=created_at%20desc"),
    ("POST", "/pipeline/apis/v2beta1/experiments/0f9e:archive"),
    ("GET", "/pipeline/artifacts/minio/mlpipeline/v2%2Fartifacts%2Fx.tgz?namespace=ann"),
    ("GET", "/tensorboard/ann/board/data/plugin/scalars/tags?experiment=a/../b"),
    ("POST", "/v1/models/mnist:predict"),
    ("POST", "/v2/models/a%2Fb/versions/1/infer"),
    ("GET", "/authors/2026;draft=1/a%20b?x=../../public/&y=//evil&z=%2e%2e%2f"),
    ("OPTIONS", "/api/runs"),
    ("DELETE", "/api/runs/5e3b7c0e-1f6d-4a51-9d2b-2f3a9a0b7c1d"),
    ("HEAD", "/api/runs"),
    ("PROPFIND", "/dav/work/"),
    ("GET", "/search?q=a+b%20c&q=..%2F..%2F&next=https%3A%2F%2Fexample.com%2F%3Fa%3Db%23c"),
    (
        "GET",
        "/a/very/long/path/that/goes/on/and/on/through/many/folders/until/it/ends/somewhere/in/the/middle/of/nothing",
    ),
];

/// Of nobody's.
const OF_NOBODY: [(&str, &str); 12] = [
    ("GET", "/public/"),
    ("GET", "/public/logo.svg?v=3"),
    ("HEAD", "/public/logo.svg"),
    ("GET", "/public/a%20b/gr%C3%B6%C3%9Fe+x.css"),
    ("GET", "/public/a..b/v1..2.js"),
    ("GET", "/public/app;v=1/main.js"),
    ("GET", "/public/x?next=/authors/../../etc"),
    ("GET", "/public/fonts/a,b@2x.woff2"),
    ("GET", "/staff/public/map"),
    ("GET", "/staff/public/a/b/c%20d"),
    ("POST", "/forms/contact"),
    ("GET", "/healthz"),
];

/// The ordinary requests.
pub(crate) fn ordinary() -> Vec<Variant> {
    let plain = |who, method, target: &str| Variant {
        family: ORDINARY,
        who,
        method,
        // A browser keeps what stands behind `#` to itself.
        target: target.trim_end_matches('#').to_owned(),
        host: "{host}",
        headers: Vec::new(),
    };
    let of_ann = OF_ANN.iter().map(|(method, target)| plain(Some("ann"), method, target));
    let of_nobody = OF_NOBODY.iter().map(|(method, target)| plain(None, method, target));
    let long = format!("/api/runs?{}", "filter=abc%20def&".repeat(220));
    let many = [plain(Some("bob"), "GET", &long), plain(Some("bob"), "GET", "/staff/list;v=2?x")];
    let upgraded = Variant {
        headers: vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
        ..plain(Some("ann"), "GET", "/notebook/ann/lab/api/kernels/0f9e/channels?session_id=a%2Fb")
    };
    let shouted = Variant { host: "{HOST}", ..plain(Some("ann"), "GET", "/app") };
    of_ann.chain(of_nobody).chain(many).chain([upgraded, shouted]).collect()
}
