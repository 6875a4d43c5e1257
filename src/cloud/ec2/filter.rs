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

/// EC2 takes so many values in one call, those of all its filters together (`FilterLimitExceeded`).
pub const MOST_VALUES: usize = 200;

impl Filter {
    /// A filter.
    pub fn new<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// Filters of one name for as many calls as it takes, the values in their order; each leaves room for `others` values of other
    /// filters.
    #[must_use]
    pub fn for_calls<V: AsRef<str>>(name: &str, values: &[V], others: usize) -> Vec<Self> {
        let most = MOST_VALUES.saturating_sub(others).max(1);
        values.chunks(most).map(|values| Self::new(name, values.iter().map(AsRef::as_ref))).collect()
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

    #[test]
    fn no_call_has_more_values_than_ec2_takes() {
        let ids: Vec<String> = (0..450).map(|number| format!("i-{number}")).collect();
        let sizes = |others| -> Vec<usize> {
            Filter::for_calls("instance-id", &ids, others).iter().map(|filter| filter.values.len()).collect()
        };
        assert_eq!((sizes(0), sizes(4)), (vec![200, 200, 50], vec![196, 196, 58]));
        let all: Vec<String> = Filter::for_calls("instance-id", &ids, 0).into_iter().flat_map(|of| of.values).collect();
        assert_eq!(all, ids);
        assert!(Filter::for_calls::<&str>("instance-id", &[], 0).is_empty());
    }
}
