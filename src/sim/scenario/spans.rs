//! Durations as they are written: `90s` or `1h 30m`.

pub(super) mod span {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed: Option<SignedDuration> = text.parse().ok();
        let span = parsed.and_then(|span| Duration::try_from(span).ok());
        span.ok_or_else(|| D::Error::custom(format!("expected a duration such as 90s or 1h 30m, found {text}")))
    }

    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let span = SignedDuration::try_from(*span).unwrap_or(SignedDuration::MAX);
        serializer.collect_str(&format_args!("{span:#}"))
    }
}

pub(super) mod optional_span {
    use std::time::Duration;

    use serde::de::Deserializer;
    use serde::ser::Serializer;

    use super::span;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        span::deserialize(deserializer).map(Some)
    }

    #[allow(clippy::ref_option)] // what serde asks for
    pub fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => span::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }
}
