use super::*;

#[test]
fn gallery() {
    let settings = PageSettings { title: Some("Kubeflow at Example".into()), ..PageSettings::default() };
    let pages = Pages::new(&settings, vec!["https://idp.example.com/logout".into()]).expect("pages");
    let all = [
        Page::ChooseProvider {
            choices: &[
                Choice { name: "Example Corp", href: "/oauth2/start?provider=corp" },
                Choice { name: "GitHub", href: "/b" },
                Choice { name: "Guests (Dex)", href: "/c" },
            ],
        },
        Page::FramedSignIn { href: "/oauth2/start" },
        Page::SignIn { href: "/oauth2/start?rd=%2Fpipeline%2F" },
        Page::SignedOut { home: "/" },
        Page::SignOutQuestion { action: "/oauth2/sign_out", user: Some("ann@example.com"), rd: Some("/") },
        Page::Forbidden {
            user: "bob@example.com",
            reason: "This part is only for members of the group “admins”, and your account is not in it.",
            sign_out_href: "/oauth2/sign_out",
            request_id: "5c0f8a2e-4d61-4c69-9d1f-0e6f1c0b7a11",
        },
        Page::Error {
            title: "Sign-in is not possible right now",
            what: "The identity provider “dex” does not answer, so nobody can sign in at the moment. Sessions that are open already go on.",
            who: AtFault::IdentityProvider,
            hint: "Wait a minute, then try again. If it lasts, tell the people who run this site, and give them the request id.",
            request_id: "5c0f8a2e-4d61-4c69-9d1f-0e6f1c0b7a11",
            retry: Some("/"),
        },
        Page::Error {
            title: "This sign-in is over",
            what: "It was started more than ten minutes ago, or in another browser.",
            who: AtFault::Browser,
            hint: "Sign in again.",
            request_id: "5c0f8a2e",
            retry: Some("/"),
        },
    ];
    for (n, page) in all.into_iter().enumerate() {
        let html = pages.templates.render(page.template(), pages.context(page, "bm9uY2U="));
        std::fs::write(format!("/tmp/gallery/{n}.html"), html).expect("written");
    }
}
