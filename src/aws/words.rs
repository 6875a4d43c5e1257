//! What is said of a call that failed.

use std::collections::BTreeSet;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::cloud::ec2::errors::AwsError;

/// The code that AWS gives an error, where it has answered.
pub(super) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Characters of what is said of a call: it stands in conditions.
const LONGEST: usize = 300;

/// The call, the code and the message; where AWS did not answer, the causes. The same of the same failure, whenever it happens.
pub(super) fn reason<E, R>(call: &str, error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let said = match error.as_service_error() {
        Some(known) => {
            let (code, message) = (known.code().unwrap_or("no code"), known.message().unwrap_or("no message"));
            format!("{call}: {code}: {}", readable(message))
        }
        None => format!("{call}: {}", causes(error)),
    };
    said.chars().take(LONGEST).collect()
}

/// Without the encoded context of a refusal, which nobody can read and which is another one each time.
fn readable(message: &str) -> &str {
    message.split("Encoded authorization failure message").next().unwrap_or(message).trim_end()
}

/// An error and what it comes from.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The ids that a message names.
pub(super) fn named(ids: &[String], message: &str) -> BTreeSet<String> {
    let words: BTreeSet<&str> = message.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-').collect();
    ids.iter().filter(|id| words.contains(id.as_str())).cloned().collect()
}

/// Code and message, to be classified.
pub(super) fn error<E, R>(call: &str, error: &SdkError<E, R>) -> AwsError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error() {
        Some(known) => AwsError::new(known.code().unwrap_or_default(), known.message().unwrap_or_default()),
        // it may have been done, and the answer lost
        None => AwsError::new("RequestTimeout", format!("{call}: {}", causes(error))),
    }
}
