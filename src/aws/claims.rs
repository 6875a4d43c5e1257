//! NodeClaims for the loops that the controller does not step: as the API server remembers them, which costs etcd nothing.

use kube::Client;
use kube::api::{Api, ListParams};

use crate::api::node_claim::NodeClaim;

/// All of them as of a moment ago; whoever must not miss one of just now lists them otherwise.
///
/// # Errors
/// Why they cannot be listed.
pub(super) async fn remembered(client: &Client) -> Result<Vec<NodeClaim>, String> {
    list(client, &ListParams::default().match_any()).await
}

/// All of them as of now.
///
/// # Errors
/// Why they cannot be listed.
pub(super) async fn of_now(client: &Client) -> Result<Vec<NodeClaim>, String> {
    list(client, &ListParams::default()).await
}

async fn list(client: &Client, params: &ListParams) -> Result<Vec<NodeClaim>, String> {
    let claims: Api<NodeClaim> = Api::all(client.clone());
    let listed = claims.list(params).await;
    listed.map(|listed| listed.items).map_err(|error| format!("NodeClaims cannot be listed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{Uri, header};
    use kube::Config;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_the_api_server_remembers_is_asked_for_as_such() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let list = async move |uri: Uri| {
            seen.lock().unwrap().push(uri.query().unwrap_or_default().to_owned());
            let list = json!({"apiVersion": "karpenter.sh/v1", "kind": "NodeClaimList", "metadata": {}, "items": []});
            ([(header::CONTENT_TYPE, "application/json")], list.to_string())
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(list)).await });
        let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        assert_eq!(remembered(&client).await.unwrap(), []);
        assert_eq!(of_now(&client).await.unwrap(), []);
        let asked = asked.lock().unwrap();
        assert!(asked[0].contains("resourceVersion=0") && !asked[1].contains("resourceVersion"), "{asked:?}");
        serving.abort();
    }
}
