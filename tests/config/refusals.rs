use crate::support::{good, refusal};

#[test]
fn scratch() {
    for text in [
        "",
        "public_ulr: https://x\nsession: {max_agee: 3h, idle: [1]}\nproviders: [{id: dex, issuer: 5}, 7]\n",
        &good(
            "rules:\n  - {path: x}\n  - {path: /a}\n  - {path: /a/b, access: pubic}\n  - {path: /a/c}\nidentity:\n  admit:\n    groups:\n",
        ),
        &good("a: [\n"),
        &good("cookie: {insecure: yes}\nhosts: [a.b]\n"),
    ] {
        println!("{}\n=======", refusal(text));
    }
}
