//! Frees the reserved nodes of a live cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::{Client, Error};

use super::apply::{Applied, apply};
use super::connect::{ConnectError, Progress, Target};
use super::read::reason;
use super::words::with_causes;
use crate::placement::release as freeing;
use crate::placement::reservation::Reservation;

/// A node that somebody else changes at the same time is read anew so often.
const ATTEMPTS: usize = 10;
/// Nodes a page.
const PAGE: u32 = 500;
/// An answer is waited for so long.
const ANSWER: Duration = Duration::from_secs(30);

/// What is to be freed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Names of nodes; all of them where there are none.
    pub nodes: BTreeSet<String>,
    /// Only say which.
    pub is_dry_run: bool,
}

/// One node that was ours to free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Its name.
    pub node: String,
    /// What it was.
    pub was: Reservation,
    pub outcome: Outcome,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Freed,
    /// In a dry run.
    WouldBeFreed,
    /// Why not.
    Failed(String),
}

/// Why nothing was freed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the cluster of context {context} has no node {}", nodes.join(", "))]
    UnknownNodes { context: String, nodes: Vec<String> },
}

/// Connects and frees them. `progress` hears what is waited for.
///
/// # Errors
/// No connection, one over which the nodes cannot be listed, or a name that no node has.
pub fn release(target: &Target, wanted: &Wanted, progress: &dyn Fn(Progress)) -> Result<Vec<Released>, ReleaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectError::Kubeconfig(format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let connection = target.connect_inside(progress).await?;
        let context = || connection.context.clone();
        let listed = list(&Api::all(connection.client.clone())).await;
        let nodes = listed.map_err(|error| ConnectError::Client { context: context(), reason: reason(&error) })?;
        let nodes =
            select(nodes, &wanted.nodes).map_err(|nodes| ReleaseError::UnknownNodes { context: context(), nodes })?;
        Ok(release_all(&connection.client, nodes, wanted.is_dry_run).await)
    })
}

/// Frees one after another; one that cannot be freed does not keep the others.
async fn release_all(client: &Client, nodes: Vec<Node>, is_dry_run: bool) -> Vec<Released> {
    let api: Api<Node> = Api::all(client.clone());
    let mut released = Vec::new();
    for node in nodes {
        if is_dry_run {
            let (name, was) = (node.metadata.name.clone().unwrap_or_default(), Reservation::of(&node));
            released.push(Released { node: name, was, outcome: Outcome::WouldBeFreed });
        } else {
            released.extend(release_one(client, &api, node).await);
        }
    }
    released
}

/// The nodes of all pages.
async fn list(api: &Api<Node>) -> Result<Vec<Node>, Error> {
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let nodes = api.list(&page).await?;
        found.extend(nodes.items);
        match nodes.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(found),
        }
    }
}

/// Those with something of ours, of the wanted ones; else the names that no node has.
fn select(nodes: Vec<Node>, wanted: &BTreeSet<String>) -> Result<Vec<Node>, Vec<String>> {
    let names: BTreeSet<&str> = nodes.iter().filter_map(|node| node.metadata.name.as_deref()).collect();
    let unknown: Vec<String> = wanted.iter().filter(|name| !names.contains(name.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let is_wanted =
        |node: &Node| wanted.is_empty() || node.metadata.name.as_ref().is_some_and(|name| wanted.contains(name));
    Ok(nodes.into_iter().filter(|node| is_wanted(node) && freeing(node).is_some()).collect())
}

async fn release_one(client: &Client, api: &Api<Node>, mut node: Node) -> Option<Released> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let was = Reservation::of(&node);
    let done = |failure: Option<String>| {
        let outcome = failure.map_or(Outcome::Freed, Outcome::Failed);
        Some(Released { node: name.clone(), was: was.clone(), outcome })
    };
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

    fn node(name: &str, key: &str) -> Node {
        let taints = json!([{"key": key, "value": "c", "effect": "NoSchedule"}]);
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"taints": taints}})).unwrap()
    }

    #[test]
    fn only_the_nodes_that_are_named_are_freed() {
        let nodes = || vec![node("a", labels::PLANNED), node("b", labels::PLANNED), node("c", "team")];
        let of = |wanted: &[&str]| {
            let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
            let names = |nodes: Vec<Node>| nodes.into_iter().filter_map(|node| node.metadata.name).collect::<Vec<_>>();
            select(nodes(), &wanted).map(names)
        };
        assert_eq!(of(&[]).unwrap(), ["a", "b"]);
        assert_eq!(of(&["b", "c"]).unwrap(), ["b"]);
        assert_eq!(of(&["b", "x", "y"]).unwrap_err(), ["x", "y"]);
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
            list(&Api::all(client)).await.unwrap_err()
        });
        assert!(error.to_string().contains("the token has expired"), "{error}");
        let requests = server.join().unwrap();
        let expected = ["GET /api/v1/nodes?&limit=500 ", "GET /api/v1/nodes?&limit=500&continue=more "];
        assert!(requests.len() == 2 && requests.iter().zip(expected).all(|(r, e)| r.starts_with(e)), "{requests:?}");
    }
}
