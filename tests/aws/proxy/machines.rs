//! What moto forgets of instances: the security groups of their launch template.

use std::collections::BTreeMap;

use regex::Regex;

use super::Answer;
use super::query::Query;

/// What is known of launch templates and instances.
#[derive(Default)]
pub struct Machines {
    /// Security groups by the name of the launch template.
    templates: BTreeMap<String, Vec<String>>,
    /// Security groups by the id of the instance.
    instances: BTreeMap<String, Vec<String>>,
}

impl Machines {
    /// A launch template is made.
    pub fn note_template(&mut self, query: &Query) {
        let is_group = |key: &&String| key.starts_with("LaunchTemplateData.") && key.contains(".SecurityGroupId.");
        let groups = query.fields.keys().filter(is_group).map(|key| query.field(key).to_owned()).collect();
        self.templates.insert(query.field("LaunchTemplateName").to_owned(), groups);
    }

    /// Instances are made with it.
    pub fn note_instances(&mut self, answer: &Answer, template: &str) {
        let ids = Regex::new("<item>(i-[0-9a-f]+)</item>").unwrap();
        let groups = self.templates.get(template).cloned().unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for id in ids.captures_iter(&text).map(|found| found[1].to_owned()) {
            self.instances.insert(id, groups.clone());
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
            let Some(groups) = self.instances.get(id) else {
                amended += part;
                continue;
            };
            let items: Vec<String> =
                groups.iter().map(|group| format!("<item><groupId>{group}</groupId></item>")).collect();
            amended += &sets.replace_all(part, format!("<groupSet>{}</groupSet>", items.concat()));
        }
        Answer { body: amended.into(), ..answer }
    }
}
