//! Frees every reserved node of a live cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, Error};

use super::apply::{Applied, apply};
use super::connect::{ConnectError, Target, with_causes};
use super::read::reason;
use crate::placement::release as freeing;
use crate::placement::reservation::Reservation;

/// A node that somebody else changes at the same time is read anew so often.
const ATTEMPTS: usize = 10;
/// Nodes a page.
const PAGE: u32 = 500;
/// An answer is waited for so long.
const ANSWER: Duration = Duration::from_secs(30);

/// One node that was ours to free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Its name.
    pub node: String,
    /// What it was.
    pub was: Reservation,
    /// Why it could not be freed.
    pub failure: Option<String>,
}

/// Connects and frees them.
///
/// # Errors
/// No connection, or one over which the nodes cannot be listed.
pub fn release(target: &Target) -> Result<Vec<Released>, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectError::Kubeconfig(format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let connection = target.connect().await?;
        let failed =
            |error: Error| ConnectError::Client { context: connection.context.clone(), reason: reason(&error) };
        release_all(&connection.client).await.map_err(failed)
    })
}

/// Lists all nodes, then frees one after another; one that cannot be freed does not keep the others.
///
/// # Errors
/// The nodes cannot be listed; none was freed then.
pub async fn release_all(client: &Client) -> Result<Vec<Released>, Error> {
    let api: Api<Node> = Api::all(client.clone());
    let mut released = Vec::new();
    for node in reserved(&api).await? {
        released.extend(release_one(client, &api, node).await);
    }
    Ok(released)
}

/// The nodes with something of ours, of all pages.
async fn reserved(api: &Api<Node>) -> Result<Vec<Node>, Error> {
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let nodes = api.list(&page).await?;
        found.extend(nodes.items.into_iter().filter(|node| freeing(node).is_some()));
        match nodes.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(found),
        }
    }
}

async fn release_one(client: &Client, api: &Api<Node>, mut node: Node) -> Option<Released> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let was = Reservation::of(&node);
    let done = |failure| Some(Released { node: name.clone(), was: was.clone(), failure });
    let mut is_first = true;
    for _ in 0..ATTEMPTS {
        let Some(action) = freeing(&node) else {
            return if is_first { None } else { done(None) }; // somebody else was faster
        };
        match apply(client, &action.patch, ANSWER).await {
            Applied::Done => return done(None),
            Applied::Refused(reason) | Applied::Failed(reason) => return done(Some(reason)),
            Applied::Outdated => {}
        }
        node = match api.get_opt(&name).await {
            Ok(Some(node)) => node,
            Ok(None) => return done(None),
            Err(error) => return done(Some(with_causes(&error))),
        };
        is_first = false;
    }
    done(Some(format!("it was changed by others {ATTEMPTS} times while it was to be freed")))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::api::labels;

    /// Answers each request, one a connection, and returns the first lines of all; ends after so many.
    fn serve(listener: &TcpListener, answers: &[(&str, String)]) -> Vec<String> {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            requests.push(lines.next().unwrap());
            lines.find(String::is_empty).expect("the end of the headers");
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
        requests
    }

    #[test]
    fn nothing_is_freed_before_every_page_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = json!({"metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}, "spec": {"taints": [
            {"key": labels::PLANNED, "value": "c", "effect": "NoSchedule"}]}});
        let page = json!({"apiVersion": "v1", "kind": "NodeList", "metadata": {"continue": "more"}, "items": [node]});
        let expired = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "message": "the token has expired", "reason": "Expired", "code": 410});
        let answers = [("200 OK", page.to_string()), ("410 Gone", expired.to_string())];
        let server = std::thread::spawn(move || serve(&listener, &answers));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async {
            let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
            release_all(&client).await.unwrap_err()
        });
        assert!(error.to_string().contains("the token has expired"), "{error}");
        let requests = server.join().unwrap();
        let expected = ["GET /api/v1/nodes?&limit=500 ", "GET /api/v1/nodes?&limit=500&continue=more "];
        assert!(requests.len() == 2 && requests.iter().zip(expected).all(|(r, e)| r.starts_with(e)), "{requests:?}");
    }
}
