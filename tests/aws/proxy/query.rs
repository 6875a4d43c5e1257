//! What a request asks for, whatever the protocol.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::{Answer, Call};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    service: String,
    action: String,
    /// Of the query protocols.
    pub fields: BTreeMap<String, String>,
    /// Of the JSON protocols.
    pub json: Value,
}

/// Code, message and status.
pub type Refusal = (String, String, u16);

impl Query {
    pub fn read(headers: &HeaderMap, uri: &Uri, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Credential=KEY/DATE/REGION/SERVICE/aws4_request
        let service = text("authorization").split('/').nth(3).unwrap_or_default().to_owned();
        let target = text("x-amz-target");
        if !target.is_empty() {
            let action = target.rsplit('.').next().unwrap_or_default().to_owned();
            let json = serde_json::from_slice(body).unwrap_or_default();
            return Self { service, action, fields: BTreeMap::new(), json };
        }
        let fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let action = fields.get("Action").cloned().unwrap_or_else(|| match uri.path() {
            path if path.starts_with("/clusters/") => "DescribeCluster".to_owned(),
            path if path.starts_with("/managedresources/") => "GetManagedResource".to_owned(),
            path => path.to_owned(),
        });
        Self { service, action, fields, json: Value::Null }
    }

    pub fn call(&self) -> Call {
        let is_dry_run = self.field("DryRun") == "true";
        Call { service: self.service.clone(), action: self.action.clone(), is_dry_run }
    }

    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Those of a list, such as of `InstanceId.1` and the next ones.
    pub fn values(&self, prefix: &str) -> Vec<&str> {
        self.fields.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, value)| value.as_str()).collect()
    }

    pub fn client_token(&self) -> Option<&str> {
        self.fields.get("ClientToken").map(String::as_str)
    }

    /// As the service writes errors.
    pub fn error(&self, (code, message, status): &Refusal) -> Answer {
        if !self.json.is_null() {
            return Answer::json(*status, &json!({"__type": code, "message": message}));
        }
        let item = format!("<Code>{code}</Code><Message>{message}</Message>");
        let text = match self.service.as_str() {
            "ec2" => format!("<Response><Errors><Error>{item}</Error></Errors><RequestID>r</RequestID></Response>"),
            _ => format!(
                "<ErrorResponse><Error><Type>Sender</Type>{item}</Error><RequestId>r</RequestId></ErrorResponse>"
            ),
        };
        Answer::xml(*status, text)
    }
}
