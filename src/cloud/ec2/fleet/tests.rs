use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::api::labels;
use crate::catalog::{CapacityType, InstanceType};
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::fixtures::{class, cluster, option, template, types};
use crate::cloud::ec2::fleet::earlier::Holder;
use crate::cloud::ec2::listing::{FoundInstance, InstanceState};
use crate::cloud::{Answer, Launch, LaunchError, OfferingName, kwok};

mod answering;
mod requesting;

/// Launches of claims by uid that allow the same options.
fn launches(uids: &[&str], options: &[&str]) -> Vec<Launch> {
    launches_of(&class(&json!({}), &json!({})), uids, options)
}

fn launches_of(class: &Arc<crate::api::ec2_node_class::EC2NodeClass>, uids: &[&str], options: &[&str]) -> Vec<Launch> {
    let types = types(class);
    let node = Arc::new(template(class, &json!({})));
    let launch = |uid: &&str| Launch {
        claim: format!("claim-{uid}").into(),
        uid: Arc::from(*uid),
        types: types.clone(),
        options: options.iter().map(|text| option(&types, text)).collect(),
        faults: kwok::Faults::default(),
        node: Some(Ok(node.clone())),
        earlier: None,
    };
    uids.iter().map(launch).collect()
}

fn batch(uids: &[&str], options: &[&str]) -> Batch {
    let mut found = batches(&launches(uids, options));
    assert_eq!((found.batches.len(), found.answers.len()), (1, 0));
    found.batches.remove(0)
}

fn space(id: &str, zone: &str, free: i64) -> SubnetSpace {
    SubnetSpace { id: id.to_owned(), zone: zone.to_owned(), free }
}

fn spaces() -> Vec<SubnetSpace> {
    vec![space("subnet-1", "us-east-1a", 10), space("subnet-2", "us-east-1a", 20), space("subnet-3", "us-east-1b", 5)]
}

/// The request of a batch with its launch templates.
fn asked(batch: &Batch) -> (FleetRequest, Vec<Templated>) {
    let templates = templates(&cluster(), batch).unwrap();
    let request = request(&cluster(), batch, &templates, &spaces(), 1).unwrap();
    (request, templates)
}
