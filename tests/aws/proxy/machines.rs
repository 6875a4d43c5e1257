//! What moto forgets of instances: the security groups and the placement group of their launch template.

use std::collections::BTreeMap;

use regex::Regex;

use super::Answer;
use super::query::Query;

/// What is known of launch templates and instances.
#[derive(Default)]
pub struct Machines {
    /// By the name of the launch template.
    templates: BTreeMap<String, Forgotten>,
    /// By the id of the instance.
    instances: BTreeMap<String, Forgotten>,
}

#[derive(Clone, Default)]
struct Forgotten {
    security_groups: Vec<String>,
    /// The id of the placement group.
    placement_group: Option<String>,
}

/// In which EC2 puts all instances of a placement group.
pub const PARTITION: i32 = 2;

impl Machines {
    /// A launch template is made; with the ids of placement groups by their names.
    pub fn note_template(&mut self, query: &Query, placement_groups: &BTreeMap<String, (String, u32)>) {
        let is_group = |key: &&String| key.starts_with("LaunchTemplateData.") && key.contains(".SecurityGroupId.");
        let security_groups = query.fields.keys().filter(is_group).map(|key| query.field(key).to_owned()).collect();
        let of = |name: &str| query.field(&format!("LaunchTemplateData.Placement.{name}")).to_owned();
        let (name, id) = (of("GroupName"), of("GroupId"));
        let by_id = || placement_groups.values().find(|(known, _)| *known == id);
        let placement_group = placement_groups.get(&name).or_else(by_id);
        let placement_group = placement_group.map(|(id, _)| id.clone());
        let forgotten = Forgotten { security_groups, placement_group };
        self.templates.insert(query.field("LaunchTemplateName").to_owned(), forgotten);
    }

    /// Instances are made with it.
    pub fn note_instances(&mut self, answer: &Answer, template: &str) {
        let ids = Regex::new("<item>(i-[0-9a-f]+)</item>").unwrap();
        let forgotten = self.templates.get(template).cloned().unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for id in ids.captures_iter(&text).map(|found| found[1].to_owned()) {
            self.instances.insert(id, forgotten.clone());
        }
    }

    /// The answer to DescribeInstances with what EC2 would say.
    pub fn amend(&self, answer: Answer) -> Answer {
        const ID: &str = "<instanceId>";
        let sets = Regex::new("<groupSet>.*?</groupSet>|<groupSet/>").unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut parts = text.split(ID);
        let mut amended = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            amended += ID;
            let id = part.split('<').next().unwrap_or_default();
            // one whose launch is not answered yet: moto says that it has the default group
            let forgotten = self.instances.get(id).cloned().unwrap_or_default();
            let Forgotten { security_groups, placement_group } = forgotten;
            let items: Vec<String> =
                security_groups.iter().map(|group| format!("<item><groupId>{group}</groupId></item>")).collect();
            let part = sets.replace_all(part, format!("<groupSet>{}</groupSet>", items.concat()));
            amended += &match placement_group {
                Some(id) => {
                    let placed =
                        format!("<placement><groupId>{id}</groupId><partitionNumber>{PARTITION}</partitionNumber>");
                    part.replace("<placement>", &placed)
                }
                None => part.into_owned(),
            };
        }
        Answer { body: amended.into(), ..answer }
    }
}
