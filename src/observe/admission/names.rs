//! Names of objects, by kind.

/// What of a DNS name is meant: a label has no dots.
const LABEL: &str = "lower-case letters, digits and '-', that start and end with a letter or digit";
const SUBDOMAIN: &str =
    "lower-case letters, digits, '-' and '.', that start and end with a letter or digit, as does what is between dots";

const MOST_OF_LABEL: usize = 63;
const MOST_OF_SUBDOMAIN: usize = 253;
/// The Jobs of a CronJob add eleven characters, and their pods have labels of their names.
const MOST_OF_CRON_JOB: usize = 52;

/// What is wrong with the name of an object of a kind: most are DNS subdomains (RFC 1123).
pub fn name(kind: &str, name: &str) -> Option<String> {
    match kind {
        "Namespace" | "Service" | "StatefulSet" => label(name),
        "CronJob" => subdomain(name, MOST_OF_CRON_JOB),
        // its registry asks for no more
        "PodDisruptionBudget" => segment(name),
        _ => subdomain(name, MOST_OF_SUBDOMAIN),
    }
}

/// What is wrong with the name of a namespace.
pub fn namespace(name: &str) -> Option<String> {
    label(name)
}

/// What is wrong with a DNS label.
pub(super) fn label(text: &str) -> Option<String> {
    let fits = is_label(text) && text.len() <= MOST_OF_LABEL;
    (!fits).then(|| expected(MOST_OF_LABEL, LABEL, text))
}

/// What is wrong with the domain of a label's key.
pub(super) fn subdomain_of_label(text: &str) -> Option<String> {
    subdomain(text, MOST_OF_SUBDOMAIN)
}

fn subdomain(text: &str, most: usize) -> Option<String> {
    let fits = text.split('.').all(is_label) && text.len() <= most;
    (!fits).then(|| expected(most, SUBDOMAIN, text))
}

fn segment(text: &str) -> Option<String> {
    let fits = ![".", ".."].contains(&text) && !text.contains(['/', '%']);
    (!fits).then(|| format!("expected a name without '/' and '%' that is not '.' or '..', found '{text}'"))
}

fn expected(most: usize, what: &str, found: &str) -> String {
    format!("expected at most {most} {what}, found '{found}'")
}

fn is_label(text: &str) -> bool {
    let is_alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let text = text.as_bytes();
    text.iter().all(|c| is_alphanumeric(c) || *c == b'-')
        && text.first().is_some_and(is_alphanumeric)
        && text.last().is_some_and(is_alphanumeric)
}
