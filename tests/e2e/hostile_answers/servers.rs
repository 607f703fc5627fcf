//! All servers of one controller: the API server with a front, and one listener for everything else. They misbehave in one way, at the hops
//! that a test names.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use strum::VariantArray;

use super::{api_front::ApiFront, name};
use crate::{
    hostile_hop::Hop,
    misbehaviour::{Misbehaviour, ok},
    raw_http::{RawHttp, Reply},
    support::{
        cluster::cluster,
        world::{PROJECT, operation},
    },
};

/// A part of each token of the servers.
pub const CANARY: &str = "canary-of-the-servers";

/// The location whose endpoint is behind the proxy.
const BEHIND_PROXY: &str = "us-central1";

/// The operation of a hop's object.
pub fn operation_of(hop: Hop) -> String {
    match hop {
        Hop::Proxy => {
            format!(
                "projects/{PROJECT}/locations/{BEHIND_PROXY}/operations/{}",
                name(hop)
            )
        }
        _ => operation(&name(hop)),
    }
}

/// Whether the object of a hop names a ServiceAccount.
pub const fn needs_account(hop: Hop) -> bool {
    matches!(
        hop,
        Hop::ClusterName | Hop::ServiceAccount | Hop::TokenRequest | Hop::Sts | Hop::IamCredentials
    )
}

/// The Google service account that a ServiceAccount acts as.
pub fn email(account: &str) -> String {
    format!("{account}@{PROJECT}.iam.gserviceaccount.com")
}

/// See the module. They end with this value.
pub struct Servers {
    /// In place of the metadata server, the token servers, Google and the proxy.
    pub others: RawHttp,
    pub api: ApiFront,
    hostile: Arc<Hostile>,
}

/// What decides on answers.
struct Hostile {
    misbehaviour: Misbehaviour,
    /// Where they misbehave now.
    hops: Mutex<BTreeSet<Hop>>,
    /// A server that nobody should ask.
    elsewhere: String,
    /// What is behind the proxy.
    google: SocketAddr,
}

impl Servers {
    /// Starts them. `google` is behind the proxy.
    pub async fn start(misbehaviour: Misbehaviour, elsewhere: &str, google: SocketAddr) -> Self {
        let hostile = Arc::new(Hostile {
            misbehaviour,
            hops: Mutex::default(),
            elsewhere: elsewhere.to_owned(),
            google,
        });
        let (of_others, of_api) = (hostile.clone(), hostile.clone());
        let others = RawHttp::start(move |request, _| of_others.reply(request)).await;
        let answer = move |head: &str| of_api.bad_reply(Hop::of(head)?, head);
        Self {
            others,
            api: ApiFront::start(cluster().control_plane, answer).await,
            hostile,
        }
    }

    /// A hop misbehaves from now on, or answers well.
    pub fn misbehave(&self, hop: Hop, misbehaves: bool) {
        let mut hops = self.hostile.hops.lock().unwrap();
        match misbehaves {
            true => hops.insert(hop),
            false => hops.remove(&hop),
        };
    }
}

impl Hostile {
    fn reply(&self, request: &str) -> Reply {
        let Some(hop) = Hop::of(request) else {
            // The request that opens a connection.
            return ok("{}");
        };
        let bad = self.bad_reply(hop, request);
        bad.unwrap_or_else(|| self.good_reply(hop, request))
    }

    /// The answer, if this hop misbehaves for this request.
    fn bad_reply(&self, hop: Hop, request: &str) -> Option<Reply> {
        let is_meant = object_of(hop, request).is_none_or(|object| object == name(hop));
        let is_bad = is_meant && self.hops.lock().unwrap().contains(&hop);
        is_bad.then(|| self.misbehaviour.reply(request, &self.elsewhere))
    }

    fn good_reply(&self, hop: Hop, request: &str) -> Reply {
        let body = match hop {
            Hop::OperatorEmail => email("operator"),
            Hop::OperatorUniverse => "googleapis.com".to_owned(),
            // The next cell needs another one.
            Hop::OperatorToken => oauth(1),
            Hop::Sts => oauth(3600),
            Hop::ClusterName => "value".to_owned(),
            Hop::IamCredentials => json!({
                "accessToken": format!("ya29.{CANARY}"), "expireTime": "2100-01-01T00:00:00Z",
            })
            .to_string(),
            Hop::Get => self.operation(request).to_string(),
            Hop::Cancel => "{}".to_owned(),
            Hop::Proxy => {
                return Reply::Tunnel("HTTP/1.1 200 OK\r\n\r\n".to_owned(), self.google);
            }
            Hop::ServiceAccount | Hop::TokenRequest => {
                unreachable!("the API server itself answers")
            }
        };
        ok(&body)
    }

    /// The operation ends when its hop answers well, so that no object ends before.
    fn operation(&self, request: &str) -> Value {
        let id = object_of(Hop::Get, request).unwrap();
        let mut hops = Hop::VARIANTS.iter();
        let hop = hops.find(|hop| name(**hop) == id).unwrap();
        match self.hops.lock().unwrap().contains(hop) {
            true => json!({"name": operation_of(*hop), "done": false}),
            false => cancelled(&operation_of(*hop)),
        }
    }
}

/// An operation that was cancelled.
pub fn cancelled(operation: &str) -> Value {
    json!({"name": operation, "done": true, "error": {"code": 1, "message": "cancelled"}})
}

fn oauth(seconds: u32) -> String {
    let token = format!("ya29.{CANARY}");
    json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"}).to_string()
}

/// The name of the object that a request is for, or of its ServiceAccount, as far as the request shows it.
fn object_of(hop: Hop, request: &str) -> Option<String> {
    let path = request.split(' ').nth(1)?;
    let after = |text: &str| Some(path.split_once(text)?.1);
    let object = match hop {
        Hop::ServiceAccount | Hop::TokenRequest => after("/serviceaccounts/")?.split('/').next()?,
        Hop::IamCredentials => after("/serviceAccounts/")?.split('@').next()?,
        Hop::Get | Hop::Cancel => after("/operations/")?.trim_end_matches(":cancel"),
        Hop::Sts => return account_of_subject_token(request),
        _ => return None,
    };
    Some(object.to_owned())
}

/// The ServiceAccount whose token is exchanged.
fn account_of_subject_token(request: &str) -> Option<String> {
    let (_, form) = request.rsplit_once('\n')?;
    let mut fields = form.split('&');
    let token = fields.find_map(|field| field.strip_prefix("subject_token="))?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?);
    let claims: Value = serde_json::from_slice(&claims.ok()?).ok()?;
    let account = claims.pointer("/kubernetes.io/serviceaccount/name")?;
    account.as_str().map(str::to_owned)
}
