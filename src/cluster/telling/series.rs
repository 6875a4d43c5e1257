//! Series in Prometheus' text format, for what is as many as there are objects: what is gone has none.

use std::fmt::Write as _;

/// Text in the making.
#[derive(Debug, Default)]
pub(super) struct Series(String);

impl Series {
    /// Begins a gauge; its values follow.
    pub fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n"); // into a String
        Family { text: &mut self.0, name: name.to_owned() }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// One metric.
pub(super) struct Family<'s> {
    text: &'s mut String,
    name: String,
}

impl Family<'_> {
    /// Labels without a value are left out, which means the same.
    pub fn set<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>, value: f64) {
        self.text.push_str(&self.name);
        let mut open = '{';
        for (key, label) in labels.into_iter().filter(|(_, label)| !label.is_empty()) {
            let _ = write!(self.text, "{open}{key}=\"{}\"", escaped(label)); // into a String
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}"); // into a String
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_prometheus_reads() {
        let mut series = Series::default();
        let mut family = series.gauge("m", "What it is.");
        family.set([("a", "x"), ("b", ""), ("c", "1\"2\\3\n4")], 1.5);
        family.set([], 2.0);
        let expected = "# HELP m What it is.\n# TYPE m gauge\nm{a=\"x\",c=\"1\\\"2\\\\3\\n4\"} 1.5\nm 2\n";
        assert_eq!(series.into_text(), expected);
    }
}
