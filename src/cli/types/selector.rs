//! The grammar of `--requirements`: kubectl's label selectors, with comparisons.
//!
//! `k in (a, b)`, `k notin (a, b)`, `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k>n`, `k>=n`, `k<n`, `k<=n`, joined by commas.
//! Labels of `karpenter.k8s.aws` may be written without their domain, and so may `zone`, `arch`, `os`, `region`,
//! `capacity-type` and `instance-type`.

use crate::api::labels;
use crate::requirements::{Operator, Requirement, Requirements};

/// Reads a selector.
///
/// # Errors
/// One sentence that quotes the term and says what is expected.
pub fn parse(text: &str) -> Result<Requirements, String> {
    let mut requirements = Requirements::new();
    for term in terms(text)? {
        let (key, requirement) = parse_term(term).map_err(|reason| format!("'{term}': {reason}"))?;
        requirements.add(&key, requirement);
    }
    Ok(requirements)
}

/// Splits at the commas outside parentheses.
fn terms(text: &str) -> Result<Vec<&str>, String> {
    let (mut terms, mut start, mut inside) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            '(' if inside => return Err(format!("'{text}': a parenthesis inside parentheses")),
            '(' => inside = true,
            ')' if !inside => return Err(format!("'{text}': a closing parenthesis without an opening one")),
            ')' => inside = false,
            ',' if !inside => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(format!("'{text}': a parenthesis is not closed"));
    }
    terms.push(&text[start..]);
    let terms: Vec<&str> = terms.into_iter().map(str::trim).collect();
    if terms.contains(&"") { Err(format!("'{text}': a term is empty")) } else { Ok(terms) }
}

/// The longer operators first.
const COMPARISONS: [(&str, Operator); 7] = [
    ("!=", Operator::NotIn),
    (">=", Operator::Gte),
    ("<=", Operator::Lte),
    ("==", Operator::In),
    ("=", Operator::In),
    (">", Operator::Gt),
    ("<", Operator::Lt),
];

fn parse_term(term: &str) -> Result<(String, Requirement), String> {
    if let Some(list) = term.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or("a closing parenthesis without an opening one")?;
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        if values.contains(&"") {
            return Err("a value of the list is empty".to_owned());
        }
        let operator = match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, word] if word.eq_ignore_ascii_case("in") => Some((*key, Operator::In)),
            [key, word] if word.eq_ignore_ascii_case("notin") => Some((*key, Operator::NotIn)),
            _ => None,
        };
        let (key, operator) = operator.ok_or("expected 'key in (...)' or 'key notin (...)'")?;
        return Ok((full_key(key)?, Requirement::from_operator(operator, &values)?));
    }
    // an absent label is written !key; != further right is a comparison
    if let Some(key) = term.strip_prefix('!') {
        return Ok((full_key(key.trim())?, Requirement::does_not_exist()));
    }
    for (sign, operator) in COMPARISONS {
        if let Some((key, value)) = term.split_once(sign) {
            return Ok((full_key(key.trim())?, Requirement::from_operator(operator, &[plain_value(value)?])?));
        }
    }
    Ok((full_key(term)?, Requirement::exists()))
}

/// The value of a comparison; an empty one is a label value too (the hypervisor of bare metal).
fn plain_value(text: &str) -> Result<&str, String> {
    let value = text.trim();
    if value.chars().all(is_label_char) { Ok(value) } else { Err(format!("'{value}' is not a label value")) }
}

pub(in crate::cli) fn full_key(key: &str) -> Result<String, String> {
    if key.is_empty() || !key.chars().all(|c| is_label_char(c) || c == '/') {
        return Err(format!("'{key}' is not a label key"));
    }
    let short = match key {
        "zone" => labels::ZONE,
        "region" => labels::REGION,
        "arch" => labels::ARCH,
        "os" => labels::OS,
        "capacity-type" => labels::CAPACITY_TYPE,
        "instance-type" => labels::INSTANCE_TYPE,
        _ => {
            let aws = format!("karpenter.k8s.aws/{key}");
            return Ok(if labels::is_well_known(&aws) { aws } else { key.to_owned() });
        }
    };
    Ok(short.to_owned())
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_read() {
        let text = "instance-family in (c7g, m7g), instance-size NotIn (metal), instance-gpu-count, !instance-local-nvme, \
                    arch=arm64, os != windows, instance-cpu > 4, instance-cpu<=16, instance-memory >= 8192, example.com/x==1";
        let requirements = parse(text).unwrap();
        assert_eq!(
            requirements.to_string(),
            "example.com/x In [1], karpenter.k8s.aws/instance-cpu Gte [5] and Lte [16], \
             karpenter.k8s.aws/instance-family In [c7g, m7g], karpenter.k8s.aws/instance-gpu-count Exists, \
             karpenter.k8s.aws/instance-local-nvme DoesNotExist, karpenter.k8s.aws/instance-memory Gte [8192], \
             karpenter.k8s.aws/instance-size NotIn [metal], kubernetes.io/arch In [arm64], kubernetes.io/os NotIn [windows]"
        );
    }

    #[test]
    fn mistakes_are_quoted() {
        for (text, expected) in [
            ("", "a term is empty"),
            ("a,,b", "a term is empty"),
            ("a in (b", "not closed"),
            ("a in b)", "without an opening"),
            ("a in (b,)", "a value of the list is empty"),
            ("a within (b)", "expected 'key in (...)'"),
            ("instance-cpu > many", "expects one integer"),
            ("a b", "'a b' is not a label key"),
            ("a => 3", "is not a label value"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
