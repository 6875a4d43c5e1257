//! What moto does not have: architectures of images, prices, spot price history of other than one type, parameters of EKS images, capacity reservations, placement
//! groups, what is wrong with instances, and the cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::json;

use super::query::Query;
use super::{Ailment, Answer, Shared};

/// `None`: moto is asked.
pub(super) fn answer(shared: &Shared, query: &Query) -> Option<Answer> {
    let mut faults = shared.faults.lock().unwrap();
    let call = query.call();
    if let Some(queue) = &mut faults.queue
        && let Some(answer) = of_queue(queue, query)
    {
        return Some(answer);
    }
    match call.action.as_str() {
        "GetProducts" => {
            let is_metal = query.json["Filters"].to_string().contains("bare metal");
            let products = faults.prices.iter().filter(|(kind, _)| kind.contains(".metal") == is_metal);
            let list: Vec<String> = products.map(|(kind, price)| product(kind, price)).collect();
            Some(Answer::json(200, &json!({"FormatVersion": "aws_v1", "PriceList": list})))
        }
        "GetParameter" => {
            let name = query.json["Name"].as_str().unwrap_or_default();
            match faults.parameters.get(name) {
                Some(value) => {
                    let parameter = json!({"Name": name, "Type": "String", "Value": value, "Version": 1});
                    Some(Answer::json(200, &json!({"Parameter": parameter})))
                }
                None => Some(query.error(&("ParameterNotFound".to_owned(), name.to_owned(), 400))),
            }
        }
        "DescribeImages" => {
            let asked: Vec<&String> = query.fields.values().filter(|value| value.starts_with("ami-")).collect();
            let mut items = String::new();
            for (number, (id, (name, arch))) in
                faults.images.iter().enumerate().filter(|(_, (id, _))| asked.contains(id))
            {
                write!(
                    items,
                    "<item><imageId>{id}</imageId><name>{name}</name><architecture>{arch}</architecture>\
                     <imageState>available</imageState><creationDate>2026-01-01T00:{number:02}:00.000Z</creationDate></item>"
                )
                .unwrap();
            }
            Some(response(&call.action, &format!("<imagesSet>{items}</imagesSet>")))
        }
        "TerminateInstances" => {
            let refused = |id: &&String| query.values("InstanceId.").contains(&id.as_str());
            let (id, (code, is_named)) = faults.unending.iter().find(|(id, _)| refused(id))?;
            let message =
                if *is_named { format!("The instance '{id}' may not be terminated.") } else { "no".to_owned() };
            Some(query.error(&((*code).to_owned(), message, 400)))
        }
        "DeleteLaunchTemplate" => {
            let id = query.field("LaunchTemplateId");
            let message = format!("launch template {id} is kept by the test");
            let is_kept = faults.undeletable.contains(id);
            is_kept.then(|| query.error(&("UnauthorizedOperation".to_owned(), message, 403)))
        }
        "DescribeCapacityReservations" => {
            let asked = query.values("CapacityReservationId.");
            if let Some(gone) = asked.iter().find(|id| !faults.reservations.contains_key(**id)) {
                let message = format!("The capacity reservation '{gone}' does not exist.");
                return Some(query.error(&("InvalidCapacityReservationId.NotFound".to_owned(), message, 400)));
            }
            let found = faults.reservations.iter().filter(|(id, _)| asked.is_empty() || asked.contains(&id.as_str()));
            let items: String = found.map(|(id, of)| reservation(id, of)).collect();
            Some(response(&call.action, &format!("<capacityReservationSet>{items}</capacityReservationSet>")))
        }
        "DescribePlacementGroups" => {
            let groups = &faults.placement_groups;
            let asked = query.values("GroupId.");
            if let Some(gone) = asked.iter().find(|id| !groups.values().any(|(known, _)| known == **id)) {
                let message = format!("The Placement Group '{gone}' is unknown.");
                return Some(query.error(&("InvalidPlacementGroup.Unknown".to_owned(), message, 400)));
            }
            // those that EC2 knows, of which a class uses these
            let filters = query.fields.iter().filter(|(key, _)| key.starts_with("Filter.") && key.ends_with(".Name"));
            if let Some((_, name)) = filters.clone().find(|(_, name)| !["group-name", "state"].contains(&name.as_str()))
            {
                let message = format!("The filter '{name}' is invalid");
                return Some(query.error(&("InvalidParameterValue".to_owned(), message, 400)));
            }
            let is_asked = |name: &str, id: &str| {
                asked.contains(&id) || asked.is_empty() && query.fields.values().any(|value| value == name)
            };
            let found = groups.iter().filter(|(name, (id, _))| is_asked(name, id));
            let items = found.map(|(name, (id, partitions))| {
                format!(
                    "<item><groupName>{name}</groupName><groupId>{id}</groupId><state>available</state>\
                     <strategy>partition</strategy><partitionCount>{partitions}</partitionCount></item>"
                )
            });
            let items: String = items.collect();
            Some(response(&call.action, &format!("<placementGroupSet>{items}</placementGroupSet>")))
        }
        "DescribeSpotPriceHistory" => {
            let mut items = String::new();
            for (kind, price) in &faults.prices {
                let price: f64 = price.parse().unwrap();
                for zone in ["a", "b", "c"] {
                    write!(
                        items,
                        "<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>\
                         <spotPrice>{:.6}</spotPrice><timestamp>2026-01-01T00:00:00.000Z</timestamp>\
                         <availabilityZone>us-east-1{zone}</availabilityZone></item>",
                        price * 0.4
                    )
                    .unwrap();
                }
            }
            for (kind, zone, price, hours) in &faults.spot_changes {
                let at = Timestamp::now() - SignedDuration::from_hours(*hours);
                write!(
                    items,
                    "<item><instanceType>{kind}</instanceType><productDescription>Linux/UNIX</productDescription>\
                     <spotPrice>{price}</spotPrice><timestamp>{at:.3}</timestamp>\
                     <availabilityZone>{zone}</availabilityZone></item>"
                )
                .unwrap();
            }
            Some(response(&call.action, &format!("<spotPriceHistorySet>{items}</spotPriceHistorySet>")))
        }
        "DescribeInstanceStatus" => {
            let asked = query.fields.values().filter(|value| value.starts_with("i-"));
            let items: String = asked.map(|id| status(id, faults.ailments.get(id).copied())).collect();
            Some(response(&call.action, &format!("<instanceStatusSet>{items}</instanceStatusSet>")))
        }
        "GetManagedResource" => {
            let shift = |zone: &String| {
                json!({"appliedStatus": "APPLIED", "zonalShiftId": "s", "resourceIdentifier": "r", "awayFrom": zone,
                    "expiryTime": Timestamp::now().as_second() + 3_600, "startTime": 0, "comment": ""})
            };
            let shifts: Vec<_> = faults.shifted.iter().map(shift).collect();
            Some(Answer::json(200, &json!({"appliedWeights": {}, "zonalShifts": shifts})))
        }
        "DescribeCluster" => {
            let network = json!({"serviceIpv4Cidr": "10.100.0.0/16"});
            let arn = "arn:aws:eks:us-east-1:123456789012:cluster/test";
            let cluster = json!({"name": "test", "arn": arn, "version": "1.33", "endpoint": "https://cluster.example",
                "certificateAuthority": {"data": "Y2E="}, "kubernetesNetworkConfig": network});
            Some(Answer::json(200, &json!({"cluster": cluster})))
        }
        _ => None,
    }
}

