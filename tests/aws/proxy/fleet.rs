//! CreateFleet as EC2 does it: the first override that can be had, by priority, and an error for each that cannot.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};

use super::query::Query;
use super::{Answer, Shared};

/// An override, and the launch template of its configuration.
#[derive(Debug, Clone, Default)]
struct Override {
    config: String,
    fields: BTreeMap<String, String>,
}

impl Override {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn priority(&self) -> f64 {
        self.field("Priority").parse().unwrap_or(0.0)
    }
}

const CONFIGS: &str = "LaunchTemplateConfigs.";

/// Asks moto for the override that EC2 would choose.
pub(super) async fn create(shared: &Shared, query: &Query, headers: &HeaderMap) -> Answer {
    let capacity_type = query.field("TargetCapacitySpecification.DefaultTargetCapacityType").to_owned();
    let mut overrides = overrides(query);
    overrides.sort_by(|a, b| a.priority().total_cmp(&b.priority()));
    let (gone, there): (Vec<Override>, Vec<Override>) = {
        let faults = shared.faults.lock().unwrap();
        overrides.into_iter().partition(|of| {
            faults.is_unavailable(of.field("InstanceType"), of.field("AvailabilityZone"), &capacity_type)
        })
    };
    let errors = errors(&gone, &capacity_type);
    let Some(chosen) = there.first() else {
        let body = format!(
            "<CreateFleetResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
             <fleetId>fleet-none</fleetId>{errors}<fleetInstanceSet/></CreateFleetResponse>"
        );
        return Answer::xml(200, body);
    };
    let answer = shared.forward(headers, Method::POST, &Uri::from_static("/"), body(query, chosen)).await;
    let template = query.field(&format!("{CONFIGS}{}.LaunchTemplateSpecification.LaunchTemplateName", chosen.config));
    shared.machines.lock().unwrap().note_instances(&answer, template);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let body = text.replace("</CreateFleetResponse>", &format!("{errors}</CreateFleetResponse>"));
    Answer { body: body.into(), ..answer }
}

fn overrides(query: &Query) -> Vec<Override> {
    let mut found: BTreeMap<(String, usize), Override> = BTreeMap::new();
    for (key, value) in &query.fields {
        let Some(rest) = key.strip_prefix(CONFIGS) else { continue };
        let Some((config, rest)) = rest.split_once(".Overrides.") else { continue };
        let Some((number, field)) = rest.split_once('.') else { continue };
        let place = found.entry((config.to_owned(), number.parse().unwrap())).or_default();
        config.clone_into(&mut place.config);
        place.fields.insert(field.to_owned(), value.clone());
    }
    found.into_values().collect()
}

/// The query with one override.
fn body(query: &Query, chosen: &Override) -> Bytes {
    let template = format!("{CONFIGS}{}.LaunchTemplateSpecification.", chosen.config);
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (key, value) in &query.fields {
        match key.strip_prefix(&template) {
            Some(field) => drop(written.append_pair(&format!("{CONFIGS}1.LaunchTemplateSpecification.{field}"), value)),
            None if key.starts_with(CONFIGS) => {}
            None => drop(written.append_pair(key, value)),
        }
    }
    for (field, value) in &chosen.fields {
        written.append_pair(&format!("{CONFIGS}1.Overrides.1.{field}"), value);
    }
    written.finish().into()
}

fn errors(gone: &[Override], capacity_type: &str) -> String {
    let mut text = String::from("<errorSet>");
    for of in gone {
        let (kind, zone, subnet) = (of.field("InstanceType"), of.field("AvailabilityZone"), of.field("SubnetId"));
        write!(
            text,
            "<item><errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>no capacity</errorMessage>\
             <launchTemplateAndOverrides><overrides><instanceType>{kind}</instanceType>\
             <availabilityZone>{zone}</availabilityZone><subnetId>{subnet}</subnetId></overrides>\
             </launchTemplateAndOverrides><lifecycle>{capacity_type}</lifecycle></item>"
        )
        .unwrap();
    }
    text + "</errorSet>"
}
