use serde_json::json;

use super::*;

fn spec(terms: &serde_json::Value) -> EC2NodeClassSpec {
    serde_json::from_value(json!({"amiFamily": "Custom", "amiSelectorTerms": terms, "subnetSelectorTerms": [],
        "securityGroupSelectorTerms": []}))
    .unwrap()
}

const VERSION: KubernetesVersion = KubernetesVersion { major: 1, minor: 32 };

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 86_400).unwrap()
}

fn image(id: &str, arch: &str, created: i64, deprecated: Option<i64>) -> FoundImage {
    FoundImage {
        id: id.to_owned(),
        name: format!("name of {id}"),
        architecture: arch.to_owned(),
        created: Some(at(created)),
        deprecated: deprecated.map(at),
    }
}

fn ids(images: &[AMI]) -> Vec<&str> {
    images.iter().map(|image| image.id.as_str()).collect()
}

#[test]
fn terms_become_as_few_calls_as_they_can() {
    let spec = spec(&json!([
        {"id": "ami-1"}, {"ssmParameter": "/mine"}, {"ssmParameter": "/gone"}, {"ssmParameter": "/odd"},
        {"name": "node-*"}, {"name": "node-*", "owner": "123456789012"}, {"tags": {"team": "a"}},
    ]));
    let sought = sought(&spec, VERSION).unwrap();
    assert_eq!(sought, Sought::Terms { parameters: ["/mine", "/gone", "/odd"].map(str::to_owned).to_vec() });
    let values = [("/mine", "ami-2"), ("/odd", "not an image")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let found = queries(&spec, &sought, &values.into()).queries;
    let available = Filter::new("state", ["available"]);
    let query = |owners: &[&str], filter: Filter| ImageQuery {
        owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
        filters: vec![available.clone(), filter],
    };
    assert_eq!(
        found,
        [
            query(&[], Filter::new("image-id", ["ami-1", "ami-2"])),
            query(&["self", "amazon"], Filter::new("name", ["node-*"])),
            query(&["123456789012"], Filter::new("name", ["node-*"])),
            query(&[], Filter::new("tag:team", ["a"])),
        ]
    );
}

#[test]
fn of_an_alias_each_variant_serves_its_types() {
    let spec = spec(&json!([{"alias": "al2@latest"}]));
    let sought = sought(&spec, VERSION).unwrap();
    let Sought::Alias(_, parameters) = &sought else { panic!("{sought:?}") };
    let values = parameters.iter().zip(["ami-std", "ami-arm", "ami-gpu"]);
    let values = values.map(|(parameter, id)| (parameter.name.clone(), id.to_owned())).collect();
    let queries = queries(&spec, &sought, &values);
    assert_eq!(queries.queries[0].filters[1], Filter::new("image-id", ["ami-arm", "ami-gpu", "ami-std"]));
    let found =
        [image("ami-std", "x86_64", 1, None), image("ami-gpu", "x86_64", 2, None), image("ami-arm", "arm64", 3, None)];
    let chosen = queries.choose(&found, at(10));
    assert_eq!(ids(&chosen), ["ami-arm", "ami-gpu", "ami-gpu", "ami-std"]);
    let class = crate::cloud::ec2::fixtures::class(&json!({}), &json!({}));
    let types = crate::cloud::ec2::fixtures::types(&class);
    let of = |name: &str| of_type(&chosen, types.iter().find(|kind| &*kind.name == name).unwrap());
    for (name, id) in
        [("m5.large", "ami-std"), ("g4dn.xlarge", "ami-gpu"), ("inf1.xlarge", "ami-gpu"), ("m6g.large", "ami-arm")]
    {
        assert_eq!(of(name).as_deref(), Some(id), "{name}");
    }
}

#[test]
fn the_newest_that_is_not_deprecated_is_chosen_for_each_architecture() {
    let queries = ImageQueries::default();
    let found = [
        image("ami-new", "x86_64", 5, Some(6)),
        image("ami-old", "x86_64", 1, None),
        image("ami-mid", "x86_64", 3, Some(100)),
        image("ami-arm", "arm64", 2, Some(3)),
        image("ami-mac", "x86_64_mac", 9, None),
    ];
    let chosen = queries.choose(&found, at(10));
    assert_eq!(ids(&chosen), ["ami-mid", "ami-arm"], "the newest first");
    assert_eq!((chosen[0].deprecated, chosen[1].deprecated), (None, Some(true)));
    assert_eq!(ids(&queries.choose(&found, at(5))), ["ami-new", "ami-arm"], "its time has not come");
}

#[test]
fn windows_images_serve_their_build() {
    let spec = spec(&json!([{"alias": "windows2022@latest"}]));
    let sought = sought(&spec, VERSION).unwrap();
    let Sought::Alias(_, parameters) = &sought else { panic!("{sought:?}") };
    let values = BTreeMap::from([(parameters[0].name.clone(), "ami-1".to_owned())]);
    let chosen = queries(&spec, &sought, &values).choose(&[image("ami-1", "x86_64", 1, None)], at(2));
    let values: Vec<_> = chosen[0].requirements.iter().map(|of| of.values.as_ref().unwrap()[0].as_str()).collect();
    assert_eq!(values, ["amd64", "windows", "10.0.20348"]);
}

#[test]
fn nothing_found_is_nothing_asked() {
    let spec = spec(&json!([{"alias": "al2023@latest"}]));
    let sought = sought(&spec, VERSION).unwrap();
    assert!(queries(&spec, &sought, &BTreeMap::new()).queries.is_empty());
}
