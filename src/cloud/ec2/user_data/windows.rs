//! Windows: the user's PowerShell script, then `Start-EKSBootstrap.ps1`.

use super::{Bootstrap, kubelet_flags};

pub(super) fn merged(bootstrap: &Bootstrap<'_>) -> String {
    let cluster = bootstrap.cluster;
    let mut lines = vec!["<powershell>".to_owned()];
    lines.extend(bootstrap.custom().map(str::to_owned));
    lines.push(r#"[string]$EKSBootstrapScriptFile = "$env:ProgramFiles\Amazon\EKS\Start-EKSBootstrap.ps1""#.to_owned());
    let mut call = vec![format!(
        "& $EKSBootstrapScriptFile -EKSClusterName '{}' -APIServerEndpoint '{}'",
        cluster.name, cluster.endpoint
    )];
    call.extend(cluster.ca_bundle.iter().map(|bundle| format!("-Base64ClusterCA '{bundle}'")));
    call.push(format!("-KubeletExtraArgs '{}'", kubelet_flags::flags(bootstrap).join(" ")));
    call.extend(bootstrap.dns().map(|dns| format!("-DNSClusterIP '{dns}'")));
    lines.push(call.join(" "));
    lines.push("</powershell>".to_owned());
    lines.join("\n")
}
