//! YAML streams -> documents. They are cut at their document markers first, so that a syntax error costs one document
//! and not the file.

use std::num::NonZeroUsize;
use std::thread;

use serde_json::Value;

use super::SyntaxFault;
use crate::observe::input::Place;

/// Reading as many documents or items takes some 10 ms, hundreds of times what starting a thread takes.
const WORTH_A_THREAD: usize = 100;

/// Nesting beyond this is no Kubernetes object (the deepest CRD schemas have about 30 levels).
const MAX_DEPTH: usize = 200;

/// The documents that are not null, in order. Threads share the parsing, which is most of the time that loading takes.
pub(super) fn documents(text: &str) -> Vec<Result<Value, SyntaxFault>> {
    let documents = split_documents(text);
    let parsed = shared_out(&documents, |part| {
        part.iter().map(|(text, before)| long_list(text).map_or_else(|| document(text, *before), Ok)).collect()
    });
    parsed.into_iter().filter(|document| *document != Ok(Value::Null)).collect()
}

/// What `work` makes of the parts that each thread gets, in order.
fn shared_out<T: Sync, R: Send>(all: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = all.len().div_ceil(threads).max(WORTH_A_THREAD);
    if all.len() <= share {
        return work(all);
    }
    thread::scope(|scope| {
        let parts: Vec<_> = all.chunks(share).map(|part| scope.spawn(|| work(part))).collect();
        let done = parts.into_iter().map(|part| part.join().expect("parsing reports errors and does not panic"));
        done.flatten().collect()
    })
}

/// A `List` as `kubectl get -o yaml` prints it, its items read by several threads. `None` where the document is another
/// or something in it cannot be read: then it is read as a whole.
///
/// A line that begins with `- ` is an item of the list wherever it stands: what belongs to an item is indented (YAML 1.2,
/// 8.2.1). An alias of an anchor in another part cannot be read.
fn long_list(text: &str) -> Option<Value> {
    let start = text.find("\nitems:\n- ")? + "\nitems:\n".len();
    let mut items: Vec<&str> = Vec::new();
    let (mut item, mut end) = (start, start);
    for line in text[start..].split_inclusive('\n') {
        let belongs = line.starts_with([' ', '\n', '#']);
        if line.starts_with("- ") || !belongs {
            items.extend(Some(&text[item..end]).filter(|item| !item.is_empty()));
            item = end;
        }
        if !belongs && !line.starts_with("- ") {
            break;
        }
        end += line.len();
    }
    items.extend(Some(&text[item..end]).filter(|item| !item.is_empty()));
    if items.len() < 2 * WORTH_A_THREAD {
        return None;
    }
    let mut list = document(&[&text[..start], &text[end..]].concat(), 0).ok()?;
    let read = shared_out(&items, |part| match document(&part.concat(), 0) {
        Ok(Value::Array(items)) => items.into_iter().map(Some).collect(),
        _ => vec![None],
    });
    let read: Vec<Value> = read.into_iter().collect::<Option<_>>()?;
    let found = list.as_object_mut()?.insert("items".to_owned(), Value::Array(read));
    found.is_none_or(|found| found.is_null()).then_some(list)
}

fn document(text: &str, lines_before: usize) -> Result<Value, SyntaxFault> {
    parse(text).or_else(|_| {
        // once more with what is before it, so that the error names the places in the file
        let in_file = ["\n".repeat(lines_before).as_str(), text].concat();
        parse(&in_file).map_err(|error| {
            let location = error.location();
            let reason = error.without_snippet().to_string();
            let reason = reason.lines().next().unwrap_or_default();
            let own = location.map(|of| format!(" at line {}, column {}", of.line(), of.column()));
            let reason = own.map_or_else(|| reason.to_owned(), |own| reason.replace(&own, ""));
            // files that are put together one after another
            let reason = match reason.split_once(", set DuplicateKeyPolicy") {
                Some((said, _)) => format!("{said} (a new document begins with a line of ---)"),
                None => reason,
            };
            let template = if text.contains("{{") { " (a template? helm template CHART renders it)" } else { "" };
            let number = |of: u64| u32::try_from(of).unwrap_or(u32::MAX);
            let place = location.map(|of| Place { line: number(of.line()), column: number(of.column()) });
            SyntaxFault { place, message: format!("not valid YAML: {reason}{template}") }
        })
    })
}

fn parse(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        // The input is the user's own and may be a whole cluster: only depth and alias expansion are bounded.
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// The documents of a YAML stream, each with the number of lines before it. A `---` at the start of a line is a marker
/// wherever it stands, even inside a block scalar (YAML 1.2, 9.1.2). Documents that hold only comments are left out.
fn split_documents(text: &str) -> Vec<(&str, usize)> {
    let mut documents = Vec::new();
    let (mut start, mut lines_before, mut offset, mut has_content) = (0, 0, 0, false);
    for (line, number) in text.split_inclusive('\n').zip(0..) {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker {
            if has_content {
                documents.push((&text[start..offset], lines_before));
            }
            (start, lines_before, has_content) = (offset, number, !line[3..].trim().is_empty());
        } else {
            let trimmed = line.trim();
            has_content |= !(trimmed.is_empty() || trimmed.starts_with(['#', '%']) || trimmed == "...");
        }
        offset += line.len();
    }
    if has_content {
        documents.push((&text[start..], lines_before));
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: usize, item: &str, after: &str) -> String {
        let items: String = (0..items).map(|i| item.replace("{i}", &i.to_string())).collect();
        format!("apiVersion: v1\nitems:\n{items}{after}")
    }

    #[test]
    fn a_long_list_is_read_in_parts_as_it_is_as_a_whole() {
        let after = "kind: List\nmetadata:\n  resourceVersion: \"\"\n";
        let item = "- a: {i}\n  text: |\n    - no item\n\n    x\n  list:\n  - 1\n  - 2\n# between\n";
        for (items, item, after) in
            [(250, item, after), (250, item, ""), (201, "- {i}\n", after), (200, "- - {i}\n", after)]
        {
            let text = list(items, item, after);
            let in_parts = long_list(&text).expect("it is long");
            assert_eq!(Ok(&in_parts), document(&text, 0).as_ref());
            assert_eq!(in_parts["items"].as_array().map(Vec::len), Some(items));
        }
    }

    #[test]
    fn what_cannot_be_cut_is_read_as_a_whole() {
        let anchor = list(250, "- &a{i} {b: {i}}\n", "kind: List\n").replace("- &a249 {b: 249}\n", "- *a0\n");
        let wrong = list(250, "- a: {i}\n", "kind: [\n");
        let twice = list(250, "- a: {i}\n", "items: []\n");
        for text in [&list(10, "- a: {i}\n", ""), &wrong, &twice] {
            assert_eq!(long_list(text), None);
        }
        // a processor alone cuts nothing
        let is_cut = thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
        assert!(!is_cut || long_list(&anchor).is_none());
        assert_eq!(documents(&anchor)[0].as_ref().map(|list| list["items"][249]["b"].clone()), Ok(0.into()));
        assert!(documents(&wrong)[0].as_ref().is_err_and(|fault| fault.place.is_some_and(|place| place.line > 250)));
    }
}