/// As EC2 tells how an instance is.
fn status(id: &str, ailment: Option<Ailment>) -> String {
    let check = |minutes: Option<f64>| match minutes {
        None => "<status>ok</status>".to_owned(),
        Some(minutes) => {
            let since = Timestamp::now() - SignedDuration::from_secs_f64(minutes * 60.0);
            format!(
                "<status>impaired</status><details><item><name>reachability</name><status>failed</status>\
                 <impairedSince>{since:.3}</impairedSince></item></details>"
            )
        }
    };
    let event = |code: &str, text: &str| {
        let before = Timestamp::now() + SignedDuration::from_hours(48);
        format!(
            "<eventsSet><item><code>{code}</code><description>{text}</description><notBefore>{before:.3}</notBefore></item>\
             </eventsSet>"
        )
    };
    let (minutes, events) = match ailment {
        None => (None, String::new()),
        Some(Ailment::Impaired) => (Some(10.0), String::new()),
        Some(Ailment::ImpairedOfLate) => (Some(0.5), String::new()),
        Some(Ailment::Retirement) => (None, event("instance-retirement", "The hardware is degraded")),
        Some(Ailment::RebootOver) => (None, event("instance-reboot", "[Completed] It was rebooted")),
    };
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name></instanceState>{events}\
         <systemStatus>{}</systemStatus><instanceStatus>{}</instanceStatus></item>",
        check(None),
        check(minutes)
    )
}

