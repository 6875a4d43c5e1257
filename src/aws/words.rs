//! What is said of a call that failed.

use std::collections::BTreeSet;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::cloud::ec2::errors::AwsError;

/// The code that AWS gives an error, where it has answered.
pub(super) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// The call, the code and the message; where AWS did not answer, the whole chain of causes.
pub(super) fn reason<E, R>(call: &str, error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match error.as_service_error() {
        Some(known) => {
            let (code, message) = (known.code().unwrap_or("no code"), known.message().unwrap_or("no message"));
            format!("{call}: {code}: {message}")
        }
        None => format!("{call}: {}", DisplayErrorContext(error)),
    }
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
        None => AwsError::new("RequestTimeout", format!("{call}: {}", DisplayErrorContext(error))),
    }
}
