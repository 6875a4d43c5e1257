//! What is done about every call: it waits for its turn, it is counted, and where it would change anything it is refused in a shadow, and
//! once another process acts.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, Metadata};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use metrics::{counter, histogram};

use super::Leads;
use super::connect::Mode;
use super::limits::Limits;
use crate::cloud::ec2::errors::{AwsError, Class};

/// Whether a call changes nothing.
#[must_use]
pub fn only_reads(operation: &str) -> bool {
    ["Describe", "List", "Get"].iter().any(|verb| operation.starts_with(verb))
}

/// A call that a shadow does not make.
#[derive(Debug, thiserror::Error)]
#[error("{0} would change something, and a shadow changes nothing")]
struct Refused(String);

/// Counts calls under the names of the reference, learns of throttles, and refuses those that a shadow must not make.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub mode: Mode,
    pub limits: Arc<Limits>,
}

#[derive(Debug, Clone, Copy)]
struct Started(Instant);

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

#[derive(Debug, Clone, Copy)]
struct AttemptStarted(Instant);

impl Storable for AttemptStarted {
    type Storer = StoreReplace<Self>;
}

/// The service and the operation of a call.
fn names(config: &ConfigBag) -> (String, String) {
    let known = config.load::<Metadata>();
    known.map_or_else(Default::default, |known| (known.service().to_owned(), known.name().to_owned()))
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "packwright"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Started(Instant::now()));
        Ok(())
    }

    /// The first moment at which it is known what is called; nothing is sent yet.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (_, operation) = names(config);
        if self.mode == Mode::ReadsOnly && !only_reads(&operation) {
            return Err(Refused(operation).into());
        }
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(AttemptStarted(Instant::now()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, action) = names(config);
        if let Some(AttemptStarted(started)) = config.load::<AttemptStarted>() {
            let labels = [("service", service.clone()), ("action", action.clone())];
            histogram!("aws_sdk_go_request_attempt_duration_seconds", &labels).record(started.elapsed().as_secs_f64());
        }
        if let Some(answer) = context.response() {
            self.limits.note(&action, is_throttled(answer)); // its body was read by now
        }
        counter!("aws_sdk_go_request_attempt_total", "service" => service, "action" => action, "code" => code(context))
            .increment(1);
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, action) = names(config);
        let code = code(context);
        let labels = [("service", service.clone()), ("action", action.clone())];
        if let Some(Started(started)) = config.load::<Started>() {
            histogram!("aws_sdk_go_request_duration_seconds", &labels).record(started.elapsed().as_secs_f64());
        }
        let retries = config.load::<RequestAttempts>().map_or(0, |made| made.attempts().saturating_sub(1));
        counter!("aws_sdk_go_request_retry_count", &labels).increment(u64::from(retries));
        tracing::debug!(controller = "aws", service, action, code, retries, "called");
        counter!("aws_sdk_go_request_total", "service" => service, "action" => action, "code" => code).increment(1);
        Ok(())
    }
}

/// The status of the last answer; `0` where none came.
fn code(context: &FinalizerInterceptorContextRef<'_>) -> String {
    context.response().map_or(0, |response| response.status().as_u16()).to_string()
}

/// Whether calls that change something are sent: only by the process that acts. A call may have waited for its turn for minutes, or may be
/// tried again, when another process acts already.
#[derive(Default)]
pub(super) struct Gate(RwLock<Option<Leads>>);

impl Gate {
    /// From now on it is open while this process acts.
    pub fn follow(&self, leads: Leads) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(leads);
    }

    fn is_open(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(|leads| leads())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// A call that came too late.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not sent: another process acts now")]
struct Outrun(String);

/// A client of HTTP in which every attempt waits for its turn.
#[derive(Debug)]
pub(super) struct Limited<C> {
    pub inner: C,
    pub limits: Arc<Limits>,
    pub gate: Arc<Gate>,
}

impl HttpClient for Limited<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Limited { inner, limits: self.limits.clone(), gate: self.gate.clone() })
    }
}

impl HttpConnector for Limited<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, limits, gate) = (self.inner.clone(), self.limits.clone(), self.gate.clone());
        let operation = operation_of(&request);
        HttpConnectorFuture::new(async move {
            let Some(operation) = operation else { return inner.call(request).await };
            let started = Instant::now();
            limits.pass(&operation).await;
            waited(&operation, started.elapsed());
            if !only_reads(&operation) && !gate.is_open() {
                return Err(ConnectorError::user(Outrun(operation).into())); // which is not tried again
            }
            inner.call(request).await
        })
    }
}

fn waited(operation: &str, pause: Duration) {
    if pause > Duration::from_millis(1) {
        histogram!("packwright_aws_wait_seconds", "action" => operation.to_owned()).record(pause.as_secs_f64());
    }
}

