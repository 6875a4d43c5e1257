//! NodePools and node classes.

use super::{Check, Cluster, Level, counted};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;
use crate::observe::snapshot::PodKey;

pub(super) fn usable(cluster: &Cluster, mut check: Check) {
    let pools = &cluster.snapshot.node_pools;
    if pools.is_empty() {
        check.find(Level::Warning, "", "there is no NodePool: nothing is launched", "apply one: examples/general.yaml");
    }
    for pool in pools {
        let object = format!("NodePool {}", pool.name);
        let class = &pool.node_class;
        let key = PodKey { namespace: "".into(), name: class.name.clone() };
        let is_there = match &*class.kind {
            "EC2NodeClass" => cluster.objects.ec2_node_classes.contains_key(&key),
            "KWOKNodeClass" => cluster.objects.kwok_node_classes.contains_key(&key),
            _ => true,
        };
        if !is_there {
            let says = format!("names the {} {}, which is not there", class.kind, class.name);
            check.find(Level::Error, object, says, "apply it, or name another: nothing is launched without it");
        } else if let Some(reason) = &pool.unusable {
            check.find(
                Level::Error,
                object,
                format!("cannot be used: {reason}"),
                "until then its nodes stay and no other comes",
            );
        } else if pool.instance_types.is_empty() {
            let says = format!("has no instance type: {} {} offers none", pool.node_class.kind, pool.node_class.name);
            check.find(
                Level::Error,
                object,
                says,
                "look at its node class and its requirements: packwright types --requirements ...",
            );
        }
    }
    check.or_well(format!("{}, each of use", counted(pools.len(), "NodePool")));
}

pub(super) fn limits(cluster: &Cluster, mut check: Check) {
    let pools = &cluster.snapshot.node_pools;
    for pool in pools.iter().filter(|pool| pool.replicas.is_none()) {
        let limits = &pool.limits;
        if limits.resources.is_empty() && limits.nodes.is_none() && limits.usd_per_hour.is_none() {
            check.find(
                Level::Warning,
                format!("NodePool {}", pool.name),
                "has no limits: what makes pods without end makes nodes without end",
                format!("set spec.limits: cpu, nodes, or {} in dollars (docs/alerts.md)", labels::LIMIT_USD_PER_HOUR),
            );
        }
    }
    check.or_well("every NodePool has limits");
}

pub(super) fn selection(cluster: &Cluster, mut check: Check) {
    let name = cluster_name(cluster);
    let mut classes = 0;
    for (key, class) in &cluster.objects.ec2_node_classes {
        classes += 1;
        let object = format!("EC2NodeClass {}", key.name);
        let class = &class.object;
        let status = class.status.as_ref().filter(|status| !status.conditions.is_empty());
        if let Some(status) = status {
            let (subnets, groups) = (status.subnets.is_empty(), status.security_groups.is_empty());
            for (what, of_subnets, _) in
                [("subnet", true, subnets), ("security group", false, groups)].iter().filter(|of| of.2)
            {
                let remedy =
                    format!("tag {what}s with {}, in the account and region of the cluster", tags(class, *of_subnets));
                check.find(Level::Error, object.clone(), format!("selects no {what}"), remedy);
            }
        } else {
            let says = "nobody has looked yet for what it selects";
            let remedy = format!("subnets are to have {}, security groups {}", tags(class, true), tags(class, false));
            check.find(Level::Note, object.clone(), says, remedy);
        }
        let terms = class.spec.subnet_selector_terms.iter().map(|term| &term.tags);
        let others: Vec<&String> = terms.filter_map(|tags| tags.get("karpenter.sh/discovery")).collect();
        if let Some(name) = name.as_ref().filter(|name| !others.is_empty() && others.iter().all(|other| other != name))
        {
            let says = format!("looks for the tag karpenter.sh/discovery of {}, and the cluster is {name}", others[0]);
            check.find(Level::Warning, object, says, "its nodes would come up in the network of another cluster");
        }
    }
    check.or_well(if classes == 0 {
        "there is no EC2NodeClass".to_owned()
    } else {
        format!("{} found what they select", counted(classes, "EC2NodeClass"))
    });
}

fn cluster_name(cluster: &Cluster) -> Option<String> {
    let known = cluster.server.and_then(|server| server.provisioners.clone()).unwrap_or_default();
    known.iter().find_map(|of| of.variables.get("CLUSTER_NAME").filter(|name| !name.is_empty()).cloned())
}

fn tags(class: &EC2NodeClass, of_subnets: bool) -> String {
    let spec = &class.spec;
    let terms: Vec<_> = if of_subnets {
        spec.subnet_selector_terms.iter().map(|term| (&term.tags, &term.id)).collect()
    } else {
        spec.security_group_selector_terms.iter().map(|term| (&term.tags, &term.id)).collect()
    };
    let shown = terms.into_iter().map(|(tags, id)| match id {
        Some(id) => id.clone(),
        None => tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" and "),
    });
    shown.collect::<Vec<_>>().join(", or ")
}
