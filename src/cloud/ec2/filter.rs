//! Filters of Describe calls.

use std::collections::BTreeMap;

/// One filter: a name, and the values of which one must be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    /// As EC2 calls it, such as `image-id` or `tag:Name`.
    pub name: String,
    /// Any of them will do; `*` and `?` are wildcards.
    pub values: Vec<String>,
}

impl Filter {
    /// A filter.
    pub fn new<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// One filter for each tag; the value `*` asks for the key alone.
    #[must_use]
    pub fn of_tags(tags: &BTreeMap<String, String>) -> Vec<Self> {
        let of_tag = |(key, value): (&String, &String)| match value.as_str() {
            "*" => Self::new("tag-key", [key.as_str()]),
            value => Self::new(format!("tag:{key}"), [value]),
        };
        tags.iter().map(of_tag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_asks_for_the_key() {
        let tags = BTreeMap::from([("a".to_owned(), "*".to_owned()), ("b".to_owned(), "x*".to_owned())]);
        assert_eq!(Filter::of_tags(&tags), [Filter::new("tag-key", ["a"]), Filter::new("tag:b", ["x*"])]);
    }
}
