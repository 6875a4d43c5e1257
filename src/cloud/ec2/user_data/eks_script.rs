//! AL2: `/etc/eks/bootstrap.sh` in a script that comes after what the user wrote.

use super::mime::{self, Part, SHELL_SCRIPT};
use super::{Bootstrap, UserDataError, kubelet_flags};
use crate::cloud::ec2::environment::is_ipv6;

pub(super) fn merged(bootstrap: &Bootstrap<'_>) -> Result<String, UserDataError> {
    let mut parts = match bootstrap.custom() {
        None => Vec::new(),
        Some(custom) if mime::is_archive(custom) => mime::read(custom)?,
        Some(custom) => vec![Part::new(SHELL_SCRIPT, custom)],
    };
    parts.push(Part::new(SHELL_SCRIPT, script(bootstrap)));
    Ok(mime::write(&parts))
}

fn script(bootstrap: &Bootstrap<'_>) -> String {
    let cluster = bootstrap.cluster;
    let mut arguments = vec![format!("'{}' --apiserver-endpoint '{}'", cluster.name, cluster.endpoint)];
    arguments.extend(cluster.ca_bundle.iter().map(|bundle| format!("--b64-cluster-ca '{bundle}'")));
    if bootstrap.dns().is_some_and(is_ipv6) {
        arguments.push("--ip-family ipv6".to_owned());
    }
    arguments.extend(bootstrap.dns().map(|dns| format!("--dns-cluster-ip '{dns}'")));
    // the number of pods is among the flags
    arguments.push("--use-max-pods false".to_owned());
    arguments.push(format!("--kubelet-extra-args '{}'", kubelet_flags::flags(bootstrap).join(" ")));
    if bootstrap.has_raid0() {
        arguments.push("--local-disks raid0".to_owned());
    }
    // bootstrap.sh takes no arguments with an equal sign
    format!(
        "#!/bin/bash -xe\nexec > >(tee /var/log/user-data.log|logger -t user-data -s 2>/dev/console) 2>&1\n\
         /etc/eks/bootstrap.sh {}\n",
        arguments.join(" \\\n")
    )
}
