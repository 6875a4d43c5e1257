//! Stands between the program and moto, and does what moto leaves out: lack of capacity, order of choice, client tokens, throttling,
//! missing rights, latency, lost answers, failures, and the services that moto does not have.

mod faults;
mod fleet;
mod machines;
mod query;
mod stand_in;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

pub use faults::{Ailment, Faults, Throttle};
use machines::Machines;
pub use machines::PARTITION;
pub use query::Query;

/// A call that came in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// As policies call it, such as `ec2`.
    pub service: String,
    pub action: String,
    pub is_dry_run: bool,
}

/// What all requests share.
struct Shared {
    /// Where moto is.
    moto: SocketAddr,
    /// moto does one thing at a time: it answers 500 in the middle of a fleet where another call changes what it is going through.
    one_at_a_time: tokio::sync::Mutex<()>,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<Call>>,
    /// Those among them that change something and were not refused, and what was answered.
    changes: Mutex<Vec<(Query, String)>>,
    /// Answers to calls with a client token: what was asked, and what was said.
    tokens: Mutex<BTreeMap<String, (Query, Answer)>>,
    machines: Mutex<Machines>,
    /// Of each client token: the same request sent again waits for the answer to the first.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What is said.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    kind: String,
    body: Bytes,
}

/// A proxy that runs until this value is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Its runtime ends with this.
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Proxy {
    /// In front of a moto.
    pub fn start(moto: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            moto,
            one_at_a_time: tokio::sync::Mutex::default(),
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            faults: Mutex::default(),
            calls: Mutex::default(),
            changes: Mutex::default(),
            tokens: Mutex::default(),
            machines: Mutex::default(),
            turns: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = tokio::sync::oneshot::channel();
        let routes = Router::new().fallback(answer).with_state(shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, routes) => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self { address, shared, _end: end }
    }

    /// What goes wrong from now on.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that came so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls that change something, dry runs among them, and their answers.
    pub fn changes(&self) -> Vec<(Query, String)> {
        self.shared.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often something was called, dry runs left out.
    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action && !call.is_dry_run).count()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Whoever asked may hang up meanwhile: what was asked for is done all the same.
async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    tokio::spawn(serve(shared, request)).await.unwrap()
}

async fn serve(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let query = Query::read(&parts.headers, &parts.uri, &body);
    let call = query.call();
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
    let (latency, verdict) = {
        let mut faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        (faults.latency, faults.judge(&call))
    };
    tokio::time::sleep(latency).await;
    if let Some(refusal) = verdict.refusal {
        return query.error(&refusal).respond();
    }
    let turn = query.client_token().map(|token| shared.turn(token));
    let _turn = match &turn {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    if let Some(known) = shared.known(&query) {
        return if verdict.is_lost { cut() } else { known.respond() };
    }
    let body = if call.action == "DescribeInstanceTypes" { stand_in::fewer_types(&body) } else { body };
    let told = if call.action == "CreateFleet" && !call.is_dry_run {
        fleet::create(&shared, &query, &parts.headers).await
    } else if let Some(told) = stand_in::answer(&shared, &query) {
        told
    } else if call.action == "ReceiveMessage" {
        // a long poll, for which nobody waits
        shared.ask(&parts.headers, parts.method, &parts.uri, body).await
    } else {
        shared.forward(&parts.headers, parts.method, &parts.uri, body).await
    };
    let told = match call.action.as_str() {
        "CreateLaunchTemplate" if told.status == 200 => {
            let groups = shared.faults.lock().unwrap().placement_groups.clone();
            shared.machines.lock().unwrap().note_template(&query, &groups);
            told
        }
        "DescribeInstances" => shared.machines.lock().unwrap().amend(told),
        "ListInstanceProfiles" if shared.faults.lock().unwrap().old_profiles => stand_in::older(told),
        _ => told,
    };
    if !packwright::aws::calls::only_reads(&call.action) {
        let text = String::from_utf8_lossy(&told.body).into_owned();
        shared.changes.lock().unwrap_or_else(PoisonError::into_inner).push((query.clone(), text));
    }
    shared.remember(&query, &told);
    if verdict.is_lost { cut() } else { told.respond() }
}

/// An answer that breaks off: whoever asked does not hear what became of it.
fn cut() -> Response {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("lost"))]);
    Response::builder().header(header::CONTENT_LENGTH, 10).body(Body::from_stream(broken)).unwrap()
}

impl Answer {
    fn xml(status: u16, body: String) -> Self {
        Self { status, kind: "text/xml".to_owned(), body: body.into() }
    }

    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, kind: "application/x-amz-json-1.1".to_owned(), body: body.to_string().into() }
    }

    fn respond(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap();
        Response::builder().status(status).header(header::CONTENT_TYPE, self.kind).body(self.body.into()).unwrap()
    }
}

impl Shared {
    /// What moto says, once it has done what it was asked for before.
    async fn forward(&self, headers: &HeaderMap, method: Method, uri: &Uri, body: Bytes) -> Answer {
        let _turn = self.one_at_a_time.lock().await;
        self.ask(headers, method, uri, body).await
    }

    async fn ask(&self, headers: &HeaderMap, method: Method, uri: &Uri, body: Bytes) -> Answer {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = axum::http::Request::builder().method(method).uri(format!("http://{}{path}", self.moto));
        for (name, value) in headers.iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            request = request.header(name, value);
        }
        let answered = self.client.request(request.body(Full::new(body)).unwrap()).await;
        let Ok(answered) = answered else { return Answer::xml(502, "moto is gone".to_owned()) };
        let kind = answered.headers().get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = answered.status().as_u16();
        Answer { status, kind, body: answered.into_body().collect().await.unwrap().to_bytes() }
    }

    fn turn(&self, token: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(token.to_owned()).or_default().clone()
    }

    /// To a call with a client token that was used before: the same answer to the same request, a refusal to another.
    fn known(&self, query: &Query) -> Option<Answer> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, told) = tokens.get(query.client_token()?)?;
        if asked == query {
            return Some(told.clone());
        }
        let words = "The client token was used before, with other parameters.";
        Some(query.error(&("IdempotentParameterMismatch".to_owned(), words.to_owned(), 400)))
    }

    fn remember(&self, query: &Query, told: &Answer) {
        if let Some(token) = query.client_token().filter(|_| told.status == 200) {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.insert(token.to_owned(), (query.clone(), told.clone()));
        }
    }
}