/// EC2 throttles with 503 (`RequestLimitExceeded`); IAM (`Throttling`), SSM and Pricing (`ThrottlingException`) with 400, and then the code of the
/// error tells.
fn is_throttled(answer: &HttpResponse) -> bool {
    match answer.status().as_u16() {
        429 | 503 => true,
        400 => error_code(answer).is_some_and(|code| AwsError::new(code, "").class() == Class::Throttled),
        _ => false,
    }
}

/// JSON protocols write it as `__type`, the others of REST as a header, query protocols as `Code`; before it may be a namespace, after it a link.
fn error_code(answer: &HttpResponse) -> Option<String> {
    let body = String::from_utf8_lossy(answer.body().bytes()?);
    let code = match (answer.headers().get("x-amzn-errortype"), body.split_once("\"__type\"")) {
        (Some(header), _) => header,
        (None, Some((_, rest))) => rest.split('"').nth(1)?,
        (None, None) => body.split_once("<Code>")?.1.split('<').next()?,
    };
    Some(code.rsplit('#').next()?.split(':').next()?.to_owned())
}

/// What a request asks for: the JSON protocols say it in a header, the query protocols in the body. `None` for requests of the
/// credentials chain, and EKS, of which little is asked.
fn operation_of(request: &HttpRequest) -> Option<String> {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().map(str::to_owned);
    }
    operation_of_query(request.body().bytes()?)
}

fn operation_of_query(body: &[u8]) -> Option<String> {
    const PREFIX: &[u8] = b"Action=";
    let rest = body.strip_prefix(PREFIX)?;
    let end = rest.iter().position(|byte| *byte == b'&').unwrap_or(rest.len());
    let operation = std::str::from_utf8(&rest[..end]).ok()?;
    // the chain asks STS for credentials: also for who does not act, and only reads
    (!operation.starts_with("AssumeRole")).then(|| operation.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn what_a_shadow_may_call() {
        for operation in ["DescribeInstances", "ListInstanceProfiles", "GetParameter", "GetQueueUrl"] {
            assert!(only_reads(operation), "{operation}");
        }
        for operation in
            ["CreateFleet", "RunInstances", "TerminateInstances", "ReceiveMessage", "AddRoleToInstanceProfile"]
        {
            assert!(!only_reads(operation), "{operation}");
        }
    }

    /// Answers whatever comes.
    #[derive(Debug, Default)]
    struct Served(Arc<AtomicUsize>);

    impl HttpConnector for Served {
        fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
            self.0.fetch_add(1, Ordering::SeqCst);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty())))
        }
    }

    #[test]
    fn what_changes_something_is_not_sent_once_another_process_acts() {
        let (leads, served) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Gate::default());
        let inner = SharedHttpConnector::new(Served(served.clone()));
        let limited = Limited { inner, limits: Arc::default(), gate: gate.clone() };
        let send = |action: &str| {
            let request = HttpRequest::new(SdkBody::from(format!("Action={action}&Version=1")));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async { limited.call(request).await }).map(drop).map_err(|error| format!("{error:?}"))
        };
        assert!(send("CreateFleet").is_ok(), "nobody has said who acts");
        gate.follow({
            let leads = leads.clone();
            Arc::new(move || leads.load(Ordering::SeqCst))
        });
        assert!(send("CreateFleet").is_ok());
        leads.store(false, Ordering::SeqCst);
        let refused = send("CreateFleet").unwrap_err();
        assert!(refused.contains("Outrun(\"CreateFleet\")"), "{refused}");
        assert!(send("DescribeInstances").is_ok(), "it changes nothing");
        assert!(send("AssumeRoleWithWebIdentity").is_ok(), "who does not act reads, and needs credentials for that");
        assert_eq!(served.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn a_throttle_is_known_by_its_status_or_by_its_code() {
        let of =
            |status: u16, body: &str| is_throttled(&HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body)));
        assert!(of(503, "") && of(429, ""));
        assert!(of(400, r#"{"__type":"com.amazonaws.ssm#ThrottlingException","message":"Rate exceeded"}"#));
        assert!(of(400, "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code></Error></ErrorResponse>"));
        assert!(!of(400, r#"{"__type": "ParameterNotFound", "message": "Throttling"}"#));
        assert!(!of(400, "<Response><Errors><Error><Code>InvalidParameterValue</Code></Error></Errors></Response>"));
        assert!(!of(200, "<Code>Throttling</Code>"));
        let mut of_rest = HttpResponse::new(400.try_into().unwrap(), SdkBody::from("{}"));
        of_rest.headers_mut().insert("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/");
        assert!(is_throttled(&of_rest));
    }

    #[test]
    fn the_operation_is_read_from_the_body() {
        let read = |body: &str| operation_of_query(body.as_bytes());
        assert_eq!(read("Action=CreateFleet&Version=2016-11-15").as_deref(), Some("CreateFleet"));
        assert_eq!(read("Action=Solo").as_deref(), Some("Solo"));
        assert_eq!(read("{}"), None);
    }
}
