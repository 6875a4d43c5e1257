//! What launches need to know of the cluster, where the API server does not say it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use kube::{Client, Config};
use packwright::aws::{Facts, Given, Mode};
use serde_json::json;

use super::account::Account;

const DNS: &str = "/api/v1/namespaces/kube-system/services/kube-dns";
/// It is asked for again after ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_dns_service_that_could_not_be_read_is_asked_for_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let account = Account::new("1.37").await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let dns = move || async move {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns"},
                "spec": {"clusterIP": "fd00::a"}});
            ([(header::CONTENT_TYPE, "application/json")], service.to_string()).into_response()
        };
        let version = || async {
            let version = json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
            ([(header::CONTENT_TYPE, "application/json")], version.to_string())
        };
        let routes = Router::new().route("/version", get(version)).route(DNS, get(dns));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let client = Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let aws = account.clients(Mode::ReadsOnly).await;
        let given = Given { name: "test".to_owned(), ..Given::default() };
        let facts = Facts::find(&aws, &client, given).await.unwrap();
        let first = facts.now();
        assert_eq!((first.dns.as_deref(), first.service_cidr.as_deref()), (None, Some("10.100.0.0/16")));
        let found = async {
            while facts.now().dns.is_none() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            () = facts.keep(&aws, &client) => unreachable!("it does not end"),
            found = tokio::time::timeout(PATIENCE, found) => found.expect("it is read again"),
        }
        assert_eq!((facts.now().dns.as_deref(), asked.load(Ordering::SeqCst)), (Some("fd00::a"), 2));
        serving.abort();
    });
}
