//! What the identity providers' symptoms mean, in the words of the settings.

use super::Finding;
use crate::config::Settings;
use crate::idp::{Provider, Symptom};

pub(super) async fn look(settings: &Settings, provider: &Provider) -> Vec<Finding> {
    let symptoms = provider.diagnose().await;
    symptoms.iter().map(|symptom| finding(settings, provider, symptom)).collect()
}

fn finding(settings: &Settings, provider: &Provider, symptom: &Symptom) -> Finding {
    let configured = provider.settings();
    let place = |key: &str| format!("provider `{}`, {key}", provider.id());
    match symptom {
        Symptom::Unreachable(reason) => Finding::fault(
            "idp-unreachable",
            place("issuer"),
            format!("it gives no answer here: {reason}"),
        )
        .because("Nobody can sign in until it does; who is signed in stays so.")
        .change(
            "Look at the name, the port, network policies and `egress.proxy`; and try again from inside the cluster.",
        ),
        Symptom::Untrusted(reason) => {
            Finding::fault("idp-certificate", place("issuer"), format!("its certificate is not trusted here: {reason}"))
                .because("Nothing is asked over such a connection: nobody can sign in.")
                .change("egress: {ca_bundle: FILE}, with the certificate of the authority that signed it (PEM)")
        }
        Symptom::Nonsense(reason) => Finding::fault("idp-nonsense", place("issuer"), reason.clone())
            .because("What it says cannot be believed: nobody can sign in.")
            .change("issuer: the address to which `/.well-known/openid-configuration` can be added"),
        Symptom::OtherIssuer { says } => {
            let what = format!("it calls itself `{says}`, configured is `{}`", configured.issuer);
            Finding::fault("idp-issuer", place("issuer"), what)
                .because(
                    "They are compared as texts: http is not https, and a slash at the end counts. Nobody can sign in.",
                )
                .change(format!("issuer: {says}"))
        }
        Symptom::ClocksApart { ahead } => {
            let way = if *ahead > 0 { "ahead of" } else { "behind" };
            let what = format!("our clock is {} s {way} the provider's", ahead.unsigned_abs());
            Finding::fault("clock-skew", place("issuer"), what)
                .because("ID tokens are refused as expired or as not yet valid: the leeway is 60 s.")
                .change("Let both machines follow a time server (chrony, systemd-timesyncd).")
        }
        Symptom::OtherAlgorithms { offers } => {
            let what = format!("it signs with {}, allowed are {}", offers.join(", "), configured.algorithms.join(", "));
            Finding::fault("idp-algorithms", place("algorithms"), what)
                .because("Every ID token is refused.")
                .change(format!("algorithms: [{}]", offers.join(", ")))
        }
        Symptom::UnknownScopes(scopes) => {
            let what = format!("it does not know the scopes {}", scopes.join(", "));
            Finding::warning("idp-scopes", place("scopes"), what)
                .because("What they stand for does not arrive: groups stay empty, or nothing can be renewed.")
                .change("Take them off `scopes`, or let the provider offer them.")
        }
        Symptom::RedirectRefused { redirect_uri, said } => {
            let what = format!("`{redirect_uri}` is not registered there for `{}` ({said})", configured.client_id);
            Finding::fault("redirect-uri", place("redirect_uri"), what)
                .because("Whoever wants to sign in sees an error page of the provider's.")
                .change(format!(
                    "Register exactly `{redirect_uri}` there, or set `redirect_uri` to what is registered \
                     (public_url is {}).",
                    settings.public_url
                ))
        }
        Symptom::UnknownClient { said } => {
            let what = format!("it does not know the client `{}` ({said})", configured.client_id);
            Finding::fault("client-unknown", place("client_id"), what)
                .because("Whoever wants to sign in sees an error page of the provider's.")
                .change("client_id: the id under which Countersign is registered there")
        }
        Symptom::SignInRefused { said } => {
            Finding::fault("sign-in-refused", place("client_id"), format!("it does not begin a sign-in ({said})"))
                .because("Whoever wants to sign in sees that page.")
                .change("Compare client, scopes and response types (`code`) with what is registered there.")
        }
        Symptom::SecretRefused { said } => Finding::fault(
            "client-secret",
            place("client_secret"),
            format!("it does not take our client secret ({said})"),
        )
        .because("People sign in there and cannot come back in here: the code is not exchanged.")
        .change("client_secret: {file: …} with the registered secret; or another `client_auth` (basic, post)"),
    }
}