/// As if they had been made two hours ago.
pub(super) fn older(answer: Answer) -> Answer {
    let made = Regex::new("<CreateDate>[^<]*</CreateDate>").unwrap();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let at = format!("<CreateDate>{:.0}</CreateDate>", Timestamp::now() - SignedDuration::from_hours(2));
    Answer { body: made.replace_all(&text, at).into_owned().into(), ..answer }
}

/// Ten messages at a time; no wait, as there is something to be read.
fn of_queue((waiting, delivered): &mut (Vec<String>, BTreeMap<String, String>), query: &Query) -> Option<Answer> {
    match query.call().action.as_str() {
        "ReceiveMessage" => {
            let from = waiting.len().saturating_sub(10);
            let messages: Vec<_> = waiting
                .drain(from..)
                .enumerate()
                .map(|(number, body)| {
                    let receipt = format!("{from}-{number}");
                    delivered.insert(receipt.clone(), body.clone());
                    json!({"MessageId": receipt, "ReceiptHandle": receipt, "Body": body, "Attributes": {"SentTimestamp": "0"}})
                })
                .collect();
            Some(Answer::json(200, &json!({"Messages": messages})))
        }
        "DeleteMessageBatch" => {
            let entries = query.json["Entries"].as_array().cloned().unwrap_or_default();
            for entry in &entries {
                delivered.remove(entry["ReceiptHandle"].as_str().unwrap_or_default());
            }
            let done: Vec<_> = entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect();
            Some(Answer::json(200, &json!({"Successful": done, "Failed": []})))
        }
        _ => None,
    }
}

/// Of all types moto needs a minute to tell on a busy machine.
pub(super) fn fewer_types(body: &Bytes) -> Bytes {
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    let families = ["c5", "c6a", "c6g", "c6i", "m5", "m6a", "m6g", "m6i", "r5", "t3"];
    let names =
        families.iter().flat_map(|family| ["large", "xlarge", "2xlarge"].map(|size| format!("{family}.{size}")));
    for (number, name) in names.chain(["m5.metal".to_owned(), "g4dn.xlarge".to_owned()]).enumerate() {
        write!(text, "&InstanceType.{}={name}", number + 1).unwrap();
    }
    text.into()
}

fn product(kind: &str, price: &str) -> String {
    let dimension = json!({"1": {"pricePerUnit": {"USD": price}}});
    json!({"product": {"attributes": {"instanceType": kind}}, "terms": {"OnDemand": {"1": {"priceDimensions": dimension}}}})
        .to_string()
}

fn reservation(id: &str, (kind, zone, free): &(String, String, u32)) -> String {
    format!(
        "<item><capacityReservationId>{id}</capacityReservationId><ownerId>123456789012</ownerId>\
         <instanceType>{kind}</instanceType><availabilityZone>{zone}</availabilityZone><state>active</state>\
         <availableInstanceCount>{free}</availableInstanceCount><totalInstanceCount>{free}</totalInstanceCount>\
         <instanceMatchCriteria>targeted</instanceMatchCriteria><reservationType>default</reservationType></item>"
    )
}

fn response(action: &str, content: &str) -> Answer {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    Answer::xml(
        200,
        format!("<{action}Response xmlns=\"{space}\"><requestId>r</requestId>{content}</{action}Response>"),
    )
}
