//! NodePools, node classes and NodeClaims.

use std::collections::BTreeMap;

use super::{Check, Cluster, Level, counted, some};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::labels;
use crate::api::node_claim::NodeClaim;
use crate::api::node_pool::Budget;
use crate::observe::snapshot::{NodeClassRef, PodKey};
use crate::observe::{idle_limits, is_launchable, serves, unmet_requirements};

pub(super) fn usable(cluster: &Cluster, mut check: Check) {
    let pools = &cluster.snapshot.node_pools;
    if pools.is_empty() {
        check.find(Level::Warning, "", "there is no NodePool: nothing is launched", "apply one: examples/general.yaml");
    }
    for pool in pools {
        let object = format!("NodePool {}", pool.name);
        let class = &pool.node_class;
        if is_missing(cluster, class) {
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
            let says = format!("has no instance type: {} {} offers none", class.kind, class.name);
            check.find(Level::Error, object, says, "look at its node class");
        } else if !is_launchable(pool) {
            let unmet = unmet_requirements(pool).join("; ");
            let says = if unmet.is_empty() { String::new() } else { format!(": {unmet}") };
            check.find(
                Level::Error,
                object,
                format!("no instance type satisfies its requirements{says}"),
                "look for what there is: packwright types --requirements ...",
            );
        }
    }
    check.or_well(format!("{}, each of use", counted(pools.len(), "NodePool")));
}

/// Claims that another provisioner has made and not launched.
pub(super) fn claims(cluster: &Cluster, mut check: Check) {
    let waits = |claim: &NodeClaim| {
        let (meta, status) = (&claim.metadata, claim.status.as_ref());
        let has = |of: Option<&BTreeMap<String, String>>, key: &str| of.is_some_and(|of| of.contains_key(key));
        serves(&claim.spec.node_class_ref)
            && has(meta.labels.as_ref(), labels::NODEPOOL)
            && !has(meta.annotations.as_ref(), labels::PLANNED_PODS)
            && status.and_then(|status| status.provider_id.as_deref()).unwrap_or_default().is_empty()
    };
    let claims = cluster.objects.node_claims.iter();
    let waiting: Vec<String> =
        claims.filter(|(_, claim)| waits(&claim.object)).map(|(key, _)| format!("NodeClaim {}", key.name)).collect();
    if !waiting.is_empty() {
        let says = "made by another provisioner, and not launched: where Packwright takes over it gives such claims up five minutes after \
                    they were made, and plans their pods anew";
        check.find(Level::Note, some(&waiting), says, "");
    }
    check.or_well("every NodeClaim has an instance, or a plan of ours");
}

/// Whether a node class is needed that is not there. Manifests without any leave it to whoever applies them, as those of examples do.
fn is_missing(cluster: &Cluster, class: &NodeClassRef) -> bool {
    let key = PodKey { namespace: "".into(), name: class.name.clone() };
    let is_live = cluster.server.is_some();
    let of_kind = |is_there: bool, is_none: bool| !is_there && (is_live || !is_none);
    let (ec2, kwok) = (&cluster.objects.ec2_node_classes, &cluster.objects.kwok_node_classes);
    match &*class.kind {
        "EC2NodeClass" => of_kind(ec2.contains_key(&key), ec2.is_empty()),
        "KWOKNodeClass" => of_kind(kwok.contains_key(&key), kwok.is_empty()),
        _ => false,
    }
}

/// Kind and name of those that NodePools name and that are not there.
pub(super) fn missing_classes(cluster: &Cluster) -> impl Iterator<Item = String> {
    let classes = cluster.snapshot.node_pools.iter().map(|pool| &pool.node_class);
    classes.filter(|class| is_missing(cluster, class)).map(|class| format!("{} {}", class.kind, class.name))
}

pub(super) fn limits(cluster: &Cluster, mut check: Check) {
    let pools = &cluster.snapshot.node_pools;
    for pool in pools {
        let (object, limits) = (format!("NodePool {}", pool.name), &pool.limits);
        let idle = idle_limits(pool);
        let is_limited =
            limits.resources.iter().count() > idle.len() || limits.nodes.is_some() || limits.usd_per_hour.is_some();
        if !is_limited && pool.replicas.is_none() {
            let says = if idle.is_empty() { "has no limits" } else { "has no limits that bind" };
            check.find(
                Level::Warning,
                object.clone(),
                format!("{says}: what makes pods without end makes nodes without end"),
                format!("set spec.limits: cpu, nodes, or {} in dollars (docs/alerts.md)", labels::LIMIT_USD_PER_HOUR),
            );
        }
        for (_, says) in idle {
            check.find(Level::Warning, object.clone(), says, "name a resource that nodes have");
        }
    }
    check.or_well(if pools.is_empty() { "there is no NodePool" } else { "every NodePool has limits" });
}

/// Those of NodePools.
pub(super) fn budgets(cluster: &Cluster, mut check: Check) {
    let pools = &cluster.snapshot.node_pools;
    for pool in pools {
        let closed = |budget: &&Budget| budget.schedule.is_none() && ["0", "0%"].contains(&budget.nodes.as_str());
        for budget in pool.disruption.budgets.iter().filter(closed) {
            let of = match &budget.reasons[..] {
                [] => String::new(),
                reasons => {
                    format!(" that are {}", some(&reasons.iter().map(|of| format!("{of:?}")).collect::<Vec<_>>()))
                }
            };
            let says = format!("its budget of {} nodes, at any time, keeps all its nodes{of}", budget.nodes);
            let remedy = "give it a schedule and a duration, or allow one node";
            // empty and drifted ones alone may be kept on purpose
            let level = if budget.reasons.is_empty() { Level::Warning } else { Level::Note };
            check.find(level, format!("NodePool {}", pool.name), says, remedy);
        }
    }
    check.or_well(if pools.is_empty() { "there is no NodePool" } else { "none keeps nodes for ever" });
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
            let wanted = [("subnets", tags(class, true)), ("security groups", tags(class, false))];
            let wanted = wanted.iter().filter(|(_, tags)| !tags.is_empty()); // none is an error by itself
            let remedy: Vec<String> = wanted.map(|(what, tags)| format!("{what} are to have {tags}")).collect();
            check.find(Level::Note, object.clone(), says, remedy.join(", "));
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
