//! Archives of several parts (RFC 2046), as cloud-init and nodeadm read them.

use super::UserDataError;

/// The boundary of the archives that are written, as the reference's.
const BOUNDARY: &str = "//";

pub(super) const SHELL_SCRIPT: &str = r#"text/x-shellscript; charset="us-ascii""#;
pub(super) const NODE_CONFIG: &str = "application/node.eks.aws";

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Names and values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Part {
    pub fn new(content_type: &str, body: impl Into<String>) -> Self {
        Self { headers: vec![("Content-Type".to_owned(), content_type.to_owned())], body: body.into() }
    }
}

/// Whether a text is an archive rather than what goes into one.
pub(super) fn is_archive(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("MIME-Version:") || text.starts_with("Content-Type:")
}

/// Reads an archive.
///
/// # Errors
/// It does not say that it has several parts, or its last part does not end.
pub(super) fn read(text: &str) -> Result<Vec<Part>, UserDataError> {
    let text = text.trim_start().replace('\r', "");
    let malformed = |reason: &str| UserDataError::Malformed(format!("found a MIME archive {reason}"));
    let (headers, body) = split_headers(&text);
    let content_type = header(&headers, "Content-Type").ok_or_else(|| malformed("without a header Content-Type"))?;
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return Err(malformed(&format!("of type {content_type}: expected multipart/mixed")));
    }
    let boundary = boundary(content_type).ok_or_else(|| malformed("without a boundary in its Content-Type"))?;
    let (between, end) = (format!("--{boundary}"), format!("--{boundary}--"));
    let mut parts: Vec<Vec<&str>> = Vec::new();
    let mut is_open = false;
    let mut has_ended = false;
    for line in body.split('\n') {
        match line.trim_end() {
            line if line == end => {
                has_ended = true;
                break;
            }
            line if line == between => {
                parts.push(Vec::new());
                is_open = true;
            }
            // what comes before the first boundary is for people
            _ if !is_open => {}
            _ => parts.last_mut().expect("a boundary has opened one").push(line),
        }
    }
    if !has_ended {
        return Err(malformed(&format!("without its end: expected a line {end}")));
    }
    // the line break before a boundary belongs to the boundary
    let part = |lines: Vec<&str>| {
        let text = lines.join("\n");
        let (headers, body) = split_headers(&text);
        Part { headers, body: body.to_owned() }
    };
    Ok(parts.into_iter().map(part).collect())
}

/// Headers up to the first empty line; a line that begins with white space goes on with the one before.
fn split_headers(text: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = match text.strip_prefix('\n') {
        Some(body) => ("", body),
        None => text.split_once("\n\n").unwrap_or((text, "")),
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    (headers, body)
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn boundary(content_type: &str) -> Option<&str> {
    let of = |parameter: &'static str| move |part: &&str| part.trim_start().to_ascii_lowercase().starts_with(parameter);
    let value = content_type.split(';').find(of("boundary="))?.split_once('=')?.1.trim();
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(unquoted).filter(|boundary| !boundary.is_empty())
}

/// Writes an archive.
pub(super) fn write(parts: &[Part]) -> String {
    let mut boundary = BOUNDARY.to_owned();
    while parts.iter().any(|part| part.body.lines().any(|line| line.starts_with(&format!("--{boundary}")))) {
        boundary.push('/');
    }
    let part = |part: &Part| {
        let headers = part.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        format!("--{boundary}\n{}\n{}\n", headers.collect::<String>(), part.body.replace('\r', ""))
    };
    let head = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
    let parts = parts.iter().map(part).collect::<String>();
    format!("{head}{parts}--{boundary}--\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let parts = vec![
            Part::new(SHELL_SCRIPT, "#!/bin/bash\necho --\n\necho end\n"),
            Part::new(NODE_CONFIG, "kind: NodeConfig"),
            Part::new(SHELL_SCRIPT, "--//\nlooks like a boundary"),
        ];
        let text = write(&parts);
        assert!(
            text.starts_with("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"///\"\n\n--///\n"),
            "{text}"
        );
        assert_eq!(read(&text).unwrap(), parts);
        assert!(write(&parts[..2]).contains("boundary=\"//\""));
    }

    #[test]
    fn archives_of_others_are_read() {
        let text = "Content-Type: multipart/mixed;\n boundary=BOUNDARY; charset=utf-8\r\nMIME-Version: 1.0\n\nfor people\n\
            --BOUNDARY\r\nContent-Type: text/cloud-config\nContent-Disposition: attachment\n\na: 1\n\n--BOUNDARY--\nrest";
        let parts = read(text).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].headers[1], ("Content-Disposition".to_owned(), "attachment".to_owned()));
        assert_eq!(parts[0].body, "a: 1\n");
    }

    #[test]
    fn what_is_no_archive_says_why() {
        for (text, reason) in [
            ("MIME-Version: 1.0\n\n", "without a header Content-Type"),
            ("Content-Type: text/plain\n\nx", "of type text/plain"),
            ("Content-Type: multipart/mixed\n\nx", "without a boundary"),
            ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx", "without its end"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
