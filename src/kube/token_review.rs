//! A TokenReview (`authentication.k8s.io/v1`): the API server is asked whose a token is, and for which audiences.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::connection::quotable;
use super::{ApiServer, KubeError, ServiceAccount};
use crate::metrics::IdpOperation;
use crate::secret::SecretText;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenReview";
const PERMISSION: &str = "our ServiceAccount may not create tokenreviews; bind the ClusterRole \
                          `system:auth-delegator` to it";

/// What came of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// The token is good, and for one of our audiences.
    Authenticated(Reviewed),
    /// It is not; why, without the token.
    Rejected(String),
}

/// Whose a reviewed token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The ServiceAccount.
    pub account: ServiceAccount,
    /// Its groups, as the cluster says them.
    pub groups: Vec<String>,
}

/// The members that matter here; `extra`, which others may write, is not even read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    api_version: String,
    kind: String,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    groups: Vec<String>,
}

impl ApiServer {
    /// Asks whose `token` is. It must be meant for one of `audiences`.
    ///
    /// # Errors
    /// If there is no answer that can be believed. The token is neither good nor bad then.
    pub async fn review(&self, token: &SecretText, audiences: &[String]) -> Result<Review, KubeError> {
        let outcome = self.put_to_review(token, audiences).await;
        self.count(IdpOperation::TokenReview, &outcome);
        outcome
    }

    async fn put_to_review(&self, token: &SecretText, audiences: &[String]) -> Result<Review, KubeError> {
        let question = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "spec": {"token": token.expose(), "audiences": audiences},
        });
        let answer = self.connection.create(PATH, &question).await?;
        if !matches!(answer.status, StatusCode::CREATED | StatusCode::OK) {
            return Err(self.connection.trouble(PATH, &answer, PERMISSION));
        }
        // Not the parser's own words: they may quote the answer.
        let unreadable = |what: &str| KubeError::Misbehaved(format!("{PATH}: {what}"));
        let object: Object =
            serde_json::from_slice(&answer.body).map_err(|_| unreadable("the answer is no TokenReview"))?;
        if object.api_version != API_VERSION || object.kind != KIND {
            return Err(unreadable("the answer is an object of another kind"));
        }
        Ok(object.status.judged(audiences))
    }
}

impl Status {
    fn judged(self, audiences: &[String]) -> Review {
        if !self.authenticated {
            let said = if self.error.is_empty() { String::new() } else { format!(": {}", quotable(&self.error)) };
            return Review::Rejected(format!("the cluster does not know the token{said}"));
        }
        // Without any, the server did not look at audiences, and the token may be meant for anybody.
        if !self.audiences.iter().any(|audience| audiences.contains(audience)) {
            return Review::Rejected("the token is meant for another audience".to_owned());
        }
        match ServiceAccount::parse(&self.user.username) {
            Ok(account) => Review::Authenticated(Reviewed { account, groups: self.user.groups }),
            Err(_) => Review::Rejected(format!("`{}` is no ServiceAccount", quotable(&self.user.username))),
        }
    }
}
